"""Supervised contrastive loss: each row's positives share the softmax over the row.

Khosla et al., "Supervised Contrastive Learning" (NeurIPS 2020), L_out (its equation 2):
-1/|P| sum_p log( exp(s_p/t) / sum_a exp(s_a/t) ), a over positives and negatives. Mean over rows with both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearsight.learn.losses import Loss
from nearsight.learn.losses._pieces import cross_entropy, logits_of
from nearsight.learn.matrix import require

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SupCon(Loss):
    """The mean of logarithms (L_out), not the logarithm of the mean (L_in), which the paper found worse."""

    temperature: float = 0.1

    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return cross_entropy(logits_of(scores, self.temperature), positive, negative)


def build(*, temperature: float = 0.1) -> Loss:
    """``temperature``: divides cosines."""
    require(temperature > 0, f"supcon: temperature must be above 0, got {temperature}")
    return SupCon(temperature=temperature)
