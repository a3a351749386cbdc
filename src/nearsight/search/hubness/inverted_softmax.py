"""The inverted softmax: how much of an item's attention, over all bank queries, this query gets.

exp(s(q, y) / t) / sum over bank queries b of exp(s(b, y) / t), in logarithms and times t, so that scores keep the scale
of similarities: s(q, y) - t log mean_b exp(s(b, y) / t). The temperature t is the paper's 1 / beta. Smith et al.,
"Offline Bilingual Word Vectors, Orthogonal Transformations and the Inverted Softmax", ICLR 2017.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nearsight.core.arrays import Scores
from nearsight.measure.ranking import Correction
from nearsight.search.hubness import Hubness
from nearsight.search.hubness._pieces import SoftMean, filled, minus, require_temperature


@dataclass(frozen=True)
class InvertedSoftmax(Hubness):
    """A softmax over queries, at a temperature."""

    temperature: float

    def fit(self, bank: Iterable[Scores]) -> Correction:
        soft = SoftMean(self.temperature)
        for scores in filled(bank):
            soft.add(scores)
        items = soft.value()
        return lambda scores: minus(scores, items)


def build(variant: str | None = None, *, temperature: float = 0.05) -> Hubness:
    """`temperature`: small looks at the item's nearest bank query only, large at the mean of all."""
    return InvertedSoftmax(f"inverted_softmax?temperature={require_temperature(temperature)}", temperature)
