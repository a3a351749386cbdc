"""How good a ranking is: one number a query.

To add a metric, write ``metrics/NAME.py`` with a docstring and ``build(*, option=default, ...) -> Metric``.
tests/contracts/test_metrics.py finds it and holds it to this: the value is the mean over all orders of tied items (so
that the order of the gallery means nothing), in [0, 1] (unless it is in ranks), never better than that of a perfect
ranking, NaN for a query with nothing to find, and equal to ``naive``, its definition spelled as a loop over one ranking
without ties.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from nearsight.core.arrays import Hits
from nearsight.core.errors import MeasureError
from nearsight.core.registry import Catalogue
from nearsight.core.relevance import Relevance
from nearsight.measure.judged import Floats, Judged, judge

METRICS = Catalogue("nearsight.measure.metrics", "metric")


@dataclass(frozen=True)
class Metric(ABC):
    """A measure of one ranking. Its mean (or median) over queries is taken in `measure.evaluate` and nowhere else."""

    address: str
    """The component address that builds it again: ``precision@5``."""
    label: str
    """What stands at the top of a column: ``P@5``."""
    definition: str
    """One line with the divisor; it goes onto the protocol card."""
    summary: ClassVar[Literal["mean", "median"]] = "mean"
    """How the values of queries become one."""
    unit: ClassVar[Literal["share", "rank"]] = "share"
    """``share``: in [0, 1], more is better. ``rank``: a place from 1, less is better."""

    @abstractmethod
    def depth(self, relevance: Relevance) -> int | None:
        """How many places of a ranking it looks at; None: the whole gallery."""

    @abstractmethod
    def expected(self, judged: Judged) -> Floats:
        """(q,) values; what stands for queries without a relevant item is never looked at."""

    @abstractmethod
    def naive(self, right: Sequence[bool], relevant: int) -> float:
        """The definition, as a loop over one whole ranking without ties, `relevant` >= 1: the judge of `expected`."""

    def of(self, judged: Judged) -> Floats:
        """(q,) float64, NaN where a query has no relevant item in the gallery."""
        values = self.expected(judged).astype(np.float64)
        values[judged.counts == 0] = np.nan
        if self.unit == "share":
            np.clip(values, 0.0, 1.0, out=values)  # sums of rounded parts may stand an ulp beside 1
        return values

    def __call__(self, hits: Hits, relevance: Relevance) -> Floats:
        """Hits (q, k), the queries' own items already removed -> (q,); NaN where there is nothing to find.

        Raises MeasureError (code ``measure/depth``) for hits that are shorter than `depth` and than the gallery.
        """
        self.require_depth(hits.k, relevance)
        return self.of(judge(hits, relevance))

    def require_depth(self, k: int, relevance: Relevance) -> None:
        """Raises MeasureError (code ``measure/depth``) where k places are too few for this metric."""
        depth = self.depth(relevance)
        whole = int(relevance.sizes.max(initial=0))
        needed = whole if depth is None else min(depth, whole)
        if k < needed:
            raise MeasureError(
                f"{self.label} looks at {needed} places and the ranking has {k}",
                code="measure/depth",
                hint="rank deeper, or take a metric that is cut at k",
            )


def require_k(k: int) -> int:
    """`k`, or MeasureError (code ``measure/k``) where it is not 1 or more."""
    if k < 1:
        raise MeasureError(f"k must be 1 or more, got {k}", code="measure/k")
    return k


def longest(relevance: Relevance) -> int:
    """The largest R, at least 1: the depth of metrics that are cut at R."""
    return max(1, int(relevance.counts.max(initial=0)))
