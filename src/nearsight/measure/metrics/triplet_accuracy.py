"""The share of triplets that are in order: relevant items that score above an irrelevant one, over all such pairs.

What the accuracy of a training with triplets is, for an anchor, one of its positives and a negative drawn at random;
but over all negatives of the gallery instead of one that was drawn, so that it has no noise. It is the area under the
receiver's curve, .5 for random rankings and for a network that gives everything the same score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearsight.core.relevance import Relevance
from nearsight.measure.judged import Floats, Judged
from nearsight.measure.metrics import Metric


@dataclass(frozen=True)
class TripletAccuracy(Metric):
    """Mean over relevant items of the share of irrelevant ones that stand behind it."""

    def depth(self, relevance: Relevance) -> int | None:
        return None

    def expected(self, judged: Judged) -> Floats:
        others = np.maximum(judged.sizes - judged.counts, 1)[judged.row]
        behind = 1 - (judged.place - judged.found) / others
        return judged.total(judged.gain * behind) / np.maximum(judged.counts, 1)

    def naive(self, right: Sequence[bool], relevant: int) -> float:
        others, ahead, behind = max(1, len(right) - relevant), 0, 0.0
        for is_right in right:
            if is_right:
                behind += 1 - ahead / others
            else:
                ahead += 1
        return behind / relevant


def build() -> Metric:
    """Relevant items ahead of irrelevant ones."""
    definition = (
        "pairs of a relevant and an irrelevant item in which the relevant one scores higher, over all such pairs"
    )
    return TripletAccuracy("triplet_accuracy", "triplet accuracy", f"{definition}; a tie is half a pair")
