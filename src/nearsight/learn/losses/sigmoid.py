"""Sigmoid loss: each pair is a question of its own, same or not.

-sum log sigmoid(z * s) / n over all pairs of n anchors, z = 1 for positives and -1 for negatives: Zhai et al.,
"Sigmoid Loss for Language Image Pre-Training" (ICCV 2023). Mean over rows that have a pair. Scores are logits: scale
and bias come from the target (``opposite?temperature=0.1&bias=-10``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nearsight.learn.losses import Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Sigmoid(Loss):
    """Not a softmax: what a row's score should be does not depend on the other columns."""

    target: ClassVar[str] = "batch"

    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        from torch.nn.functional import softplus

        values = softplus(scores.where(negative, -scores)).where(positive | negative, 0.0)
        return values.sum() / (positive | negative).any(dim=1).sum().clamp(min=1)


def build() -> Loss:
    """No options."""
    return Sigmoid()
