"""nDCG: gains discounted by log2(1 + place), divided by those of a perfect ranking.

Jarvelin and Kekalainen, "Cumulated gain-based evaluation of IR techniques" (TOIS 2002), with relevance 0 or 1. With k,
the sum and the perfect ranking are both cut at k.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearsight.core.relevance import Relevance
from nearsight.measure.judged import Floats, Judged
from nearsight.measure.metrics import Metric, require_k


@dataclass(frozen=True)
class Ndcg(Metric):
    """sum of rel_i / log2(1 + i), divided by the same of a perfect ranking."""

    k: int | None

    def depth(self, relevance: Relevance) -> int | None:
        return self.k

    def expected(self, judged: Judged) -> Floats:
        worth = judged.gain / np.log2(1 + judged.place)
        found = judged.total(worth if self.k is None else worth * judged.within(self.k))
        best = judged.counts if self.k is None else np.minimum(judged.counts, self.k)
        ideal = np.append(0.0, np.cumsum(1 / np.log2(2 + np.arange(best.max(initial=1)))))
        values: Floats = found / ideal[np.maximum(best, 1)]
        return values

    def naive(self, right: Sequence[bool], relevant: int) -> float:
        depth = len(right) if self.k is None else self.k
        worth = sum(1 / math.log2(1 + place) for place, it in enumerate(right[:depth], start=1) if it)
        return worth / sum(1 / math.log2(1 + place) for place in range(1, min(relevant, depth) + 1))


def build(*, k: int | None = None) -> Metric:
    """Discounted gain over that of a perfect ranking, both cut at k where it is given."""
    if k is None:
        definition = "sum of 1/log2(1+i) over the relevant places i, divided by that of a perfect ranking"
        return Ndcg("ndcg", "nDCG", definition, None)
    definition = (
        f"sum of 1/log2(1+i) over the relevant places i <= {require_k(k)}, divided by that of a perfect ranking"
    )
    return Ndcg(f"ndcg@{k}", f"nDCG@{k}", definition, k)
