"""The ranking 0110010010 with R = 4, worked by hand, and what other libraries answer (docs/measures.md)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nearsight.core.arrays import Hits, ranked
from nearsight.core.relevance import Listed
from nearsight.measure.evaluate import as_ordered
from nearsight.measure.intervals import chance
from nearsight.measure.metrics import METRICS

RIGHT = [bool(int(c)) for c in "0110010010"]
KEYS = np.arange(10, dtype=np.int64)
RELEVANCE = Listed.of([[i for i, right in enumerate(RIGHT) if right]], KEYS)


def hits(scores: np.ndarray) -> Hits:
    return ranked(KEYS[None], scores.astype(np.float32)[None], 10)


STRICT = hits(np.linspace(0.9, 0.1, 10))
TIED = hits(np.full(10, 0.5))

# relevant at places 2, 3, 6, 9: precisions 1/2, 2/3, 3/6, 4/9
BY_HAND = {
    "average_precision": (1 / 2 + 2 / 3 + 3 / 6 + 4 / 9) / 4,
    "average_precision@5": (1 / 2 + 2 / 3) / 4,
    "average_precision@3": (1 / 2 + 2 / 3) / 3,
    "average_precision_at_r": (1 / 2 + 2 / 3) / 4,
    # (P@(i-1) + P@i) / 2: (0/1 + 1/2)/2, (1/2 + 2/3)/2, (2/5 + 3/6)/2, (3/8 + 4/9)/2
    "trapezoid_average_precision": (1 / 4 + 7 / 12 + 9 / 20 + 59 / 144) / 4,
    "precision@1": 0,
    "precision@5": 2 / 5,
    "recall@5": 2 / 4,
    "recall@10": 1,
    "hit@1": 0,
    "hit@2": 1,
    "reciprocal_rank": 1 / 2,
    "reciprocal_rank@1": 0,
    "r_precision": 2 / 4,
    "median_rank": 2,
    "ndcg": (1 / math.log2(3) + 1 / 2 + 1 / math.log2(7) + 1 / math.log2(10))
    / (1 + 1 / math.log2(3) + 1 / 2 + 1 / math.log2(5)),
    "ndcg@5": (1 / math.log2(3) + 1 / 2) / (1 + 1 / math.log2(3) + 1 / 2 + 1 / math.log2(5)),
}


@pytest.mark.parametrize("address", BY_HAND)
def test_by_hand(address: str) -> None:
    assert METRICS.build(address)(STRICT, RELEVANCE)[0] == pytest.approx(BY_HAND[address], abs=1e-12)


def test_the_published_figures() -> None:
    def value(address: str, of: Hits = STRICT) -> float:
        return round(float(METRICS.build(address)(of, RELEVANCE)[0]), 6)

    assert value("average_precision") == 0.527778
    assert value("average_precision@5") == 0.291667
    assert value("average_precision_at_r") == 0.291667
    assert value("trapezoid_average_precision") == 0.423264
    assert value("average_precision", TIED) == 0.528598  # where the mean over random orders is .528
    assert value("average_precision", as_ordered(TIED)) == 0.527778  # ties broken by key: this very order


def test_all_tied_is_the_mean_of_random_orders_and_the_chance_floor() -> None:
    rng = np.random.default_rng(0)
    metric = METRICS.build("average_precision")
    drawn = [metric.naive(rng.permutation(RIGHT).tolist(), 4) for _ in range(20_000)]
    tied = metric(TIED, RELEVANCE)[0]
    assert tied == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / math.sqrt(len(drawn)))
    assert chance(metric, np.array([4]), np.array([10]))[0] == pytest.approx(tied, abs=1e-12)
    h = sum(1 / i for i in range(1, 11))
    assert tied == pytest.approx((h + 3 * (10 - h) / 9) / 10, abs=1e-12)


def test_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score, ndcg_score

    order = STRICT.scores[0]
    assert METRICS.build("average_precision")(STRICT, RELEVANCE)[0] == pytest.approx(
        average_precision_score(RIGHT, order)
    )
    for address, k in (("ndcg", None), ("ndcg@5", 5)):
        for ours, scores in ((STRICT, order), (TIED, np.full(10, 0.5))):  # it averages over ties in nDCG, as we do
            theirs = ndcg_score([RIGHT], [scores], k=k)
            assert METRICS.build(address)(ours, RELEVANCE)[0] == pytest.approx(theirs)
    # and takes tied items as one step in AP: R/N where all are tied
    assert average_precision_score(RIGHT, np.full(10, 0.5)) == pytest.approx(0.4)


@pytest.mark.slow  # numba compiles ranx for a minute the first time
@pytest.mark.filterwarnings("ignore")  # numba
def test_ranx() -> None:
    ranx = pytest.importorskip("ranx", exc_type=ImportError)
    qrels = ranx.Qrels({"q": {f"{i:02}": int(right) for i, right in enumerate(RIGHT) if right}})
    run = ranx.Run({"q": {f"{i:02}": float(score) for i, score in enumerate(STRICT.scores[0])}})
    for ours, theirs in {
        "average_precision": "map",
        "precision@5": "precision@5",
        "recall@5": "recall@5",
        "hit@2": "hit_rate@2",
        "reciprocal_rank": "mrr",
        "r_precision": "r-precision",
        "ndcg": "ndcg",
        "ndcg@5": "ndcg@5",
    }.items():
        value = float(ranx.evaluate(qrels, run, theirs))
        assert METRICS.build(ours)(STRICT, RELEVANCE)[0] == pytest.approx(value, abs=1e-6), theirs
    # its map@k divides by R; ours by min(R, k): the same for k = 5 >= R, not for k = 3
    assert float(ranx.evaluate(qrels, run, "map@5")) == pytest.approx(BY_HAND["average_precision@5"], abs=1e-6)
    assert float(ranx.evaluate(qrels, run, "map@3")) == pytest.approx((1 / 2 + 2 / 3) / 4, abs=1e-6)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")  # torchmetrics' own deprecations
def test_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    retrieval = pytest.importorskip("torchmetrics.functional.retrieval")
    scores, target = torch.from_numpy(STRICT.scores[0].copy()), torch.tensor(RIGHT)
    for ours, theirs in {
        "average_precision": retrieval.retrieval_average_precision(scores, target),
        "precision@5": retrieval.retrieval_precision(scores, target, top_k=5),
        "recall@5": retrieval.retrieval_recall(scores, target, top_k=5),
        "hit@2": retrieval.retrieval_hit_rate(scores, target, top_k=2),
        "reciprocal_rank": retrieval.retrieval_reciprocal_rank(scores, target),
        "r_precision": retrieval.retrieval_r_precision(scores, target),
        "ndcg": retrieval.retrieval_normalized_dcg(scores, target.int()),
        "ndcg@5": retrieval.retrieval_normalized_dcg(scores, target.int(), top_k=5),
    }.items():
        assert METRICS.build(ours)(STRICT, RELEVANCE)[0] == pytest.approx(float(theirs), abs=1e-6), ours
    # its AP@k divides by the relevant items that were found
    assert float(retrieval.retrieval_average_precision(scores, target, top_k=5)) == pytest.approx(7 / 12, abs=1e-6)
    # and takes relevance away where a score is not above 0
    below = float(retrieval.retrieval_average_precision(scores - 1, target))
    assert below == 0.0
