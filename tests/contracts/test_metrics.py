"""Every metric in ``nearsight.measure.metrics`` is found and judged here."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearsight.core.arrays import Hits, ranked
from nearsight.core.errors import MeasureError
from nearsight.core.relevance import Listed
from nearsight.measure.intervals import chance
from nearsight.measure.metrics import METRICS, Metric

ADDRESSES = [
    address
    for name in METRICS.names()
    for address in ([name, f"{name}@1", f"{name}@3"] if any(o.name == "k" for o in METRICS.options(name)) else [name])
]
every_metric = pytest.mark.parametrize("metric", [METRICS.build(a) for a in ADDRESSES], ids=ADDRESSES)


def ranking(pattern: list[bool], scores: list[float] | None = None) -> tuple[Hits, Listed]:
    """One query: relevant items where `pattern` says so, in the order of `scores` (falling by default)."""
    n = len(pattern)
    keys = np.arange(n, dtype=np.int64)
    values = -np.arange(n, dtype=np.float32) if scores is None else np.array(scores, dtype=np.float32)
    relevance = Listed.of([[i for i, right in enumerate(pattern) if right]], keys)
    return ranked(keys[None], values[None], n), relevance


def test_there_are_metrics_to_judge() -> None:
    assert {"average_precision", "hit", "median_rank", "ndcg", "precision", "recall"} <= set(METRICS.names())


@every_metric
def test_says_what_it_is(metric: Metric) -> None:
    assert metric.label
    assert metric.definition
    assert METRICS.build(metric.address) == metric
    assert METRICS.help(metric.address.split("@")[0])


@every_metric
@settings(max_examples=60, deadline=None)
@given(pattern=st.lists(st.booleans(), min_size=1, max_size=25).filter(any))
def test_agrees_with_the_loop(metric: Metric, pattern: list[bool]) -> None:
    assert metric(*ranking(pattern))[0] == pytest.approx(metric.naive(pattern, sum(pattern)), abs=1e-12)


@every_metric
@settings(max_examples=40, deadline=None)
@given(
    items=st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.3])), min_size=1, max_size=6).filter(
        lambda items: any(right for right, _ in items)
    )
)
def test_ties_are_the_mean_over_all_orders(metric: Metric, items: list[tuple[bool, float]]) -> None:
    pattern, scores = [right for right, _ in items], [score for _, score in items]
    orders = [
        order
        for order in itertools.permutations(range(len(items)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    mean = np.mean([metric.naive([pattern[i] for i in order], sum(pattern)) for order in orders])
    assert metric(*ranking(pattern, scores))[0] == pytest.approx(mean, abs=1e-12)


@every_metric
def test_many_queries_at_once_are_the_same_as_one_by_one(metric: Metric) -> None:
    rng = np.random.default_rng(3)
    keys = np.arange(40, dtype=np.int64)
    scores = np.round(rng.random((30, 40)), 1).astype(np.float32)
    scores[::3] = rng.permuted(np.tile(np.arange(40, dtype=np.float32), (10, 1)), axis=1)  # without ties
    lists = [rng.choice(40, size=rng.integers(0, 12), replace=False).tolist() for _ in range(30)]
    hits, relevance = ranked(np.tile(keys, (30, 1)), scores, 40), Listed.of(lists, keys)
    together = metric(hits, relevance)
    for row in range(30):
        part = slice(row, row + 1)
        alone = metric(Hits(hits.keys[part], hits.scores[part]), relevance.rows(part))[0]
        np.testing.assert_allclose(together[row], alone, rtol=0, atol=1e-12)
    assert np.array_equal(np.isnan(together), [not wanted for wanted in lists])


@every_metric
def test_shuffling_the_gallery_changes_nothing(metric: Metric) -> None:
    rng = np.random.default_rng(0)
    n = 30
    keys, scores = np.arange(n, dtype=np.int64), np.round(rng.random(n), 1).astype(np.float32)
    wanted = rng.random(n) < 0.3
    values = set()
    for _ in range(5):
        names = rng.permutation(n).astype(np.int64)  # the order within ties follows the keys: rename them
        relevance = Listed.of([names[wanted].tolist()], keys)
        values.add(round(float(metric(ranked(names[None], scores[None], n), relevance)[0]), 12))
    assert len(values) == 1


@every_metric
@settings(max_examples=40, deadline=None)
@given(items=st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=20))
def test_stays_in_its_range_and_never_beats_a_perfect_ranking(metric: Metric, items: list[tuple[bool, int]]) -> None:
    pattern, scores = [right for right, _ in items], [float(score) for _, score in items]
    value = metric(*ranking(pattern, scores))
    assert value.dtype == np.float64
    assert value.shape == (1,)
    if not any(pattern):
        assert np.isnan(value[0])
        return
    perfect = metric(*ranking(sorted(pattern, reverse=True)))[0]
    if metric.unit == "rank":
        assert 1 == perfect <= value[0] <= len(items)
    else:
        assert 0 <= value[0] <= perfect <= 1


@every_metric
def test_a_perfect_ranking_is_worth_one(metric: Metric) -> None:
    found = getattr(metric, "k", None) or 5
    worth = found / 5 if metric.address.startswith("recall@") and found < 5 else 1  # the rest has no room
    assert metric(*ranking([True] * 5 + [False] * 5))[0] == worth


@every_metric
@settings(max_examples=40, deadline=None)
@given(pattern=st.lists(st.booleans(), min_size=2, max_size=20).filter(any), data=st.data())
def test_moving_a_relevant_item_up_never_hurts(metric: Metric, pattern: list[bool], data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(pattern) - 1))
    better = list(pattern)
    if pattern[at] and not pattern[at - 1]:
        better[at - 1], better[at] = True, False
    sign = 1 if metric.unit == "share" else -1
    assert sign * metric(*ranking(better))[0] >= sign * metric(*ranking(pattern))[0] - 1e-12


@every_metric
def test_self_is_removed_by_identity_though_a_duplicate_stands_first(metric: Metric) -> None:
    # the query is item 0; its byte-identical twin, item 1, is not relevant and was ranked before it
    keys = np.array([[1, 0, 2, 3]], dtype=np.int64)
    hits = Hits(keys, np.array([[1.0, 1.0, 0.5, 0.2]], dtype=np.float32))
    relevance = Listed.of([[0, 2]], np.arange(4), own=np.array([0]))
    assert relevance.counts.tolist() == [1]
    with pytest.raises(MeasureError, match="own") as caught:
        metric(hits, relevance)
    assert caught.value.code == "measure/own"
    value = metric(relevance.strip(hits), relevance)[0]
    assert value == pytest.approx(metric.naive([False, True, False], 1))


@every_metric
def test_too_short_a_ranking_is_refused(metric: Metric) -> None:
    hits, relevance = ranking([False, True] * 10)
    depth = metric.depth(relevance)
    needed = 20 if depth is None else depth
    metric(hits.first(needed), relevance)
    if needed > 1:
        with pytest.raises(MeasureError) as caught:
            metric(hits.first(needed - 1), relevance)
        assert caught.value.code == "measure/depth"


@every_metric
def test_what_was_not_found_counts_as_missed(metric: Metric) -> None:
    hits, relevance = ranking([False, True, False, True, False])
    holes = ranked(np.where(hits.keys == 3, -1, hits.keys), hits.scores, 5)
    assert metric(holes, relevance)[0] == pytest.approx(metric.naive([False, True, False, False, False], 2))
    nothing = Hits(np.full((1, 5), -1), np.full((1, 5), -np.inf, dtype=np.float32))
    assert metric(nothing, relevance)[0] == (0 if metric.unit == "share" else 4)


@every_metric
def test_chance_is_the_mean_of_random_rankings(metric: Metric) -> None:
    exact = [
        np.mean([metric.naive(list(order), sum(order)) for order in set(itertools.permutations(p))])
        for p in ([True] + [False] * 4, [True] * 3 + [False] * 3, [True] * 4)
    ]
    counts, sizes = np.array([1, 3, 4, 0]), np.array([5, 6, 4, 5])
    np.testing.assert_allclose(chance(metric, counts, sizes), [*exact, np.nan], atol=1e-12)
