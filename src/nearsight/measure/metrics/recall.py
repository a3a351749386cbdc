"""recall@k: the fraction of the relevant items that stands in the first k places.

Not the "R@K" of retrieval papers, which asks whether any relevant item is there: that one is hit@k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearsight.core.relevance import Relevance
from nearsight.measure.judged import Floats, Judged
from nearsight.measure.metrics import Metric, require_k


@dataclass(frozen=True)
class Recall(Metric):
    """Relevant items in the first k places, divided by R."""

    k: int

    def depth(self, relevance: Relevance) -> int | None:
        return self.k

    def expected(self, judged: Judged) -> Floats:
        return judged.total(judged.gain * judged.within(self.k)) / np.maximum(judged.counts, 1)

    def naive(self, right: Sequence[bool], relevant: int) -> float:
        return sum(right[: self.k]) / relevant


def build(*, k: int = 10) -> Metric:
    """Relevant items in the first k places, divided by R."""
    definition = f"relevant items in the first {require_k(k)} places, divided by R"
    return Recall(f"recall@{k}", f"recall@{k}", definition, k)
