"""The loop: it learns, stops and goes on to the same weights, and says what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearsight.core.errors import Damaged, InputError, TrainingError
from nearsight.core.events import Step
from nearsight.core.items import Item
from nearsight.encode.network import stacked
from nearsight.encode.preprocess import Preprocess
from nearsight.learn import checkpoint
from nearsight.learn.augment import Augment
from nearsight.learn.from_pictures import FromPictures
from nearsight.learn.history import Epoch, Progress
from nearsight.learn.pictures import Pictures, proven
from nearsight.learn.recipe import Data, Goal, Loop, Network, Recipe
from unit.learn.conftest import drain

torch = pytest.importorskip("torch")
from nearsight.learn.fit import Fitted, fit  # noqa: E402

pytestmark = pytest.mark.torch
SIZE = Preprocess(16, 16, fit="squash", mean=(0.5,) * 3, std=(0.25,) * 3)
PLAIN = Recipe(
    objective=Goal(loss="supcon", sampler="pk?k=4"),
    augment=Augment(scale=0.6, jitter=0.2, erase=0.3),
    loop=Loop(epochs=3, batch=12, lr=0.01, precision="fp32", checkpoint_s=0.0, warmup=0.0),
)
DIM = 4


def network(*, dropout: float = 0.0, norm: bool = True, seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        nn = torch.nn
        tower = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6) if norm else nn.Identity(), nn.ReLU(), nn.Dropout(dropout),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        )  # fmt: skip
        return stacked(tower, nn.Linear(24, DIM))


def fitted(pictures: Pictures, recipe: Recipe = PLAIN, see: list[Any] | None = None, **given: Any) -> Fitted:
    net = given.pop("network", None) or network()
    held = given.pop("held_out", None)
    return drain(fit(net, DIM, source(pictures, recipe), recipe, held_out=held and source(held, recipe), **given), see)


def source(pictures: Pictures, recipe: Recipe) -> FromPictures:
    return FromPictures(pictures, SIZE, recipe.augment, recipe.loop.workers)


def weights(of: Fitted) -> bytes:
    return b"".join(t.numpy().tobytes() for t in of.network.state_dict().values())


def loops(recipe: Recipe, **loop: Any) -> Recipe:
    return replace(recipe, loop=replace(recipe.loop, **loop))


def test_it_learns_and_tells(pictures: Pictures) -> None:
    events: list[Any] = []
    found = fitted(pictures, loops(PLAIN, epochs=8), events)
    epochs = [event for event in events if isinstance(event, Epoch)]
    assert [e.epoch for e in epochs] == list(range(1, 9))
    assert found.history == tuple(epochs)
    assert found.chosen == 8
    assert epochs[0].loss > epochs[-1].loss
    assert epochs[-1].loss == pytest.approx(np.log(3), abs=0.01), "the best that three positives can share"
    assert all(e.pictures == 24 and e.seconds > 0 and e.validation is None for e in epochs)
    steps = [event for event in events if isinstance(event, Step)]
    assert (steps[-1].done, steps[-1].total) == (16, 16)
    assert sum(isinstance(event, Progress) for event in events) == 16
    assert not found.network.training
    assert not any(p.requires_grad for p in found.network.parameters())


def test_the_same_seed_gives_the_same_weights_and_another_does_not(pictures: Pictures) -> None:
    assert weights(fitted(pictures)) == weights(fitted(pictures)) != weights(fitted(pictures, replace(PLAIN, seed=1)))


def test_the_programs_own_randomness_is_left_alone(pictures: Pictures) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    fitted(pictures)
    assert torch.equal(torch.random.get_rng_state(), before)


STOPPED = {
    "plain": PLAIN,
    "everything": replace(
        PLAIN,
        data=Data(validation=0.2),
        objective=Goal(loss="triplet", miner="distance_weighted", target="memory?size=16", sampler="pk?k=4"),
        loop=replace(PLAIN.loop, ema=0.9, clip=1.0, optimiser="sgd", select="best", precision="bf16", accumulate=2),
    ),
    "proxies": replace(PLAIN, objective=Goal(loss="normalised_softmax"), loop=replace(PLAIN.loop, chunk=5)),
}


@pytest.mark.parametrize("name", STOPPED)
def test_stopped_anywhere_it_ends_in_the_same_weights(name: str, pictures: Pictures, place: Path) -> None:
    recipe = STOPPED[name]
    given = {"held_out": pictures} if recipe.data.validation else {}
    seen = source(pictures, recipe)
    whole = fitted(pictures, recipe, network=network(dropout=0.2), **given)
    stops = 0
    while True:
        net = network(dropout=0.2, seed=stops + 7 if stops else 0)
        work = fit(net, DIM, seen, recipe, folder=place, held_out=seen if given else None)
        steps, found = 0, None
        while found is None and steps < 1:
            try:
                steps += isinstance(next(work), Step)
            except StopIteration as end:
                found = end.value
        if found is not None:
            break
        work.close()
        stops += 1
    assert stops >= 3
    assert weights(found) == weights(whole)
    assert found.chosen == whole.chosen
    assert [(e.epoch, e.loss, e.validation, e.best) for e in found.history] == [
        (e.epoch, pytest.approx(e.loss, rel=1e-12), e.validation, e.best) for e in whole.history
    ]


def test_a_training_that_is_over_is_not_done_again(pictures: Pictures, place: Path) -> None:
    first = fitted(pictures, folder=place)
    events: list[Any] = []
    again = fitted(pictures, see=events, folder=place, network=network(seed=3))
    assert not [event for event in events if isinstance(event, (Step, Epoch))]
    assert weights(first) == weights(again)
    assert again.resumed is not None


def test_another_recipe_or_other_pictures_are_refused(pictures: Pictures, place: Path, squares: list[Item]) -> None:
    fitted(pictures, folder=place)
    with pytest.raises(InputError) as caught:
        fitted(pictures, loops(PLAIN, lr=0.02), folder=place)
    assert caught.value.code == "training/other-recipe"
    fewer = drain(proven(squares[:-1], side=16, cache_mb=64, workers=1))
    with pytest.raises(InputError) as caught:
        fitted(fewer, folder=place)
    assert caught.value.code == "training/other-data"
    fitted(pictures, loops(PLAIN, workers=1, checkpoint_s=99.0), folder=place)
    chosen = replace(PLAIN, data=Data(validation=0.2))
    fitted(pictures, chosen, folder=place.with_name("held"), held_out=pictures)
    with pytest.raises(InputError) as caught:
        fitted(pictures, chosen, folder=place.with_name("held"), held_out=fewer)
    assert caught.value.code == "training/other-data"


def test_a_damaged_checkpoint_is_found(pictures: Pictures, place: Path) -> None:
    fitted(pictures, folder=place)
    file = place / "now.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(Damaged):
        fitted(pictures, folder=place)


def test_patience_stops_and_the_best_epoch_is_taken(pictures: Pictures, place: Path) -> None:
    recipe = replace(PLAIN, data=Data(validation=0.2), loop=replace(PLAIN.loop, epochs=40, select="best", patience=2))
    for folder in (None, place):
        found = fitted(pictures, recipe, held_out=pictures, folder=folder)
        assert len(found.history) < 40
        values = [e.validation for e in found.history]
        assert found.chosen == 1 + int(np.argmax(values)) == len(values) - 2


def test_it_is_measured_as_often_as_asked_and_at_the_end(pictures: Pictures) -> None:
    recipe = replace(PLAIN, data=Data(validation=0.2), loop=replace(PLAIN.loop, epochs=7, measure_every=3))
    history = fitted(pictures, recipe, held_out=pictures).history
    assert [e.epoch for e in history if e.validation is not None] == [3, 6, 7]


def test_a_new_best_epoch_waits_for_the_next_checkpoint(
    pictures: Pictures, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of epochs that take a second, writing each best one takes longer than learning it."""
    coming, written = iter((0.1, 0.2, 0.3)), list[bool]()
    monkeypatch.setattr("nearsight.learn.fit.validate", lambda *_: (next(coming), None))
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda *a, best: written.append(best is not None) or save(*a, best=best))
    recipe = replace(PLAIN, data=Data(validation=0.2), loop=replace(PLAIN.loop, select="best", checkpoint_s=1e6))
    assert fitted(pictures, recipe, held_out=pictures, folder=place).chosen == 3
    assert written == [True], "at the end, with the weights of the best epoch"


@pytest.mark.parametrize(("values", "chosen"), [((float("nan"), 0.25, 0.5, 0.125), 3), ((0.5, float("nan"), 0.25), 1)])
def test_an_epoch_that_cannot_be_measured_is_never_the_best(
    values: tuple[float, ...], chosen: int, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    coming = iter(values)
    monkeypatch.setattr("nearsight.learn.fit.validate", lambda *_: (next(coming), None))
    recipe = replace(PLAIN, data=Data(validation=0.2), loop=replace(PLAIN.loop, epochs=len(values), select="best"))
    assert fitted(pictures, recipe, held_out=pictures).chosen == chosen
    monkeypatch.setattr("nearsight.learn.fit.validate", lambda *_: (float("nan"), None))
    with pytest.raises(InputError, match="no epoch could be measured"):
        fitted(pictures, recipe, held_out=pictures)


def test_accumulated_gradients_are_those_of_the_means(pictures: Pictures) -> None:
    """With one batch's loss the mean of two halves', two halves make the same step (cross-entropy, no batch norm)."""
    goal = Goal(loss="cross_entropy", sampler="shuffled")
    still = Augment(scale=1, flip=0)
    one = replace(PLAIN, objective=goal, augment=still, loop=replace(PLAIN.loop, epochs=1, batch=24, optimiser="sgd"))
    two = loops(one, batch=12, accumulate=2)
    a, b = (fitted(pictures, recipe, network=network(norm=False)) for recipe in (one, two))
    for name, tensor in a.network.state_dict().items():
        assert torch.allclose(tensor, b.network.state_dict()[name], atol=1e-6), name


@pytest.mark.parametrize("chunk", [0, 5])
def test_the_last_step_of_an_epoch_is_a_mean_too(chunk: int, pictures: Pictures) -> None:
    """Of as many batches as are left: three, where a hundred are asked for."""
    goal = Goal(loss="cross_entropy", sampler="shuffled")
    three = replace(PLAIN, objective=goal, loop=replace(PLAIN.loop, epochs=1, batch=8, optimiser="sgd", chunk=chunk))
    assert weights(fitted(pictures, loops(three, accumulate=100))) == weights(
        fitted(pictures, loops(three, accumulate=3))
    )


@pytest.mark.parametrize("loss", ["supcon", "triplet?margin=0.5", "normalised_softmax"])
def test_cached_gradients_are_those_of_the_whole_batch(loss: str, pictures: Pictures) -> None:
    whole = replace(PLAIN, objective=Goal(loss=loss, sampler="pk?k=4"), loop=replace(PLAIN.loop, epochs=1))
    whole = loops(whole, optimiser="sgd", lr=0.1)
    a, b = (fitted(pictures, recipe, network=network(norm=False)) for recipe in (whole, loops(whole, chunk=5)))
    assert weights(a) != weights(fitted(pictures, loops(whole, lr=1e-9), network=network(norm=False)))
    for name, tensor in a.network.state_dict().items():
        assert torch.allclose(tensor, b.network.state_dict()[name], atol=1e-5), name


def test_batch_norm_learns_once_from_a_chunk(pictures: Pictures) -> None:
    one = loops(PLAIN, epochs=1, batch=24, lr=1e-12, chunk=24)
    a, b = fitted(pictures, one), fitted(pictures, loops(one, chunk=0))
    name = "tower.1.running_mean"
    assert torch.allclose(a.network.state_dict()[name], b.network.state_dict()[name], atol=1e-6)


@pytest.mark.parametrize("chunk", [0, 1])
def test_batch_norm_over_one_picture_says_what_to_do(chunk: int, pictures: Pictures) -> None:
    net = stacked(network().tower, torch.nn.Sequential(torch.nn.BatchNorm1d(24), torch.nn.Linear(24, DIM)))
    goal = Goal(loss="normalised_softmax", sampler="shuffled")
    one = loops(replace(PLAIN, objective=goal), epochs=1, batch=24 if chunk else 1, chunk=chunk)
    with pytest.raises(InputError) as caught:
        fitted(pictures, one, network=net)
    assert caught.value.code == "training/one-picture"
    assert "freeze_norm" in caught.value.hint
    still = replace(one, network=Network(freeze_norm=True))
    net = stacked(network().tower, torch.nn.Sequential(torch.nn.BatchNorm1d(24), torch.nn.Linear(24, DIM)))
    assert fitted(pictures, still, network=net).chosen == 1


def test_no_last_chunk_is_a_single_picture(pictures: Pictures) -> None:
    net = stacked(network().tower, torch.nn.Sequential(torch.nn.BatchNorm1d(24), torch.nn.Linear(24, DIM)))
    assert fitted(pictures, loops(PLAIN, epochs=1, batch=24, chunk=23), network=net).chosen == 1


def test_a_batch_smaller_than_the_processes_is_refused(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearsight.learn.devices.Devices.world", property(lambda _: 13))
    with pytest.raises(InputError, match="13 processes"):
        fitted(pictures)


def test_frozen_layers_and_norms_stay(pictures: Pictures) -> None:
    before = network().state_dict()
    kept = fitted(pictures, replace(PLAIN, network=Network(freeze_norm=True, frozen=("0",)))).network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], kept[name])}
    assert moved == {"tower.1.weight", "tower.1.bias", "head.weight", "head.bias"}
    with pytest.raises(InputError) as caught:
        fitted(pictures, replace(PLAIN, network=Network(frozen=("features",))))
    assert caught.value.code == "recipe/frozen"


def test_the_average_is_taken(pictures: Pictures) -> None:
    plain, averaged = fitted(pictures), fitted(pictures, loops(PLAIN, ema=0.9))
    assert weights(plain) != weights(averaged)
    assert averaged.history[-1].loss == plain.history[-1].loss, "it follows the weights and does not lead them"


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_numbers_that_are_none_stop_it(what: str, pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    if what == "loss":
        net.head.weight.data[0] = float("nan")
    else:
        net.head.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingError, match=what) as caught:
        fitted(pictures, network=net)
    assert caught.value.code == "training/not-finite"
    assert "loop.lr" in caught.value.hint


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: not enough memory")]
)
def test_too_little_memory_says_what_to_do(error: Exception, pictures: Pictures, place: Path) -> None:
    net, calls = network(), []

    def fail(*_: object) -> None:
        calls.append(1)
        if len(calls) > 3:
            raise error

    net.register_forward_pre_hook(fail)
    with pytest.raises(TrainingError) as caught:
        fitted(pictures, network=net, folder=place)
    assert caught.value.code == "training/memory"
    assert "loop.chunk" in caught.value.hint
    assert weights(fitted(pictures, folder=place)) == weights(fitted(pictures)), "the checkpoint is gone on from"


def test_one_class_is_refused(squares: list[Item]) -> None:
    one = drain(proven(squares[:8], side=16, cache_mb=64, workers=1))
    with pytest.raises(InputError) as caught:
        fitted(one)
    assert caught.value.code == "sampler/one-class"


def test_a_picture_that_vanishes_meanwhile_is_named(squares: list[Item], tmp_path: Path) -> None:
    moved = []
    for item in squares:
        path = tmp_path / item.path.name
        path.write_bytes(item.path.read_bytes())
        moved.append(replace(item, path=path))
    pictures = drain(proven(moved, side=16, cache_mb=0, workers=1))
    moved[5].path.unlink()
    with pytest.raises(InputError, match=moved[5].path.name) as caught:
        fitted(pictures)
    assert caught.value.code == "training/vanished"


KILLED = """
import sys
from pathlib import Path
from unit.learn.test_fit import PLAIN, DIM, loops, network, source, weights
from unit.learn.conftest import drain
from nearsight.core.items import Item
from nearsight.learn.fit import fit
from nearsight.learn.pictures import proven
items = [Item(n, p, p.name.rstrip("0123456789.png")) for n, p in enumerate(sorted(Path(sys.argv[1]).iterdir()))]
pictures = drain(proven(items, side=16, cache_mb=64, workers=1))
print("ready", flush=True)
recipe = loops(PLAIN, epochs=60)
found = drain(fit(network(), DIM, source(pictures, recipe), recipe, folder=Path(sys.argv[2])))
import hashlib
print(hashlib.sha256(weights(found)).hexdigest(), len(found.history), found.resumed is not None, flush=True)
"""


@pytest.mark.slow
def test_killed_at_random_it_ends_in_the_same_weights(squares: list[Item], tmp_path: Path) -> None:
    tests = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{tests}:{tests.parent / 'src'}", "OMP_NUM_THREADS": "1"}
    draw = np.random.default_rng(0)

    def start(folder: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", KILLED, str(squares[0].path.parent), str(tmp_path / folder)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    whole = start("whole").communicate(timeout=120)[0].split()
    for _ in range(3):
        process = start("broken")
        assert process.stdout is not None
        process.stdout.readline()
        while not (tmp_path / "broken" / "manifest.json").exists():
            time.sleep(0.01)
        time.sleep(float(draw.uniform(0, 0.2)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    last = start("broken").communicate(timeout=120)[0].split()
    assert last[1] == whole[1]
    assert (whole[3], last[3]) == ("False", "True")
