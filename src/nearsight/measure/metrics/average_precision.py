"""Average precision: the mean over the relevant items of the precision at their places.

AP = (1/R) * sum over places i of P@i * rel_i, over the whole gallery, R = relevant items in the gallery. Its mean over
queries is mAP. With k, the sum is cut at k and divided by min(R, k), the most that could be found there: AP@k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearsight.core.relevance import Relevance
from nearsight.measure.judged import Floats, Judged
from nearsight.measure.metrics import Metric, require_k


@dataclass(frozen=True)
class AveragePrecision(Metric):
    """AP, or AP@k / min(R, k)."""

    k: int | None

    def depth(self, relevance: Relevance) -> int | None:
        return self.k

    def expected(self, judged: Judged) -> Floats:
        precision = judged.gain * judged.found / judged.place
        if self.k is None:
            return judged.total(precision) / np.maximum(judged.counts, 1)
        return judged.total(precision * judged.within(self.k)) / np.clip(judged.counts, 1, self.k)

    def naive(self, right: Sequence[bool], relevant: int) -> float:
        found, total = 0, 0.0
        for place, is_right in enumerate(right[: self.k], start=1):
            if is_right:
                found += 1
                total += found / place
        return total / (relevant if self.k is None else min(relevant, self.k))


def build(*, k: int | None = None) -> Metric:
    """AP over the whole gallery, or cut at k and divided by min(R, k)."""
    if k is None:
        definition = "sum of P@i over the relevant places i of the whole gallery, divided by R"
        return AveragePrecision("average_precision", "mAP", definition, None)
    definition = f"sum of P@i over the relevant places i <= {require_k(k)}, divided by min(R, {k})"
    return AveragePrecision(f"average_precision@{k}", f"mAP@{k} /min(R,{k})", definition, k)
