"""Rates follow from the step alone; groups have theirs; vectors do not decay."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nearsight.core.errors import InputError
from nearsight.learn.optimise import share_of_rate
from nearsight.learn.recipe import Loop

STEPS, EPOCHS = 200, 20


def shares(**given: object) -> list[float]:
    loop = Loop(epochs=EPOCHS, **given)  # type: ignore[arg-type]
    return [share_of_rate(step, STEPS, EPOCHS, loop) for step in range(STEPS)]


def test_a_step_schedule_is_the_reports() -> None:
    found = shares(schedule="step", warmup=0.0, step_epochs=8, step_factor=0.1)
    assert found == pytest.approx([1.0] * 80 + [0.1] * 80 + [0.01] * 40)


def test_a_cosine_falls_to_almost_nothing() -> None:
    found = shares(warmup=0.0)
    assert found == pytest.approx([0.5 * (1 + math.cos(math.pi * t / STEPS)) for t in range(STEPS)])


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_warming_up_is_linear_and_ends_at_the_base_rate(schedule: str) -> None:
    found = shares(schedule=schedule, warmup=2.0)
    assert np.diff(found[:21]) == pytest.approx(1 / 21)
    assert found[20] == pytest.approx(1.0)
    assert max(found) <= 1


def test_warming_up_never_takes_more_than_half() -> None:
    loop = Loop(epochs=1, warmup=5.0)
    assert share_of_rate(5, 10, 1, loop) == pytest.approx(1.0)


@pytest.mark.torch
class TestGroups:
    def made(self, **given: object) -> tuple[object, dict[int, dict[str, float]]]:
        torch = pytest.importorskip("torch")
        from nearsight.encode.network import stacked
        from nearsight.learn.optimise import optimiser, set_rates

        nn = torch.nn
        network = stacked(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), nn.Linear(4, 2))
        target = nn.Module()
        target.register_parameter("vectors", nn.Parameter(torch.zeros(2, 2)))
        walk = optimiser(network, target, Loop(weight_decay=0.1, **given))  # type: ignore[arg-type]
        set_rates(walk, 0.5)
        by_size = {p.numel(): group for group in walk.param_groups for p in group["params"]}
        return network, by_size

    def test_tower_head_and_target_have_their_rates(self) -> None:
        _, found = self.made(lr=1e-3, head_lr=1e-2, target_lr=1e-1)
        assert {n: group["lr"] for n, group in found.items()} == {12: 5e-4, 8: 5e-3, 2: 5e-3, 4: 5e-2} | {
            4: found[4]["lr"]
        }
        assert found[12]["weight_decay"] == 0.1
        assert found[2]["weight_decay"] == 0

    def test_what_is_not_said_is_the_towers(self) -> None:
        _, found = self.made(lr=1e-3)
        assert {group["base"] for group in found.values()} == {1e-3}

    @pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
    def test_each_optimiser_steps(self, kind: str) -> None:
        torch = pytest.importorskip("torch")
        from nearsight.encode.network import stacked
        from nearsight.learn.optimise import optimiser

        network = stacked(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
        walk = optimiser(network, torch.nn.Module(), Loop(optimiser=kind))  # type: ignore[arg-type]
        before = network.head.weight.detach().clone()
        network(torch.ones(2, 3)).square().sum().backward()
        walk.step()
        assert not torch.equal(before, network.head.weight)

    def test_nothing_to_train_is_an_error(self) -> None:
        torch = pytest.importorskip("torch")
        from nearsight.encode.network import stacked
        from nearsight.learn.optimise import freeze, optimiser

        network = stacked(torch.nn.Linear(3, 4), torch.nn.Identity())
        freeze(network.tower, ["weight", "bias"])
        with pytest.raises(InputError) as caught:
            optimiser(network, torch.nn.Module(), Loop())
        assert caught.value.code == "recipe/frozen"
