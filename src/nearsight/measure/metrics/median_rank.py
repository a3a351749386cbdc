"""The place of the first relevant item, from 1; summed up by the median over queries. Less is better.

In ranks, not in [0, 1]. Where an answer does not reach the first relevant item, the worst place it can have counts:
N - R + 1, which is finite and flatters nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from nearsight.core.relevance import Relevance
from nearsight.measure.judged import Floats, Judged
from nearsight.measure.metrics import Metric


@dataclass(frozen=True)
class MedianRank(Metric):
    """Place of the first relevant item (its expectation, with ties)."""

    summary: ClassVar[Literal["mean", "median"]] = "median"
    unit: ClassVar[Literal["share", "rank"]] = "rank"

    def depth(self, relevance: Relevance) -> int | None:
        return None

    def expected(self, judged: Judged) -> Floats:
        reached = np.minimum(judged.total(judged.first), 1.0)
        worst = judged.sizes - judged.counts + 1
        rank: Floats = judged.total(judged.first * judged.place) + (1 - reached) * worst
        return rank

    def naive(self, right: Sequence[bool], relevant: int) -> float:
        for place, is_right in enumerate(right, start=1):
            if is_right:
                return float(place)
        return float(len(right) - relevant + 1)


def build() -> Metric:
    """Place of the first relevant item; the median over queries."""
    definition = "median over queries of the place of the first relevant item, from 1"
    return MedianRank("median_rank", "median rank", definition)
