"""What vectors are like: each measure against its definition spelled as a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nearsight.learn import vitals
from nearsight.learn.losses import LOSSES
from nearsight.learn.matrix import Matrix

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
DRAW = np.random.default_rng(0)


def steps(*sizes: int, dim: int = 5) -> list[np.ndarray]:
    return [DRAW.normal(size=(size, dim)) for size in sizes]


def test_rows_are_less_the_mean_of_their_own_step() -> None:
    some = steps(3, 1, 4)
    expected = [row - sum(step) / len(step) for step in some if len(step) > 1 for row in step]
    assert np.allclose(vitals.centred(some), expected)
    assert vitals.centred(steps(1, 1)).shape == (0, 5)


def test_a_point_that_moves_between_steps_is_a_point() -> None:
    moving = [np.tile(DRAW.normal(size=5), (8, 1)) for _ in range(4)]
    assert vitals.spread(vitals.centred(moving)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("n", "dim"), [(40, 6), (6, 40)])
def test_effective_rank_is_the_papers(n: int, dim: int) -> None:
    rows = vitals.centred([DRAW.normal(size=(n, dim)) * 2.0 ** -np.arange(dim)])
    values = [value for value in np.linalg.svd(rows, compute_uv=False) if value > 1e-12]
    entropy = -sum(value / sum(values) * math.log(value / sum(values)) for value in values)
    assert vitals.effective_rank(rows) == pytest.approx(math.exp(entropy), rel=1e-4)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_effective_rank_of_k_equal_directions_is_k(k: int) -> None:
    turned, _ = np.linalg.qr(DRAW.normal(size=(9, 9)))
    assert vitals.effective_rank(np.concatenate([np.eye(k), -np.eye(k)]) @ turned[:k]) == pytest.approx(k, rel=1e-5)


def test_no_rows_and_no_spread_have_no_rank() -> None:
    assert vitals.effective_rank(np.zeros((0, 4))) == vitals.effective_rank(np.zeros((5, 4))) == 0
    assert vitals.spread(np.zeros((0, 4))) == 0


def test_dead_dimensions_are_those_that_do_not_vary() -> None:
    x = DRAW.normal(size=(50, 6))
    x[:, 1], x[:, 4] = 0, 7.5
    x[3, 5] += 100  # one picture is enough to be alive
    x[:, 2] *= 1e-3
    assert vitals.dead(vitals.centred([x]), float(np.linalg.norm(x, axis=1).mean())) == 2
    assert vitals.dead(vitals.centred([np.zeros((5, 3))]), 0.0) == 3


def test_cosines_are_of_pairs_within_a_step() -> None:
    some, labels = steps(4, 3), [np.array([0, 0, 1, 2]), np.array([1, 1, 0])]
    same, other = [], []
    for x, names in zip(some, labels, strict=True):
        for i in range(len(x)):
            for j in range(i):
                cosine = x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j])
                (same if names[i] == names[j] else other).append(cosine)
    positive, negative = vitals.cosines(some, labels)
    assert sorted(positive) == pytest.approx(sorted(same))
    assert sorted(negative) == pytest.approx(sorted(other))


def test_bars() -> None:
    shares = vitals.bars(np.array([-1.0, -0.95, 0.01, 1.0, 1.0 + 1e-9]), 4)
    assert shares == (0.4, 0, 0.2, 0.4)
    assert vitals.bars(np.zeros(0), 4) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "address",
    [
        "triplet",
        "triplet?squared=true&margin=0.5",
        "triplet?similarity=euclidean&margin=1",
        "triplet?similarity=euclidean&margin=0",
        "supcon",
        "contrastive",  # its margin is no triplet's
    ],
)
def test_active_triplets_are_counted_as_a_loop_counts_them(address: str) -> None:
    loss = LOSSES.build(address)
    scores = torch.randint(-8, 8, (7, 11), generator=torch.Generator().manual_seed(1)) / 8  # with ties
    scores = scores if loss.similarity == "cosine" else -2 * (scores + 1)
    kinds = torch.randint(0, 3, (7, 11), generator=torch.Generator().manual_seed(2))
    kinds[2], kinds[3] = 0, 1  # rows with positives alone, and with negatives alone
    margin = loss.margin if address.startswith("triplet") else 0.0

    def apart(score: float) -> float:
        if not address.startswith("triplet"):
            return -score
        square = 2 - 2 * score if loss.similarity == "cosine" else -score
        return square if loss.squared else math.sqrt(square)

    count = hits = 0
    for row, kind in zip(scores.tolist(), kinds.tolist(), strict=True):
        for p, this in zip(row, kind, strict=True):
            for n, that in zip(row, kind, strict=True):
                if (this, that) == (0, 1):
                    count += 1
                    hits += apart(n) <= apart(p) + margin + 1e-7
    found = vitals.active(Matrix(scores, kinds == 0, kinds == 1), loss)
    assert 0 < hits < count
    assert [int(x) for x in found] == [hits, count]


def test_distances_beyond_numbers_are_not_counted_twice() -> None:
    scores = torch.full((2, 6), -math.inf)
    positive = torch.tensor([[True] + 5 * [False]] * 2)
    found = vitals.active(Matrix(scores, positive, torch.roll(positive, 1, dims=1)), LOSSES.build("triplet"))
    assert int(found[0]) <= int(found[1]) == 2
