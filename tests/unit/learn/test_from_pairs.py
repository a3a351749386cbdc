"""Two heads on features that were taken before: they learn, stop, go on; no caption of a picture is a negative."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearsight.core.arrays import unit
from nearsight.core.errors import InputError, UnknownName
from nearsight.learn.history import Epoch
from nearsight.learn.recipe import Goal, Loop, PairRecipe, PictureSide, TextSide
from unit.learn.conftest import drain

torch = pytest.importorskip("torch")
from nearsight.learn.devices import Devices  # noqa: E402
from nearsight.learn.fit import fit  # noqa: E402
from nearsight.learn.from_pairs import FromPairs, Pooled, pair_network, require_measure  # noqa: E402
from nearsight.learn.objective import objective  # noqa: E402
from nearsight.learn.samplers import SAMPLERS  # noqa: E402
from nearsight.learn.step import Learner  # noqa: E402

pytestmark = pytest.mark.torch
PLAIN = PairRecipe(
    dim=8,
    pictures=PictureSide("", pool="mean", head="mlp?hidden=16"),
    text=TextSide(pool="mean", head="mlp?hidden=16"),
    loop=Loop(epochs=6, batch=32, lr=0.01, warmup=0.0, precision="fp32", checkpoint_s=0.0, measure="rsum"),
)
WIDTHS = 12, 10


@dataclass(eq=False)
class Table:
    """Sets in memory."""

    sets: list[Any]
    digest: str

    @property
    def width(self) -> int:
        return int(self.sets[0].shape[1])

    def __len__(self) -> int:
        return len(self.sets)

    def rows(self, rows: Any) -> tuple[Any, Any]:
        longest = max((len(self.sets[r]) for r in rows), default=1)
        members = np.zeros((len(rows), longest, self.width), dtype=np.float32)
        mask = np.zeros((len(rows), longest), dtype=np.bool_)
        for at, r in enumerate(rows):
            members[at, : len(self.sets[r])], mask[at, : len(self.sets[r])] = self.sets[r], True
        return members, mask


def pairs(n: int = 40, seed: int = 0) -> FromPairs:
    """Pictures of 3 cells and 2 or 3 captions of 1 to 4 words each: both tell of the same 6 hidden numbers."""
    draw = np.random.default_rng(seed)
    world = np.random.default_rng(99)
    see, say = world.standard_normal((6, WIDTHS[0])), world.standard_normal((6, WIDTHS[1]))
    meant = draw.standard_normal((n, 6))
    of = np.repeat(np.arange(n), draw.integers(2, 4, n))
    pictures = [(m @ see + 0.3 * draw.standard_normal((3, WIDTHS[0]))).astype(np.float32) for m in meant]
    words = [draw.integers(1, 5) for _ in of]
    texts = [
        (meant[i] @ say + 0.3 * draw.standard_normal((s, WIDTHS[1]))).astype(np.float32)
        for i, s in zip(of, words, strict=True)
    ]
    return FromPairs(Table(pictures, f"p{seed}"), Table(texts, f"t{seed}"), of.astype(np.int64))


def trained(recipe: PairRecipe = PLAIN, see: list[Any] | None = None, **given: Any) -> Any:
    return drain(fit(pair_network(recipe, *WIDTHS), recipe.dim, pairs(), recipe, **given), see)


def weights(found: Any) -> bytes:
    return b"".join(t.numpy().tobytes() for t in found.network.state_dict().values())


GOALS = {
    "infonce": PLAIN.objective,
    "one way": Goal("infonce?temperature=1", "opposite?temperature=0.1&direction=text_to_image", "all", "captions"),
    "max hinge": Goal("triplet?squared=true&margin=0.4", "opposite", "hardest", "captions", mine_from=1),
    "siglip": Goal("sigmoid", "opposite?temperature=0.1&bias=-5", "all", "captions?k=2"),
    "report": Goal("triplet?similarity=euclidean&margin=1&average=all", "", "all", "caption_triplets"),
    "report, texts": Goal("triplet?margin=1&average=all", "", "all", "caption_triplets?anchor=caption"),
    "prefixes": replace(PLAIN.objective, prefixes=(2, 4)),
}


@pytest.mark.parametrize("name", GOALS)
def test_every_objective_learns(name: str) -> None:
    recipe = replace(PLAIN, objective=GOALS[name], loop=replace(PLAIN.loop, epochs=20))
    told: list[Any] = []
    found = trained(recipe, told, held_out=pairs(30, 1))
    epochs = [event for event in told if isinstance(event, Epoch)]
    chance = 100 * sum(min(1.0, k / 30) + min(1.0, 2.5 * k / 75) for k in (1, 5, 10))
    assert epochs[-1].validation is not None
    assert epochs[-1].validation > chance + 100, "what was never learned from is found by what was learned"
    losses = [epoch.validation_loss for epoch in epochs]
    assert losses[-1] < losses[0] * 0.9
    assert found.chosen == 20


def test_the_learned_temperature_is_trained_and_kept(tmp_path: Path) -> None:
    place = tmp_path / "checkpoint"
    trained(folder=place)
    from safetensors.numpy import load_file

    kept = load_file(place / "now.safetensors")
    assert not math.isclose(float(kept["target.scale"]), -math.log(0.07), abs_tol=1e-3)


def test_stopped_after_every_step_it_ends_in_the_same_weights(tmp_path: Path) -> None:
    recipe = replace(PLAIN, pictures=replace(PLAIN.pictures, head="mlp?hidden=16&dropout=0.3"))
    whole, stops = trained(recipe, held_out=pairs(20, 1)), 0
    while True:
        network = pair_network(replace(recipe, seed=stops), *WIDTHS)
        work = fit(network, recipe.dim, pairs(), recipe, folder=tmp_path / "c", held_out=pairs(20, 1))
        if not stops:
            work = fit(pair_network(recipe, *WIDTHS), 8, pairs(), recipe, folder=tmp_path / "c", held_out=pairs(20, 1))
        try:
            next(work)
            next(work)
        except StopIteration as end:
            found = end.value
            break
        work.close()
        stops += 1
    assert weights(found) == weights(whole)
    assert stops > 5


def test_a_row_has_its_own_vector_wherever_it_stands() -> None:
    source, network = pairs(), pair_network(PLAIN, *WIDTHS)
    vectors = source.vectors(network, "cpu")
    assert vectors.shape == (len(source.labels), 8)
    order = np.random.default_rng(3).permutation(len(source.labels))
    some = source.entrance(network)(torch.from_numpy(order[:25])).detach().numpy()
    np.testing.assert_allclose(some, vectors[order[:25]], atol=1e-5)


def test_captions_of_one_picture_are_never_negatives() -> None:
    source = pairs()
    sampler = SAMPLERS.build("captions?k=2", labels=source.labels, batch=30, seed=0)
    parts = objective("infonce", target="opposite", classes=source.classes, dim=8, seed=0)
    for rows in sampler.batches(0):
        labels = source.labels[rows]
        matrix = parts.matrix(torch.randn(len(rows), 8), torch.from_numpy(labels), torch.from_numpy(rows))
        picture = rows < len(source.pictures)
        same = labels[picture][:, None] == labels[~picture]
        pictures = len(same)  # fewer than captions, whose rows are filled up with nothing
        for cells, expected in ((matrix.positive.numpy(), same), (matrix.negative.numpy(), ~same)):
            assert np.array_equal(cells[:pictures], expected)
            assert np.array_equal(cells[pictures:, :pictures], expected.T)
            assert not cells[pictures:, pictures:].any()


def test_measures_are_those_of_the_evaluator() -> None:
    source = pairs()
    vectors = unit(np.random.default_rng(0).standard_normal((len(source.labels), 8)).astype(np.float32))
    n = len(source.pictures)
    scores = vectors[:n] @ vectors[n:].T
    right = source.of[None, :] == np.arange(n)[:, None]
    best = np.array([row[mask].max() for row, mask in zip(scores, right, strict=True)])
    places = 1 + (scores > best[:, None]).sum(axis=1)
    own = scores[source.of, np.arange(len(source.of))]
    back = 1 + (scores > own[None, :]).sum(axis=0)
    rsum = 100 * sum((ranks <= k).mean() for ranks in (places, back) for k in (1, 5, 10))
    assert source.measured(vectors, "rsum") == pytest.approx(rsum)
    assert source.measured(vectors, "hit@5") == pytest.approx(((places <= 5).mean() + (back <= 5).mean()) / 2)
    with pytest.raises(UnknownName):
        require_measure("rsun")


def test_prefixes_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        trained(replace(PLAIN, objective=replace(PLAIN.objective, prefixes=(4, 8))))
    assert caught.value.code == "recipe/prefixes"


def test_other_features_are_another_training(tmp_path: Path) -> None:
    trained(folder=tmp_path / "c")
    with pytest.raises(InputError) as caught:
        drain(fit(pair_network(PLAIN, *WIDTHS), 8, pairs(seed=5), PLAIN, folder=tmp_path / "c"))
    assert caught.value.code == "training/other-data"


def test_what_one_pooling_made_is_not_taken_for_another_s() -> None:
    source, words = pairs(), PLAIN.text
    found = {
        pool: source.vectors(pair_network(replace(PLAIN, text=replace(words, pool=pool)), *WIDTHS), "cpu")
        for pool in ("mean", "max", "mean")
    }
    n = len(source.pictures)
    assert np.array_equal(found["mean"][:n], found["max"][:n]), "the pictures' pooling is the same"
    assert not np.allclose(found["mean"][n:], found["max"][n:])
    again = source.vectors(pair_network(replace(PLAIN, text=replace(words, pool="mean")), *WIDTHS), "cpu")
    assert np.array_equal(again, found["mean"])


def test_the_next_training_on_the_same_data_pools_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    source, made = pairs(), list[Any]()
    by = Pooled.by
    monkeypatch.setattr(Pooled, "by", lambda pool, sets: made.append(sets.digest) or by(pool, sets))
    for seed in (0, 1):
        source.vectors(pair_network(replace(PLAIN, seed=seed), *WIDTHS), "cpu")
    assert made == ["p0", "t0"]


def test_prefixes_cost_as_much_as_the_whole() -> None:
    recipe = replace(PLAIN, objective=replace(PLAIN.objective, prefixes=(2, 4)))
    source = pairs()
    sampler = SAMPLERS.build("captions", labels=source.labels, batch=32, seed=0)
    parts = objective(recipe.objective.loss, target=recipe.objective.target, classes=40, dim=8, seed=0)
    learner = Learner(source.entrance(pair_network(recipe, *WIDTHS)), parts, recipe, Devices("fp32", "cpu"))
    learner.training()
    rows = torch.from_numpy(next(iter(sampler.batches(0))))
    labels = torch.from_numpy(source.labels)[rows]
    got = learner.learn(rows, labels, rows, rate=0.0, seed=1, last=True)
    each = [float(parts.value(parts.matrix(got.vectors[:, :dim], labels, rows)).detach()) for dim in (2, 4, 8)]
    assert got.value == pytest.approx(sum(each) / 3, rel=1e-5)


def test_the_miner_waits_as_long_as_it_is_told() -> None:
    def after_one_epoch(miner: str, mine_from: int) -> bytes:
        goal = Goal("triplet?squared=true&margin=0.4", "opposite", miner, "captions", mine_from=mine_from)
        return weights(trained(replace(PLAIN, objective=goal, loop=replace(PLAIN.loop, epochs=1))))

    assert after_one_epoch("hardest", 1) == after_one_epoch("all", 0)
    assert after_one_epoch("hardest", 0) != after_one_epoch("all", 0)
