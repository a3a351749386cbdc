"""Contrastive loss: positives at distance 0, negatives beyond a margin.

Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping" (CVPR 2006), without its factor
1/2: d^2 for a positive pair, max(0, margin - d)^2 for a negative one. Mean over pairs; or, where most negatives are far
already, over the pairs that are not yet right (average=active), positives and negatives each by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nearsight.learn.losses import Loss
from nearsight.learn.losses._pieces import mean_where
from nearsight.learn.matrix import Similarity, distance, require, require_distance, squared_distance

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Contrastive(Loss):
    """On distances of unit vectors (similarity cosine, d <= 2) or of vectors as they are (euclidean)."""

    margin: float = 1.0
    power: int = 2
    average: Literal["active", "pairs"] = "active"

    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        d = distance(scores, self.similarity)
        near = squared_distance(scores, self.similarity) if self.power == 2 else d
        far = (self.margin - d).clamp(min=0).pow(self.power)
        if self.average == "pairs":
            return mean_where(near.where(positive, far), positive | negative)
        return mean_where(near, positive & (near > 0)) + mean_where(far, negative & (far > 0))


def build(
    *,
    similarity: Similarity = "cosine",
    margin: float = 1.0,
    power: int = 2,
    average: Literal["active", "pairs"] = "active",
) -> Loss:
    """``power`` 2 (the paper) or 1; ``average`` active (two means, of pairs not yet right) or pairs (one, of all)."""
    require(margin > 0, f"contrastive: margin must be above 0, got {margin}")
    require(power in (1, 2), f"contrastive: power must be 1 or 2, got {power}")
    return Contrastive(require_distance(similarity, "contrastive"), margin, power, average)
