from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nearsight.core.arrays import Hits, unit
from nearsight.core.errors import MeasureError
from nearsight.core.relevance import NO_GROUP, ByGroup, Grouped
from nearsight.measure.evaluate import as_ordered, evaluate, evaluate_hits, evaluating, split_loss
from nearsight.measure.intervals import bootstrap, chance, paired
from nearsight.measure.metrics import METRICS
from nearsight.measure.protocol import Card, differences, digest, require_comparable
from nearsight.measure.ranking import Gallery, rank

METRIC = METRICS.build("average_precision")
CARD = Card("mit", "test->train", "q", "g", "by key", "e", "exact", {"mAP": "..."})


def scene(n: int = 120, seed: int = 0) -> tuple[np.ndarray, ByGroup, Gallery]:
    """Noisy clusters; every item queries the others. Group 3 has one member: a lone query."""
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 3, n)
    groups[0], groups[1] = 3, NO_GROUP
    rows = unit(np.eye(8)[np.maximum(groups, 0)] + 0.5 * rng.normal(size=(n, 8)))
    keys = np.arange(n, dtype=np.int64)
    return rows, ByGroup(groups, keys, Grouped.of(keys, groups), ("a", "b", "c", "d")), Gallery.of(keys, rows)


def test_lone_queries_are_left_out_and_counted_and_classes_add_up() -> None:
    rows, relevance, gallery = scene()
    measures = evaluate(rows, gallery, relevance, [METRIC, METRICS.build("median_rank")], samples=50)
    assert (measures.queries, measures.lone) == (118, 2)
    ap = measures["mAP"]
    assert np.isnan(ap.values[:2]).all()
    assert ap.interval.value == pytest.approx(np.nanmean(ap.values))
    assert ap.interval.low < ap.interval.value < ap.interval.high
    assert [c.name for c in measures.classes] == ["a", "b", "c"]
    assert sum(c.queries for c in measures.classes) == 118
    assert sum(c.queries * c.values[0] for c in measures.classes) / 118 == pytest.approx(ap.interval.value)
    assert measures["median rank"].interval.value == np.nanmedian(measures["median rank"].values)
    with pytest.raises(MeasureError, match="not measured"):
        measures["nDCG"]


def test_every_average_precision_agrees_with_a_loop() -> None:
    rows, relevance, gallery = scene(60)
    values = evaluate(rows, gallery, relevance, [METRIC], samples=1).rows[0].values
    scores = rows.astype(np.float64) @ rows.T.astype(np.float64)
    for query in range(2, 60):
        order = [i for i in np.argsort(-scores[query]).tolist() if i != query]
        right = [relevance.groups[i] == relevance.groups[query] for i in order]
        assert values[query] == pytest.approx(METRIC.naive(right, sum(right)), abs=1e-12)


def test_cut_at_k_with_ties_is_what_the_whole_ranking_says() -> None:
    rows, relevance, gallery = scene()
    rows[20:70] = rows[30]  # one large tie across every cut
    gallery = Gallery.of(gallery.keys, rows)
    metrics = [METRICS.build(a) for a in ("precision@5", "hit@1", "ndcg@10", "average_precision@7", "recall@3")]
    cut = evaluate(rows, gallery, relevance, metrics, samples=1)
    whole = evaluate(rows, gallery, relevance, [*metrics, METRIC], samples=1)
    for metric in metrics:
        np.testing.assert_allclose(cut[metric.label].values, whole[metric.label].values, atol=1e-12)


def test_the_gallery_in_another_order_gives_the_same_to_the_last_bit() -> None:
    rows, relevance, gallery = scene()
    order = np.random.default_rng(5).permutation(len(rows))
    one = evaluate(rows, gallery, relevance, [METRIC]).rows[0]
    two = evaluate(rows, Gallery.of(gallery.keys[order], rows[order]), relevance, [METRIC]).rows[0]
    assert np.array_equal(one.values, two.values, equal_nan=True)
    assert one.interval == two.interval


def test_blocks_that_leave_a_query_out_are_refused() -> None:
    rows, relevance, gallery = scene(20)
    blocks = list(rank(rows, gallery, without=relevance.removed(), size=40))
    assert len(blocks) == 10
    for broken in (blocks[1:], blocks[:-1], blocks[:3] + blocks[4:]):
        with pytest.raises(MeasureError, match="no ranking"):
            list(evaluating(broken, relevance, [METRIC]))


def test_the_loss_of_an_approximate_answer_splits_into_parts_that_add_up() -> None:
    rows, relevance, gallery = scene(80)
    rows[10:16] = rows[12]
    gallery = Gallery.of(gallery.keys, rows)
    exact = np.concatenate(
        [METRIC(h, relevance.rows(part)) for part, h in rank(rows, gallery, without=relevance.removed())]
    )
    (_, full), *_ = rank(rows, gallery)
    missed = Hits(  # the index brought every second item only
        np.pad(full.keys[:, ::2], ((0, 0), (0, 40)), constant_values=-1),
        np.pad(full.scores[:, ::2], ((0, 0), (0, 40)), constant_values=-np.inf),
    )
    averaged = evaluate_hits(missed, relevance, [METRIC], samples=1).rows[0].values
    ordered = evaluate_hits(as_ordered(relevance.strip(missed)), relevance, [METRIC], samples=1).rows[0].values
    loss = split_loss(exact, averaged, ordered)
    assert loss.model == pytest.approx(1 - np.nanmean(exact))
    assert loss.index > 0.1
    assert loss.total == pytest.approx(1 - np.nanmean(ordered))
    none = split_loss(exact, evaluate_hits(full, relevance, [METRIC], samples=1).rows[0].values, exact)
    assert none.index == 0
    assert none.ties == 0


def test_chance_for_classes_is_about_the_sum_of_squared_shares() -> None:
    shares = np.array([0.5, 0.3, 0.2])
    sizes = (shares * 2000).astype(np.int64)
    floor = chance(METRIC, np.repeat(sizes - 1, sizes), np.full(2000, 1999)).mean()
    assert floor == pytest.approx((shares**2).sum(), abs=0.005)
    h = (1 / np.arange(1, 101)).sum()
    assert chance(METRIC, np.array([7]), np.array([100]))[0] == pytest.approx((h + 6 * (100 - h) / 99) / 100, abs=1e-12)
    assert chance(METRICS.build("precision@5"), np.array([7]), np.array([100]))[0] == pytest.approx(0.07)


def test_bootstrap_is_seeded_and_covers() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(200)
    values[3] = np.nan
    assert bootstrap(values, seed=1) == bootstrap(values, seed=1)
    assert bootstrap(values, seed=1) != bootstrap(values, seed=2)
    found = bootstrap(values, samples=4000)
    spread = 1.96 * np.nanstd(values) / np.sqrt(199)
    assert found.low == pytest.approx(found.value - spread, abs=spread / 8)
    assert found.high == pytest.approx(found.value + spread, abs=spread / 8)
    covered = [(i := bootstrap(rng.random(60), samples=300, seed=s)).low <= 0.5 <= i.high for s in range(200)]
    assert 0.88 < np.mean(covered) < 0.99
    assert np.isnan(bootstrap(np.array([np.nan])).value)
    with pytest.raises(MeasureError, match="samples"):
        bootstrap(values, samples=0)


def test_pairing_sees_a_small_steady_difference() -> None:
    rng = np.random.default_rng(0)
    a = rng.random(100)
    b = a + 0.02 + 0.01 * rng.normal(size=100)
    found = paired(a, b)
    assert 0.015 < found.low < found.value < found.high < 0.025
    assert bootstrap(a).high > bootstrap(b).low  # apart, nothing would be seen
    with pytest.raises(MeasureError, match="same queries"):
        paired(a, b[1:])


def test_cards_that_differ_are_refused_by_field() -> None:
    other = replace(CARD, gallery="h", seeds={"bootstrap": 3})
    assert set(differences(CARD, other)) == {"gallery", "seeds"}
    require_comparable(CARD, replace(CARD))
    with pytest.raises(MeasureError) as caught:
        require_comparable(CARD, other, varying=["seeds"])
    assert caught.value.code == "measure/protocol"
    assert "gallery: g against h" in str(caught.value)
    assert "seeds" not in str(caught.value)
    require_comparable(CARD, other, varying=["seeds", "gallery"])
    with pytest.raises(MeasureError, match="no field colour"):
        require_comparable(CARD, CARD, varying=["colour"])


@pytest.mark.parametrize("name", list(CARD.to_json()))
def test_every_field_of_the_card_counts(name: str) -> None:
    value = {"metrics": {"mAP": "other"}, "seeds": {"x": 1}, "transductive": ("qe",)}.get(name, "other")
    other = replace(CARD, **{name: value})
    assert list(differences(CARD, other)) == [name]
    assert Card.from_json(other.to_json()) == other


def test_a_card_of_another_version_is_refused() -> None:
    with pytest.raises(MeasureError, match="extra"):
        Card.from_json({**CARD.to_json(), "extra": 1})


def test_digests_forget_the_order_and_nothing_else() -> None:
    assert digest(["1 a x", "2 b y"]) == digest(["2 b y", "1 a x"])
    assert digest(["1 a x"]) != digest(["1 a y"])
    assert digest(["1 a x", "1 a x"]) != digest(["1 a x"])
