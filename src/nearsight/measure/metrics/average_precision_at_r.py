"""mAP@R: average precision cut at R and divided by R, R = the query's relevant items.

Musgrave, Belongie and Lim, "A Metric Learning Reality Check" (ECCV 2020). Its AP@R is never above AP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearsight.core.relevance import Relevance
from nearsight.measure.judged import Floats, Judged
from nearsight.measure.metrics import Metric, longest


@dataclass(frozen=True)
class AveragePrecisionAtR(Metric):
    """(1/R) * sum over places i <= R of P@i * rel_i."""

    def depth(self, relevance: Relevance) -> int | None:
        return longest(relevance)

    def expected(self, judged: Judged) -> Floats:
        precision = judged.gain * judged.found / judged.place
        return judged.total(precision * judged.within(judged.counts)) / np.maximum(judged.counts, 1)

    def naive(self, right: Sequence[bool], relevant: int) -> float:
        found, total = 0, 0.0
        for place, is_right in enumerate(right[:relevant], start=1):
            if is_right:
                found += 1
                total += found / place
        return total / relevant


def build() -> Metric:
    """AP cut at R, divided by R."""
    definition = "sum of P@i over the relevant places i <= R, divided by R"
    return AveragePrecisionAtR("average_precision_at_r", "mAP@R", definition)
