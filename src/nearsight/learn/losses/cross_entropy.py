"""Cross-entropy of a linear classifier on the features as they are; the classifier is thrown away afterwards.

-sum_c q_c log softmax_c(w_c . x + b_c). The last layer is the target ``proxies?bias=true`` (its vectors are the rows
w_c), so that nothing need be taken off the network when training ends. With label ``smoothing`` as in
normalised_softmax. Mean over rows with a positive and a negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nearsight.learn.losses import Loss
from nearsight.learn.losses._pieces import cross_entropy
from nearsight.learn.matrix import require

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Scores are logits: dot products, neither scaled nor bounded."""

    target: ClassVar[str] = "proxies?bias=true"
    smoothing: float = 0.0

    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return cross_entropy(scores, positive, negative, self.smoothing)


def build(*, smoothing: float = 0.0) -> Loss:
    """``smoothing``: of labels, in [0, 1)."""
    require(0 <= smoothing < 1, f"cross_entropy: smoothing must be in [0, 1), got {smoothing}")
    return CrossEntropy("dot", smoothing)
