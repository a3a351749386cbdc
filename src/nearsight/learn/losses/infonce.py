"""InfoNCE, NT-Xent: each positive is told from all negatives of its row, one positive at a time.

-log( exp(s_p/t) / (exp(s_p/t) + sum_n exp(s_n/t)) ): van den Oord, Li and Vinyals (2018); NT-Xent of Chen et al.,
"SimCLR" (ICML 2020), where positives are two views of one picture. Mean over positive pairs whose row has a negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearsight.learn.losses import Loss
from nearsight.learn.losses._pieces import log_sum_exp, logits_of, mean_where, positives_of
from nearsight.learn.matrix import require

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class InfoNCE(Loss):
    """`supcon` differs in the divisor: there a positive is also told from the other positives."""

    temperature: float = 0.07

    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        logits = logits_of(scores, self.temperature)
        near, there = positives_of(logits, positive)
        values = near.logaddexp(log_sum_exp(logits, negative)[:, None]) - near
        return mean_where(values, there & negative.any(dim=1, keepdim=True))


def build(*, temperature: float = 0.07) -> Loss:
    """``temperature``: divides cosines; lower looks at the hardest negatives only."""
    require(temperature > 0, f"infonce: temperature must be above 0, got {temperature}")
    return InfoNCE(temperature=temperature)
