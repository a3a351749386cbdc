from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearsight.core.arrays import Hits, ranked, unit
from nearsight.core.errors import DatasetError, InputError, MeasureError
from nearsight.core.relevance import KeyLists
from nearsight.measure.ranking import BLOCK, PIECE, Gallery, _order, rank, rescore


def vectors(n: int, d: int = 16, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(n, d)))


def whole(queries: np.ndarray, gallery: Gallery, **given: object) -> Hits:
    parts = [hits for _, hits in rank(queries, gallery, **given)]  # type: ignore[arg-type]
    return Hits(np.concatenate([p.keys for p in parts]), np.concatenate([p.scores for p in parts]))


@settings(max_examples=200, deadline=None)
@given(
    scores=st.lists(st.floats(-2, 2, width=32) | st.sampled_from([0.0, -0.0, 0.5, -np.inf]), min_size=1, max_size=12),
    k=st.none() | st.integers(1, 14),
)
def test_the_packed_sort_is_score_then_key(scores: list[float], k: int | None) -> None:
    keys = np.arange(len(scores), dtype=np.int64) * 3 + 7
    found = _order(np.array([scores], dtype=np.float32), keys, k)
    wanted = ranked(keys[None], np.array([scores], dtype=np.float32), len(scores))
    width = found.k
    assert found.keys.tolist() == wanted.keys[:, :width].tolist()
    assert found.scores.tolist() == wanted.scores[:, :width].tolist()
    if k is not None and k < len(scores):
        cut = wanted.scores[0, k - 1]
        tied = int(np.sum(wanted.scores[0] >= cut))  # to the end of the tie
        assert width == max(k, tied)
    else:
        assert width == len(scores)


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(2, 900),
    k=st.integers(1, 60),
    levels=st.sampled_from([2, 9, 1000]),
    left_out=st.sampled_from([0.0, 0.1, 0.95]),
    seed=st.integers(0, 2**16),
)
def test_a_cut_is_where_the_whole_order_would_be_cut(n: int, k: int, levels: int, left_out: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.integers(levels, size=(3, n)) / levels).astype(np.float32)
    scores[rng.random((3, n)) < left_out] = -np.inf
    scores[0, rng.permutation(n)[: n // 2]] = 2  # a tie that hides all others
    found, whole = _order(scores, np.arange(n), k), _order(scores, np.arange(n), None)
    tied = np.sum(whole.scores >= whole.scores[:, min(k, n) - 1, None], axis=1)
    assert found.k == max(min(k, n), int(tied.max())) or k >= n
    for row in range(3):
        width = n if k >= n else int(tied[row])
        assert found.keys[row, :width].tolist() == whole.keys[row, :width].tolist()
        assert found.scores[row, :width].tolist() == whole.scores[row, :width].tolist()
        assert (found.keys[row, width:] == -1).all()


def test_a_tie_across_the_cut_is_kept_whole_and_others_padded() -> None:
    scores = np.array([[0.9, 0.5, 0.5, 0.5, 0.1], [0.9, 0.8, 0.7, 0.6, 0.5]], dtype=np.float32)
    hits = _order(scores, np.arange(5), 2)
    assert hits.keys.tolist() == [[0, 1, 2, 3], [0, 1, -1, -1]]


def test_agrees_with_one_plain_product() -> None:
    queries, rows = vectors(20, seed=1), vectors(150)
    keys = np.random.default_rng(2).permutation(1000)[:150].astype(np.int64)
    hits = whole(queries, Gallery.of(keys, rows))
    order = np.argsort(-(queries.astype(np.float64) @ rows.T.astype(np.float64)), axis=1)
    assert np.array_equal(hits.keys, keys[order])


def test_shuffled_galleries_and_small_blocks_rank_the_same() -> None:
    queries, rows = vectors(9, seed=1), vectors(200)
    rows[50:60] = rows[10]
    keys = np.arange(200, dtype=np.int64)
    order = np.random.default_rng(0).permutation(200)
    straight = whole(queries, Gallery.of(keys, rows))
    shuffled = whole(queries, Gallery.of(keys[order], rows[order]))
    assert np.array_equal(straight.keys, shuffled.keys)
    assert np.array_equal(straight.scores, shuffled.scores)
    assert np.array_equal(straight.keys, whole(queries, Gallery.of(keys, rows), size=1).keys)


def test_one_product_is_looked_at_in_pieces() -> None:
    queries, gallery = vectors(2500, 4, seed=1), Gallery.of(np.arange(2000), vectors(2000, 4))
    parts = list(rank(queries, gallery, k=3, size=BLOCK))
    assert [part.start for part, _ in parts[1:]] == [part.stop for part, _ in parts[:-1]]
    assert parts[-1][0].stop == 2500
    assert max(part.stop - part.start for part, _ in parts) == PIECE // 2000
    straight = whole(queries, gallery, k=3, size=1 << 16)
    assert np.array_equal(whole(queries, gallery, k=3, size=BLOCK).keys, straight.keys)


@pytest.mark.parametrize("size", [1, 700, 3000, 1 << 22])
@pytest.mark.parametrize("d", [3, 17, 512])
def test_identical_vectors_tie_exactly_whatever_the_block(size: int, d: int) -> None:
    rows = vectors(331, d)
    twins = np.random.default_rng(1).permutation(331)[:90]
    rows[twins] = rows[twins[0]]
    gallery = Gallery.of(np.arange(331), rows)
    for _, scores in gallery.blocks(vectors(25, d, seed=4), size):
        assert (np.ptp(scores[:, twins], axis=1) == 0).all()


def test_twins_are_found_by_content_and_minus_zero_is_zero() -> None:
    rows = np.array([[1, 0], [0, 1], [1, -0.0], [0, 1], [1, 0]], dtype=np.float32)
    gallery = Gallery.of(np.arange(5), rows)
    assert gallery.twins.tolist() == [2, 3, 4]
    assert gallery.models.tolist() == [0, 1, 0]


def test_self_goes_by_identity_before_the_cut() -> None:
    rows = vectors(6)
    rows[3] = rows[1]  # a duplicate of query 1 with a larger key, and of query 3 with a smaller one
    gallery = Gallery.of(np.arange(6), rows)
    own = KeyLists.of([[i] for i in range(6)])
    hits = whole(rows, gallery, k=1, without=own)
    assert hits.keys[1, 0] == 3
    assert hits.keys[3, 0] == 1
    assert not own.contains(hits.keys).any()
    full = whole(rows, gallery, without=own)
    assert (full.keys[:, -1] == -1).all()
    assert (full.keys[:, :-1] != -1).all()


@pytest.mark.parametrize("size", [1, 100, 1 << 22])
def test_rescoring_the_whole_gallery_is_the_ranking_to_the_bit(size: int) -> None:
    queries, rows = vectors(12, seed=3), vectors(80)
    rows[20:25] = rows[3]
    gallery = Gallery.of(np.arange(80) * 2, rows)
    exact = whole(queries, gallery, size=size)
    other = np.random.default_rng(0).permuted(exact.keys, axis=1)
    noisy = Hits(other, np.tile(-np.arange(80, dtype=np.float32), (12, 1)))
    again = rescore(queries, gallery, noisy, size=size)
    assert np.array_equal(again.keys, exact.keys)
    assert np.array_equal(again.scores, exact.scores)


def test_rescoring_keeps_empty_places_and_refuses_strangers() -> None:
    gallery = Gallery.of(np.array([5, 9]), vectors(2))
    empty = Hits(np.array([[9, -1]]), np.array([[1.0, -np.inf]], dtype=np.float32))
    assert rescore(vectors(1), gallery, empty).keys.tolist() == [[9, -1]]
    with pytest.raises(MeasureError, match="key 7"):
        rescore(vectors(1), gallery, Hits(np.array([[7]]), np.ones((1, 1), dtype=np.float32)))


def test_memory_stays_within_a_few_blocks() -> None:
    queries, gallery = vectors(4000, 8, seed=1), Gallery.of(np.arange(4000), vectors(4000, 8))
    tracemalloc.start()
    for _ in rank(queries, gallery, size=1 << 17):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6  # the whole matrix would take 64 MB, and its sorting four times that


def test_refuses_what_cannot_be_ranked() -> None:
    rows = vectors(4)
    with pytest.raises(DatasetError, match="twice"):
        Gallery.of(np.array([1, 2, 2, 3]), rows)
    with pytest.raises(MeasureError, match="keys"):
        Gallery.of(np.arange(3), rows)
    with pytest.raises(InputError, match="row 2"):
        Gallery.of(np.arange(4), np.where(np.arange(4)[:, None] == 2, np.float32("nan"), rows))
    with pytest.raises(MeasureError, match="k must"):
        next(rank(rows, Gallery.of(np.arange(4), rows), k=0))
    with pytest.raises(InputError, match="shape"):
        next(rank(vectors(2, 5), Gallery.of(np.arange(4), rows)))


def test_a_kernel_that_rounds_equal_columns_differently_breaks_no_tie() -> None:
    rows = vectors(40, 64)
    rows[30] = rows[4]
    gallery = Gallery.of(np.arange(40), rows)
    uneven = gallery.vectors.copy()
    uneven[30] = np.nextafter(uneven[30], np.float32(2))  # what such a kernel amounts to
    scores = replace(gallery, vectors=uneven).score(vectors(10, 64, seed=1))
    assert np.array_equal(scores[:, 30], scores[:, 4])


def test_a_correction_ranks_by_its_own_scores_under_the_same_rules() -> None:
    queries, rows = vectors(9, seed=1), vectors(50)
    rows[30] = rows[4]
    gallery = Gallery.of(np.arange(50) * 2, rows)
    bias = np.random.default_rng(0).normal(size=50).astype(np.float32)
    own = KeyLists.of([[i * 2] for i in range(9)])
    for size in (1, 120, 1 << 22):
        hits = whole(queries, gallery, without=own, correct=lambda scores: scores + bias, size=size)
        scores = queries.astype(np.float64) @ rows.T + bias
        scores[:, 30] = scores[:, 4]  # items of equal content stay tied, though the correction tells them apart
        for row in range(9):
            order = [at for at in np.lexsort((np.arange(50), -scores[row])).tolist() if at != row]
            assert hits.keys[row, :-1].tolist() == [2 * at for at in order]
    unchanged = whole(queries, gallery, correct=lambda scores: scores, k=3)
    assert np.array_equal(unchanged.keys, whole(queries, gallery, k=3).keys)
