"""P@k: the share of the first k places that is relevant.

The divisor is k, also where fewer than k relevant items exist: a perfect ranking then stays under 1. P@1 of a labelled
set is its R@1 (hit@1). It is not the accuracy of a nearest-neighbour classifier, which votes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nearsight.core.relevance import Relevance
from nearsight.measure.judged import Floats, Judged
from nearsight.measure.metrics import Metric, require_k


@dataclass(frozen=True)
class Precision(Metric):
    """Relevant items in the first k places, divided by k."""

    k: int

    def depth(self, relevance: Relevance) -> int | None:
        return self.k

    def expected(self, judged: Judged) -> Floats:
        return judged.total(judged.gain * judged.within(self.k)) / self.k

    def naive(self, right: Sequence[bool], relevant: int) -> float:
        return sum(right[: self.k]) / self.k


def build(*, k: int = 1) -> Metric:
    """Relevant items in the first k places, divided by k."""
    definition = f"relevant items in the first {require_k(k)} places, divided by {k}"
    return Precision(f"precision@{k}", f"P@{k}", definition, k)
