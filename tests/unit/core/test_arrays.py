"""Hits, and vectors of unit length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearsight.core.arrays import NO_KEY, Hits, ranked, require_unit, unit
from nearsight.core.errors import InputError

INF = np.float32(np.inf)


def hits(keys: list[list[int]], scores: list[list[float]]) -> Hits:
    return Hits(np.array(keys, np.int64), np.array(scores, np.float32))


def test_unit_scales_in_float64() -> None:
    rows = np.array([[3, 4], [3e-20, 4e-20], [3e30, 4e30]])
    assert np.allclose(unit(rows), [[0.6, 0.8]] * 3)
    assert unit(rows).dtype == np.float32
    assert unit(np.empty((0, 5), np.float32)).shape == (0, 5)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_rows_without_direction_are_named(bad: float) -> None:
    rows = np.ones((3, 2))
    rows[1] = bad
    for check in (unit, lambda r: require_unit(r, 2)):
        with pytest.raises(InputError) as caught:
            check(rows / np.sqrt(2))
        assert caught.value.code == "vectors"
    with pytest.raises(InputError, match="row 1"):
        unit(rows)


def test_require_unit_takes_float16_but_no_other_length_or_shape() -> None:
    row = unit(np.random.default_rng(0).normal(size=(4, 64)))
    assert require_unit(row.astype(np.float16), 64).dtype == np.float32
    for bad, dim in ((row * 1.01, 64), (row, 63), (row[0], 64)):
        with pytest.raises(InputError):
            require_unit(bad, dim)


@pytest.mark.parametrize(
    ("keys", "scores"),
    [
        ([[1, 2]], [[0.1, 0.2]]),  # rising
        ([[1, NO_KEY]], [[0.1, 0.0]]),  # an empty place with a score
        ([[1, 2]], [[0.1, -np.inf]]),  # a key without one
        ([[1, 2]], [[0.1]]),
    ],
)
def test_hits_cannot_be_malformed(keys: list, scores: list) -> None:
    with pytest.raises(InputError) as caught:
        hits(keys, scores)
    assert caught.value.code == "hits"


def test_hits_of_other_types_are_refused() -> None:
    with pytest.raises(InputError):
        Hits(np.zeros((1, 1), np.int32), np.zeros((1, 1), np.float32))  # type: ignore[arg-type]


def test_without_removes_by_identity_not_by_rank() -> None:
    found = hits([[7, 5, 9], [5, 7, NO_KEY]], [[1.0, 1.0, 0.5], [0.9, 0.8, -INF]])
    left = found.without(np.array([5, NO_KEY]))
    assert left.keys.tolist() == [[7, 9, NO_KEY], [5, 7, NO_KEY]]
    assert left.scores.tolist() == [[1.0, 0.5, -np.inf], pytest.approx([0.9, 0.8, -np.inf])]


def test_first_cuts_and_pads() -> None:
    found = hits([[7, 5]], [[1.0, 0.5]])
    assert found.first(1).keys.tolist() == [[7]]
    assert found.first(3).keys.tolist() == [[7, 5, NO_KEY]]
    assert found.first(3).k == 3


def test_ties_go_to_the_smaller_key() -> None:
    found = ranked(np.array([[9, 3, 5]]), np.array([[0.5, 0.5, 0.7]]), 3)
    assert found.keys.tolist() == [[5, 3, 9]]


@given(
    st.lists(
        st.tuples(st.integers(-1, 30), st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0])),
        max_size=12,
        unique_by=lambda pair: pair[0],
    ),
    st.integers(1, 15),
)
def test_ranked_is_sorting(pairs: list[tuple[int, float]], k: int) -> None:
    keys = np.array([[key for key, _ in pairs]], dtype=np.int64).reshape(1, -1)
    scores = np.array([[score for _, score in pairs]]).reshape(1, -1)
    slow = sorted((-s, key) for key, s in pairs if key != NO_KEY and s > -np.inf)[:k]
    found = ranked(keys, scores, k)
    assert found.k == k
    assert found.keys[0].tolist() == [key for _, key in slow] + [NO_KEY] * (k - len(slow))
