"""R@k as retrieval papers write it: whether any relevant item stands in the first k places.

Image-to-text R@k of captioned sets is this (any of the image's captions), and so is the R@K of metric-learning papers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nearsight.core.relevance import Relevance
from nearsight.measure.judged import Floats, Judged
from nearsight.measure.metrics import Metric, require_k


@dataclass(frozen=True)
class Hit(Metric):
    """1 where a relevant item stands in the first k places, else 0; with ties, the probability of it."""

    k: int

    def depth(self, relevance: Relevance) -> int | None:
        return self.k

    def expected(self, judged: Judged) -> Floats:
        return judged.total(judged.first * judged.within(self.k))

    def naive(self, right: Sequence[bool], relevant: int) -> float:
        return float(any(right[: self.k]))


def build(*, k: int = 1) -> Metric:
    """Any relevant item in the first k places."""
    definition = f"1 where any relevant item stands in the first {require_k(k)} places, else 0"
    return Hit(f"hit@{k}", f"R@{k}", definition, k)
