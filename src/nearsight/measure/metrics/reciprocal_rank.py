"""MRR: one divided by the place of the first relevant item. With k, 0 where it stands behind place k."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nearsight.core.relevance import Relevance
from nearsight.measure.judged import Floats, Judged
from nearsight.measure.metrics import Metric, require_k


@dataclass(frozen=True)
class ReciprocalRank(Metric):
    """1 / place of the first relevant item."""

    k: int | None

    def depth(self, relevance: Relevance) -> int | None:
        return self.k

    def expected(self, judged: Judged) -> Floats:
        inverse = judged.first / judged.place
        return judged.total(inverse if self.k is None else inverse * judged.within(self.k))

    def naive(self, right: Sequence[bool], relevant: int) -> float:
        for place, is_right in enumerate(right[: self.k], start=1):
            if is_right:
                return 1 / place
        return 0.0


def build(*, k: int | None = None) -> Metric:
    """1 / place of the first relevant item; with k, 0 where that is behind place k."""
    if k is None:
        return ReciprocalRank("reciprocal_rank", "MRR", "1 / place of the first relevant item", None)
    definition = f"1 / place of the first relevant item, 0 where that is behind place {require_k(k)}"
    return ReciprocalRank(f"reciprocal_rank@{k}", f"MRR@{k}", definition, k)
