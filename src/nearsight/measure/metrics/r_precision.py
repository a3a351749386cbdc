"""R-precision: precision at R, R = the query's relevant items; there it is the same as the recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearsight.core.relevance import Relevance
from nearsight.measure.judged import Floats, Judged
from nearsight.measure.metrics import Metric, longest


@dataclass(frozen=True)
class RPrecision(Metric):
    """Relevant items in the first R places, divided by R."""

    def depth(self, relevance: Relevance) -> int | None:
        return longest(relevance)

    def expected(self, judged: Judged) -> Floats:
        return judged.total(judged.gain * judged.within(judged.counts)) / np.maximum(judged.counts, 1)

    def naive(self, right: Sequence[bool], relevant: int) -> float:
        return sum(right[:relevant]) / relevant


def build() -> Metric:
    """Relevant items in the first R places, divided by R."""
    return RPrecision("r_precision", "R-precision", "relevant items in the first R places, divided by R")
