"""The streaming join against the loop over all pairs that it stands for."""

from __future__ import annotations

import tracemalloc
from collections.abc import Generator
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors, unit
from nearsight.core.events import Step, outcome
from nearsight.search.duplicates.join import ROUNDING, Led, Rows, Same, led, near

T = TypeVar("T")


def run(work: Generator[Step, None, T]) -> tuple[T, list[Step]]:
    steps: list[Any] = []
    return outcome(work, steps.append), steps


def crowd(n: int, dim: int = 12, seed: int = 0) -> Vectors:
    """Vectors in clumps, so that many pairs are near."""
    draw = np.random.default_rng(seed)
    middles = draw.normal(size=(max(1, n // 6), dim))
    return unit(middles[draw.integers(0, len(middles), n)] + draw.normal(scale=0.25, size=(n, dim)))


def of(vectors: Vectors, block: int = 2048) -> Rows:
    return Rows(lambda rows: vectors[rows], len(vectors), block=block)


def naive(vectors: Vectors, at_least: float, same: Same | None) -> list[int]:
    leader = [-1] * len(vectors)
    for i in range(len(vectors)):
        for j in range(i + 1, len(vectors)):
            close = leader[i] < 0 and leader[j] < 0 and float(vectors[i] @ vectors[j]) >= at_least
            if close and (same is None or bool(same(np.array([i]), np.array([j]))[0])):
                leader[j] = i
    return leader


def one_way(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Not the same question the other way round."""
    return np.asarray((one + 2 * other) % 3 != 0)


@pytest.mark.parametrize("same", [None, one_way], ids=["vectors", "looked-at"])
@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_led_is_the_loop_over_all_pairs(block: int, same: Same | None) -> None:
    vectors = crowd(200)
    found, _ = run(led(of(vectors, block), 0.8, same))
    wanted = naive(vectors, 0.8, same)
    assert sum(one >= 0 for one in wanted) > 50, "there is something to find"
    assert found.leader.tolist() == wanted
    are = np.flatnonzero(found.leader >= 0)
    cosines = np.einsum("nd,nd->n", vectors[are], vectors[found.leader[are]])
    np.testing.assert_allclose(found.cosine[are], cosines, atol=1e-6)


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_near_is_the_loop_over_all_pairs(block: int) -> None:
    vectors = crowd(150, dim=30)
    found, steps = run(near(of(vectors, block), 0.96))
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -1)
    assert 10 < found.sum() < 140
    assert found.tolist() == (scores.max(axis=1) >= 0.96).tolist()
    assert steps[-1].done == steps[-1].total == 150 * 151 // 2


@pytest.mark.parametrize("at_least", [-0.2, 0.5, 0.9, 0.99])
def test_the_short_form_rules_nothing_out_that_is_near(at_least: float) -> None:
    """It is taken for more than two blocks, and where it leaves few pairs."""
    vectors = crowd(300, dim=48, seed=3)
    rows, every = of(vectors, 20), np.arange(300)
    one, other, cosine = rows.pairs(every, every, at_least)
    scores = vectors @ vectors.T
    wanted = np.nonzero(scores >= at_least - ROUNDING)
    assert set(zip(one.tolist(), other.tolist(), strict=True)) == set(zip(*(at.tolist() for at in wanted), strict=True))
    np.testing.assert_allclose(cosine, scores[one, other], atol=1e-6)


def test_the_short_form_rules_most_out() -> None:
    vectors = crowd(4000, dim=96, seed=4)
    read: list[int] = []

    def reads(rows: NDArray[np.int64]) -> Vectors:
        read.append(rows.size)
        return vectors[rows]

    rows, scores = Rows(reads, 4000, block=100), vectors @ vectors[0]
    least = float(np.sort(scores)[-4])
    read.clear()
    one, other, _ = rows.pairs(np.array([0]), np.arange(4000), least)
    assert one.tolist() == [0] * 4
    assert other.tolist() == np.flatnonzero(scores >= least - ROUNDING).tolist()
    assert 8 <= sum(read) <= 100, "and a few that are not"


def test_a_chain_is_not_one_group() -> None:
    """Each is near the next one only: whoever is led is near its own leader."""
    angles = np.arange(9) * 0.3
    vectors = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    found, _ = run(led(of(vectors, 4), float(np.cos(0.35))))
    assert found.leader.tolist() == [-1, 0, -1, 2, -1, 4, -1, 6, -1]


def test_a_cosine_at_the_threshold_counts() -> None:
    vectors = unit(np.array([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0], [1.0, 0.0]]))
    found, _ = run(led(of(vectors), 0.6))
    assert found.leader.tolist() == [-1, 0, -1, 0]
    lone, _ = run(near(of(vectors), 0.6))
    assert lone.tolist() == [True, True, False, True]
    everything, _ = run(led(of(vectors), -1.0))
    assert everything.leader.tolist() == [-1, 0, 0, 0]


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_and_one(n: int) -> None:
    found, _ = run(led(of(np.ones((n, 1), np.float32)), 0.5))
    assert found.leader.tolist() == [-1] * n
    alone, _ = run(near(of(np.ones((n, 1), np.float32)), 0.5))
    assert alone.tolist() == [False] * n


def test_a_thousand_of_one_picture_are_looked_at_about_once_each() -> None:
    asked = []

    def same(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
        asked.append(one.size)
        return np.ones(one.size, dtype=np.bool_)

    found, _ = run(led(of(np.ones((3000, 4), np.float32) / 2, 512), 0.9, same))
    assert found.leader.tolist() == [-1, *[0] * 2999]
    assert sum(asked) < 10_000, "and not four and a half million pairs"


def test_no_pair_is_looked_at_twice() -> None:
    vectors, seen = crowd(400), list[tuple[int, int]]()

    def same(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
        seen.extend(zip(one.tolist(), other.tolist(), strict=True))
        return np.zeros(one.size, dtype=np.bool_)

    run(led(of(vectors, 100), 0.5, same))
    scores = vectors @ vectors.T
    assert len(seen) == len(set(seen)) == np.count_nonzero(np.triu(scores, 1) >= 0.5 - ROUNDING)
    assert len(seen) > 4000, "more than are looked at at once"


@pytest.mark.parametrize("look", [near, led])
def test_memory_is_two_blocks_and_their_product(look: Any) -> None:
    """No n x n matrix: 6,000 rows would need 144 MB for it."""
    vectors = unit(np.random.default_rng(1).normal(size=(6000, 8)))
    tracemalloc.start()
    answer: NDArray[np.bool_] | Led = run(look(of(vectors, 500), 0.999))[0]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer is not None
    assert peak < 12e6
