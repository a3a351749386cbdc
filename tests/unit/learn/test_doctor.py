"""The doctor: what ails a training is named, on trainings that ail, and a sound one is left in peace."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest

from nearsight.core import settings
from nearsight.learn import doctor as doctors
from nearsight.learn.doctor import BINS, Doctor, Finding, Health, Seen, examine, floor_of
from nearsight.learn.history import Epoch
from nearsight.learn.losses import LOSSES
from nearsight.learn.miners import MINERS
from nearsight.learn.objective import objective
from nearsight.learn.recipe import Recipe
from nearsight.learn.samplers import SAMPLERS

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
CLASSES, DIM = 6, 8


@dataclass
class Trained:
    """The record of a training, and the truth: mean cosine of pictures of two classes, over all, after each epoch."""

    record: list[Health]
    likeness: list[float]

    def codes(self, epoch: int) -> set[str]:
        return {finding.code.removeprefix("doctor/") for finding in self.record[epoch].findings}


def trained(
    loss: str, *, miner: str = "all", sampler: str = "pk?k=4", lr: float = 3e-3, noise: float = 1.0,
    relu: bool = False, bias: Any = 0.0, epochs: int = 6, seed: int = 0,
) -> Trained:  # fmt: skip
    """A network of two layers on points around class centres; `noise` 4 cannot be learned."""
    draw = np.random.default_rng(seed)
    labels = np.arange(32 * CLASSES) % CLASSES
    x = torch.from_numpy(draw.normal(size=(CLASSES, 12))[labels] + noise * draw.normal(size=(len(labels), 12))).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        last = torch.nn.Linear(64, DIM)
        network = torch.nn.Sequential(torch.nn.Linear(12, 64), torch.nn.ReLU(), last)
    if relu:
        network.append(torch.nn.ReLU())
    with torch.no_grad():
        last.bias += torch.tensor(bias)
    drawn = SAMPLERS.build(sampler, labels=labels, batch=24, seed=seed)
    parts = objective(loss, miner=miner, sampler=drawn, classes=CLASSES, dim=DIM, seed=seed)
    weights = [*network.parameters(), *parts.target.module.parameters()]
    walk, luck, sees = torch.optim.Adam(weights, lr), torch.Generator().manual_seed(seed), Doctor(parts.loss)
    found = Trained([], [])
    for epoch in range(epochs):
        for rows in map(torch.from_numpy, drawn.batches(epoch)):
            vectors, names = network(x[rows]), torch.from_numpy(labels)[rows]
            matrix = parts.matrix(vectors, names, rows)
            value = parts.value(matrix, luck)
            walk.zero_grad()
            value.backward()
            norm = torch.nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
            walk.step()
            sees.see(value.item(), vectors, names, matrix, norm.item())
        found.record.append(sees.health())
        unit = torch.nn.functional.normalize(network(x).detach())
        found.likeness.append((unit @ unit.T)[labels[:, None] != labels[None, :]].mean().item())
    return found


# -- trainings -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("lr", "soft"), [(0.1, ""), (0.01, ""), (0.03, "?soft=true&margin=0")])
def test_a_collapse_is_named_within_an_epoch(lr: float, soft: str) -> None:
    found = trained(f"triplet{soft}", miner="hardest", lr=lr, noise=4, epochs=7)
    met = next(epoch for epoch, likeness in enumerate(found.likeness) if likeness > 0.99)
    assert met < 6
    assert "collapse" in found.codes(met) | found.codes(met + 1)
    assert "collapse" in found.codes(-1)
    assert found.record[-1].rank == 0
    for epoch, likeness in enumerate(found.likeness):  # and none is cried before there is one
        assert likeness > 0.95 or "collapse" not in found.codes(epoch)
    (named,) = found.record[-1].findings
    assert f"{found.record[-1].floor:.4g}" in named.what
    assert "semi_hard" in named.repair


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("triplet", {"miner": "semi_hard"}),
        ("triplet", {"miner": "hardest"}),
        ("triplet?similarity=euclidean&margin=1&average=all", {"sampler": "triplets"}),
        ("contrastive?similarity=euclidean&average=pairs", {"sampler": "pairs"}),
        ("supcon", {}),
        ("multi_similarity", {}),
        ("normalised_softmax", {"sampler": "shuffled"}),
        ("cross_entropy", {"sampler": "shuffled"}),
        ("arcface?scale=16", {"sampler": "shuffled"}),
        ("proxy_anchor", {"sampler": "shuffled"}),
        ("smooth_ap?temperature=0.1", {}),
        ("pml/CircleLoss", {}),
    ],
)
def test_a_sound_training_is_left_in_peace(loss: str, options: dict[str, Any]) -> None:
    found = trained(loss, **options)
    assert found.record[-1].loss < found.record[0].loss
    assert [health.findings for health in found.record] == [()] * 6
    assert all(2 < health.rank <= DIM for health in found.record)


def test_dimensions_that_a_last_relu_killed_are_counted() -> None:
    found = trained("supcon", relu=True, bias=[0.5] * 6 + [-9.0] * 2)
    assert found.record[-1].dead == 2
    assert found.codes(-1) == {"dead-dimensions"}
    assert f"2 of {DIM}" in found.record[-1].findings[0].what
    assert "no ReLU behind the last layer" in found.record[-1].findings[0].repair


def test_a_network_whose_last_relu_is_all_dead() -> None:
    found = trained("triplet?similarity=euclidean&margin=1&average=all", sampler="triplets", relu=True, bias=-9.0)
    assert found.codes(0) == {"no-direction", "collapse"}
    assert (found.record[0].dead, found.record[0].loss, found.record[0].floor) == (DIM, 1.0, 1.0)


def test_a_loss_with_nothing_left_to_teach() -> None:
    found = trained("triplet?margin=0.1", noise=0.2)
    assert found.codes(-1) == {"nothing-active"}
    assert 0 <= (found.record[-1].active or 0) < 1e-3
    assert trained("triplet?margin=0&soft=true", noise=0.2).codes(-1) == set()  # a soft margin pulls on


def test_a_loss_that_does_not_move() -> None:
    """Two epochs at the logarithm of 4 classes, by vectors that differ."""
    parts = objective("cross_entropy", classes=4, dim=DIM, seed=0)
    sees, (vectors, labels) = Doctor(parts.loss), batch()
    matrix = parts.matrix(vectors, labels)
    for number, value in enumerate([1.39, 1.388, 1.37]):
        sees.see(value, vectors, labels, matrix, 1.0)
        found = [finding.code for finding in sees.health().findings]
        assert found == (["doctor/stuck"] if number == 1 else [])


# -- what is seen ----------------------------------------------------------------------------------------------------
def batch(n: int = 24, dim: int = DIM, seed: int = 0) -> tuple[Any, Any]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=draw), torch.arange(n) % 4


def seen(loss: str, *steps: tuple[Any, Any], values: list[float] | None = None, **given: Any) -> Health:
    parts = objective(loss, classes=4, dim=steps[0][0].shape[1], seed=0)
    sees = Doctor(parts.loss, **given)
    for at, (vectors, labels) in enumerate(steps):
        sees.see(values[at] if values else 1.0, vectors, labels, parts.matrix(vectors, labels), 2.0 + at)
    return sees.health()


def test_the_record() -> None:
    vectors, labels = batch()
    health = seen("triplet", (vectors, labels), (3 * vectors, labels), (vectors, labels), values=[1.0, 2.0, 6.0])
    assert (health.loss, health.gradient, health.dim, health.dead) == (3.0, 3.0, DIM, 0)
    lengths = np.linalg.norm(np.concatenate([vectors, 3 * vectors, vectors]), axis=1)
    assert health.norms == pytest.approx(np.quantile(lengths, [0.05, 0.5, 0.95]))
    assert health.floor == pytest.approx(0.2)
    assert 0.3 < (health.active or 0) < 0.9
    assert (len(health.positive), sum(health.positive), sum(health.negative)) == (
        BINS,
        pytest.approx(1),
        pytest.approx(1),
    )
    one = seen("triplet", (vectors, labels))
    assert health.rank == pytest.approx(one.rank)  # of unit vectors: three times the length is the same vector
    assert (
        seen("triplet?similarity=euclidean", (vectors * torch.arange(1, 25)[:, None] ** 3, labels)).rank < one.rank - 1
    )


def test_the_next_epoch_begins_with_nothing_seen() -> None:
    parts = objective("triplet", classes=4, dim=DIM, seed=0)
    sees, (vectors, labels) = Doctor(parts.loss), batch()
    sees.see(5.0, 9 * vectors, labels, None, 7.0)
    sees.health()
    sees.see(1.0, vectors, labels, parts.matrix(vectors, labels), math.nan)  # gradients still gathering
    health = sees.health()
    assert health == replace(seen("triplet", (vectors, labels)), gradient=0.0)


def test_an_epoch_of_which_no_step_was_seen_says_so() -> None:
    health = Doctor(LOSSES.build("triplet")).health()
    assert (health.dim, health.loss, health.findings) == (0, 0.0, ())
    assert examine(health, classes=4, epoch=3, seen=Seen(before=health)) == ()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_vectors_are_copied_and_hold_no_graph(dtype: str) -> None:
    sees, (vectors, labels) = Doctor(LOSSES.build("supcon")), batch()
    vectors = vectors.to(getattr(torch, dtype)).requires_grad_()
    expected = vectors.detach().float().norm(dim=1).median().item()
    sees.see(1.0, vectors, labels, None, 1.0)
    with torch.no_grad():
        vectors.zero_()
    assert sees.health().norms[1] == pytest.approx(expected, rel=0.05)


def test_memory_is_bounded() -> None:
    sees = Doctor(LOSSES.build("supcon"), keep=50)
    for at in range(40):
        sees.see(1.0, *batch(24, seed=at), None, 1.0)
        assert sum(len(rows) for rows, _ in sees._kept) < 50 + 24
    sees.see(1.0, *batch(1000), None, 1.0)
    assert sum(len(rows) for rows, _ in sees._kept) <= 50


def test_what_happens_late_in_an_epoch_is_seen_at_its_end() -> None:
    """2,400 vectors, the last 800 of them at one point, another one each step."""
    vectors, labels = batch()
    points = [torch.randn(DIM, generator=torch.Generator().manual_seed(s)).expand(24, -1) for s in range(33)]
    health = seen("supcon", *[(vectors, labels)] * 67, *[(point, labels) for point in points])
    assert [finding.code for finding in health.findings] == ["doctor/collapse"]


def test_large_matrices_are_looked_at_in_part() -> None:
    """The share is that of the whole, within what chance allows, though rows are sorted and the first are easy."""
    vectors, labels = batch(400)
    labels = labels.sort().values
    vectors[:200] += 9 * torch.nn.functional.one_hot(labels[:200], DIM)
    whole = objective("triplet", classes=4, dim=DIM, seed=0)
    hits, count = doctors.vitals.active(whole.matrix(vectors, labels), whole.loss)
    assert 4 * doctors.CELLS < 400 * 400
    assert 0.1 < hits / count < 0.6
    assert seen("triplet", *[(vectors, labels)] * 80).active == pytest.approx(float(hits / count), abs=0.05)


def test_training_misses_no_random_number() -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    parts = objective("pml/CosFaceLoss", classes=4, dim=DIM, seed=0)
    vectors, labels = batch(400)
    matrix, sees = parts.matrix(vectors, labels), Doctor(parts.loss)
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()
    sees.see(1.0, vectors, labels, matrix, 1.0)
    sees.health()
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()


def test_batches_of_one_picture_are_taken_together() -> None:
    vectors, labels = batch()
    steps = [(vectors[i : i + 1], labels[i : i + 1]) for i in range(24)]
    health = seen("normalised_softmax", *steps)
    assert health.findings == ()
    assert health.rank == pytest.approx(seen("normalised_softmax", (vectors, labels)).rank)


@pytest.mark.parametrize("broken", ["loss", "gradient", "vector"])
def test_what_is_not_finite_is_named_and_the_record_stays_finite(broken: str) -> None:
    sees, (vectors, labels) = Doctor(LOSSES.build("triplet")), batch()
    for bad in (False, True):
        if bad and broken == "vector":
            vectors[3, 2] = math.inf
        sees.see(math.nan if bad and broken == "loss" else 1.0, vectors, labels, None,
                 math.inf if bad and broken == "gradient" else 2.0)  # fmt: skip
    health = sees.health()
    assert [finding.code for finding in health.findings] == ["doctor/exploding"]
    assert (health.loss, health.gradient) == (1.0, 2.0)
    json.dumps(Epoch(1, 2, 0.5, 0.1, 1.0, 24, None, False, health).to_json(), allow_nan=False)


def test_the_record_goes_through_json() -> None:
    health = trained("supcon", relu=True, bias=[0.5] * 6 + [-9.0] * 2, epochs=1).record[0]
    epoch = Epoch(1, 2, 0.5, 0.1, 1.0, 24, None, False, health)
    assert health.findings
    assert Epoch.from_json(json.loads(json.dumps(epoch.to_json(), allow_nan=False))) == epoch


# -- the floor -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("address", "floor"),
    [
        ("triplet?margin=0.3", 0.3),
        ("triplet?soft=true&margin=0", math.log(2)),
        ("triplet?soft=true&margin=0.5", math.log(1 + math.exp(0.5))),
        ("triplet?similarity=euclidean&margin=1&average=all", 1.0),
        ("contrastive?margin=2", 4.0),
        ("contrastive?margin=2&power=1&similarity=euclidean", 2.0),
        ("contrastive?average=pairs", None),
        ("supcon", None),
        ("infonce", None),
        ("normalised_softmax", None),
        ("arcface", None),
    ],
)
def test_the_floor_of_a_loss(address: str, floor: float | None) -> None:
    assert floor_of(LOSSES.build(address)) == (None if floor is None else pytest.approx(floor, rel=1e-4))


@pytest.mark.parametrize(
    ("address", "floor"),
    [
        ("contrastive?average=pairs&margin=2", 4 * 18 / 23),
        ("supcon", math.log(23)),
        ("infonce", math.log(19)),
        ("normalised_softmax", math.log(4)),
        ("cross_entropy?smoothing=0.1", math.log(4)),
        ("pml/NTXentLoss", math.log(19)),
        ("arcface", None),
        ("proxy_anchor", None),
    ],
)
def test_the_floor_in_a_batch(address: str, floor: float | None) -> None:
    """24 pictures of 4 classes: 5 positives, 18 negatives, or 4 classes, a row."""
    parts = objective(address, classes=4, dim=DIM, seed=0)
    matrix = parts.matrix(*batch())
    assert floor_of(parts.loss, matrix) == (None if floor is None else pytest.approx(floor, rel=1e-4))
    if parts.loss.target == "batch":  # and so it is where vectors are the same
        same = parts.loss(*parts.matrix(torch.ones(24, DIM), torch.arange(24) % 4)).item()
        assert same == pytest.approx(floor, rel=0.01)


# -- findings --------------------------------------------------------------------------------------------------------
GOOD = Health(1.0, 2.0, 0.3, 4.0, 10, 0, (0.9, 1.0, 1.1), (0.0,) * BINS, (0.0,) * BINS, 1.0)
AILING: dict[str, tuple[Health, Seen, int]] = {
    "collapse": (replace(GOOD, rank=0.0), Seen(), 1),
    "no-direction": (replace(GOOD, norms=(3e-6, 1.0, 1.1)), Seen(), 1),
    "dead-dimensions": (replace(GOOD, dead=1), Seen(), 1),
    "exploding": (GOOD, Seen(steepest=2e4), 1),
    "nothing-active": (replace(GOOD, active=0.0), Seen(hinged=True), 1),
    "low-rank": (replace(GOOD, rank=1.7), Seen(), 2),
    "inverted": (GOOD, Seen(likeness=(0.1, 0.2)), 2),
    "stuck": (replace(GOOD, loss=1.99), Seen(before=replace(GOOD, loss=1.985)), 2),
}


def codes(health: Health, seen: Seen, epoch: int = 5, classes: int = 8) -> list[str]:
    found = examine(health, classes=classes, epoch=epoch, seen=seen)
    return [finding.code.removeprefix("doctor/") for finding in found]


@pytest.mark.parametrize("name", AILING)
def test_each_finding(name: str) -> None:
    health, seen, epoch = AILING[name]
    assert codes(health, seen, epoch) == [name]
    if epoch > 1:  # random weights may begin so
        assert codes(health, seen, 1) == [] or name == "stuck"


@pytest.mark.parametrize(
    ("health", "seen"),
    [
        (GOOD, Seen(before=GOOD, steepest=50.0, likeness=(0.2, 0.2), hinged=True)),
        (replace(GOOD, active=0.0), Seen()),  # a softmax that ranks all rightly still has a gradient
        (replace(GOOD, gradient=0.0), Seen(steepest=1e9)),  # most steps had nothing to teach: no measure of usual
        (replace(GOOD, gradient=1e-6), Seen(steepest=1.0)),
        (replace(GOOD, loss=1.99), Seen(before=replace(GOOD, loss=2.01))),  # at the floor, and falling
        (replace(GOOD, loss=1.99), Seen()),
        (replace(GOOD, loss=0.0, floor=0.0), Seen(before=replace(GOOD, loss=0.0))),
    ],
)
def test_what_is_no_finding(health: Health, seen: Seen) -> None:
    assert codes(health, seen) == []


def test_a_line_is_a_collapse_where_there_is_more_to_fill() -> None:
    line = replace(GOOD, rank=1.2)
    assert codes(line, Seen()) == ["collapse"]
    assert codes(replace(line, dead=9), Seen()) == ["dead-dimensions", "collapse"]  # the cause first
    assert codes(replace(line, dead=10, rank=0.0), Seen()) == ["collapse"]
    assert codes(line, Seen(), epoch=1) == []
    assert codes(line, Seen(), classes=2) == []  # two classes at two ends of a line: as it should be
    assert codes(replace(line, dim=2), Seen()) == []


@pytest.mark.parametrize(
    "health", [replace(GOOD, gradient=2e4), replace(GOOD, norms=(0.9, 1.0, 2e4))], ids=["between epochs", "lengths"]
)
def test_other_ways_to_explode(health: Health) -> None:
    assert codes(health, Seen(before=GOOD)) == ["exploding"]


@pytest.mark.parametrize(
    ("loss", "spread", "at", "said"),
    [
        ("supcon", 0.06, 1.0, [[], ["doctor/collapse"]]),  # cosines of 0.997: random networks begin there
        ("supcon", 0.001, 1.0, [["doctor/collapse"], ["doctor/collapse"]]),
        ("supcon", 0.2, 1.0, [[], []]),
        ("triplet?similarity=euclidean&margin=1", 0.01, 0.0, [[], ["doctor/collapse"]]),  # far below the margin
        ("triplet?similarity=euclidean&margin=0.01", 0.01, 0.0, [[], []]),
        ("triplet?similarity=euclidean&margin=1", 0.5, 50.0, [[], []]),  # far from 0, and as far apart as it asks
        ("triplet?similarity=euclidean&margin=0&soft=true", 0.5, 10.0, [[], ["doctor/collapse"]]),
        ("cross_entropy", 0.5, 10.0, [[], ["doctor/collapse"]]),
        ("cross_entropy", 0.5, 1.0, [[], []]),
    ],
)
def test_how_near_is_one_point(loss: str, spread: float, at: float, said: list[list[str]]) -> None:
    sees, (vectors, labels) = Doctor(LOSSES.build(loss)), batch(200)
    for expected in said:
        sees.see(1.0, at + spread * vectors, labels, None, 1.0)
        assert [finding.code for finding in sees.health().findings] == expected


def test_labels_that_say_the_opposite() -> None:
    """In every batch, pictures of one class are opposite each other and beside those of the other class."""
    sees, ends = Doctor(LOSSES.build("supcon")), torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None].expand(-1, DIM)
    said = []
    for labels in ([0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1]):
        for at in range(40):
            sees.see(1.0, ends + 0.4 * batch(4, seed=at)[0], torch.tensor(labels), None, 1.0)
        said.append([finding.code for finding in sees.health().findings])
    assert said == [[], [], ["doctor/inverted"], [], ["doctor/inverted"]]


def test_labels_that_say_nothing_are_not_called_the_opposite() -> None:
    sees = Doctor(LOSSES.build("supcon"))
    for seed in range(60):
        sees.see(1.0, *batch(seed=seed), None, 1.0)
        assert sees.health().findings == ()


def test_repairs_are_in_the_recipes_own_words() -> None:
    findings: list[Finding] = [f for h, s, e in AILING.values() for f in examine(h, classes=8, epoch=e, seen=s)]
    assert len(findings) == len(AILING)
    tables = {field.name: getattr(Recipe(), field.name) for field in fields(Recipe)}
    for finding in findings:
        keys = re.findall(r"\b(data|network|objective|augment|loop)\.(\w+)(?:=([\w?=./&]*\w))?", finding.repair)
        assert keys or "augment" in finding.repair, finding
        for table, key, value in keys:
            assert hasattr(tables[table], key), f"there is no {table}.{key}"
            if value and not value.endswith("=N"):
                settings.override(Recipe(), [f"{table}.{key}={value}"])
            catalogue = {"loss": LOSSES, "miner": MINERS, "sampler": SAMPLERS}.get(key)
            if catalogue and value:
                assert value.partition("?")[0] in catalogue.names()
