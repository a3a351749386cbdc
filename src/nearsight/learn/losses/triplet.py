"""Triplet loss: a positive nearer than a negative, by a margin.

Schroff, Kalenichenko and Philbin, "FaceNet" (CVPR 2015): max(0, d_p - d_n + margin), over all positives and negatives
of a row; a miner leaves those that matter. ``soft`` is log(1 + exp(d_p - d_n + margin)), with margin 0 the soft
margin of Hermans, Beyer and Leibe, "In Defense of the Triplet Loss" (2017). Mean over the triplets with a loss above
0 (average=active, their "batch all"), or over all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nearsight.learn.losses import Loss
from nearsight.learn.losses._pieces import positives_against_all
from nearsight.learn.matrix import Similarity, distance, require, require_distance, squared_distance

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Triplet(Loss):
    """On distances, or on their squares (of unit vectors: on cosines, with half the margin)."""

    margin: float = 0.2
    soft: bool = False
    squared: bool = False
    average: Literal["active", "all"] = "active"

    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        from torch.nn.functional import softplus

        d = (squared_distance if self.squared else distance)(scores, self.similarity)
        near, there = positives_against_all(d, positive)
        # an infinite gap below 0 has neither loss nor gradient: no mask of all triplets is needed
        far = d.masked_fill(~negative, float("inf"))
        gap = (near + self.margin).masked_fill(~there, -float("inf"))[:, :, None] - far[:, None, :]
        values = softplus(gap) if self.soft else gap.clamp(min=0)
        counts = values > 0 if self.average == "active" else there.sum(dim=1) * negative.sum(dim=1)
        return values.sum() / counts.sum().clamp(min=1)


def build(
    *,
    similarity: Similarity = "cosine",
    margin: float = 0.2,
    soft: bool = False,
    squared: bool = False,
    average: Literal["active", "all"] = "active",
) -> Loss:
    """``squared``: FaceNet's squared distances; ``average``: active or all."""
    require(margin >= 0, f"triplet: margin must not be below 0, got {margin}")
    return Triplet(require_distance(similarity, "triplet"), margin, soft, squared, average)
