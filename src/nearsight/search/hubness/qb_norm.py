"""Querybank normalisation: the inverted softmax, for queries that would find a hub first, and for no others.

An item is active where it is among the first k that some bank query finds. A query whose first item is active is
corrected as by ``inverted_softmax``; any other keeps its similarities (the paper's dynamic inverted softmax, with which
a bank from another distribution does no harm). Bogolin et al., "Cross Modal Retrieval with Querybank Normalisation",
CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nearsight.core.arrays import Scores
from nearsight.measure.ranking import Correction
from nearsight.search.hubness import Hubness
from nearsight.search.hubness._pieces import SoftMean, best, filled, minus, require_k, require_temperature


@dataclass(frozen=True)
class QueryBank(Hubness):
    """The dynamic inverted softmax: `k` places of a bank query's ranking activate, at a temperature."""

    k: int
    temperature: float

    def fit(self, bank: Iterable[Scores]) -> Correction:
        soft, active = SoftMean(self.temperature), np.zeros(1, dtype=np.bool_)
        for scores in filled(bank):
            soft.add(scores)
            last = best(scores, self.k, axis=1)[:, :1]  # with all that is tied with place k
            active = active | (scores >= last).any(axis=0)
        items = soft.value()

        def correct(scores: Scores) -> Scores:
            first = scores == scores.max(axis=1, keepdims=True)
            return np.where((first & active).any(axis=1)[:, None], minus(scores, items), scores)

        return correct


def build(variant: str | None = None, *, k: int = 1, temperature: float = 0.05) -> Hubness:
    """`k`: how many places of a bank query's ranking make an item active; `temperature` as of inverted_softmax."""
    address = f"qb_norm?k={require_k(k)}&temperature={require_temperature(temperature)}"
    return QueryBank(address, k, temperature)
