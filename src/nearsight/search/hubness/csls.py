"""Cross-domain similarity local scaling: twice the cosine, less how near the item is to its nearest bank queries.

score(q, y) = 2 s(q, y) - r(q) - r(y): r(y) is the mean similarity of item y to the k bank queries nearest to it, r(q)
that of query q to the k items nearest to it. Conneau et al., "Word Translation Without Parallel Data", ICLR 2018.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nearsight.core.arrays import Scores
from nearsight.measure.ranking import Correction
from nearsight.search.hubness import Hubness
from nearsight.search.hubness._pieces import best, filled, minus, require_k


@dataclass(frozen=True)
class Csls(Hubness):
    """Local scaling with `k` neighbours."""

    k: int

    def fit(self, bank: Iterable[Scores]) -> Correction:
        blocks = filled(bank)
        near = best(next(blocks), self.k, axis=0)
        for scores in blocks:
            near = best(np.concatenate([near, scores]), self.k, axis=0)
        items = near.mean(axis=0, dtype=np.float64)

        def correct(scores: Scores) -> Scores:
            own = best(scores, self.k, axis=1).mean(axis=1, dtype=np.float64, keepdims=True)
            return minus(2 * scores - own, items)

        return correct


def build(variant: str | None = None, *, k: int = 10) -> Hubness:
    """`k`: how many neighbours make an item's (and a query's) neighbourhood."""
    return Csls(f"csls?k={require_k(k)}", k)
