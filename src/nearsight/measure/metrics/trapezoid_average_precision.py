"""AP as the area under the precision-recall curve by the trapezoid rule, as Revisited Oxford and Paris compute it.

For each relevant item, the mean of the precision at its place and at the place before it (1 at the very top), divided
by R: Philbin et al., CVPR 2007; Radenovic et al., CVPR 2018. Not the same number as AP: say which one is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearsight.core.relevance import Relevance
from nearsight.measure.judged import Floats, Judged
from nearsight.measure.metrics import Metric


@dataclass(frozen=True)
class TrapezoidAveragePrecision(Metric):
    """(1/R) * sum over relevant places i of (P@(i-1) + P@i) / 2, where P@0 = 1."""

    def depth(self, relevance: Relevance) -> int | None:
        return None

    def expected(self, judged: Judged) -> Floats:
        place = judged.place
        before = np.where(place == 1, 1.0, (judged.found - 1) / np.maximum(place - 1, 1))
        area = judged.gain * (before + judged.found / place) / 2
        return judged.total(area) / np.maximum(judged.counts, 1)

    def naive(self, right: Sequence[bool], relevant: int) -> float:
        found, total = 0, 0.0
        for place, is_right in enumerate(right, start=1):
            if is_right:
                before = found / (place - 1) if place > 1 else 1.0
                found += 1
                total += (before + found / place) / 2
        return total / relevant


def build() -> Metric:
    """Area under precision-recall by trapezoids, over the whole gallery."""
    definition = "sum of (P@(i-1) + P@i)/2 over the relevant places i of the whole gallery (P@0 = 1), divided by R"
    return TrapezoidAveragePrecision("trapezoid_average_precision", "mAP (trapezoid)", definition)
