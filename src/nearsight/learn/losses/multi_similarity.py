"""Multi-similarity loss: pairs weighed by how they stand to the other pairs of their row.

Wang et al., "Multi-Similarity Loss with General Pair Weighting" (CVPR 2019): 1/alpha log(1 + sum_p exp(-alpha (s_p -
base))) + 1/beta log(1 + sum_n exp(beta (s_n - base))). Its mining is part of it: a negative counts where s_n +
epsilon > min s_p, a positive where s_p - epsilon < max s_n. Mean over rows with any pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearsight.learn.losses import Loss
from nearsight.learn.losses._pieces import filled, judged_rows, log_one_plus_sum_exp, mean_where
from nearsight.learn.matrix import require

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MultiSimilarity(Loss):
    """With ``mine``, a row without positives or without negatives has nothing to compare and gives 0."""

    alpha: float = 2.0
    beta: float = 50.0
    base: float = 0.5
    epsilon: float = 0.1
    mine: bool = True

    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        counts = (positive | negative).any(dim=1)
        if self.mine:
            both = judged_rows(positive, negative)[:, None]
            hard_positive = filled(scores, positive, low=False).amin(dim=1, keepdim=True)
            hard_negative = filled(scores, negative).amax(dim=1, keepdim=True)
            positive = positive & both & (scores - self.epsilon < hard_negative)
            negative = negative & both & (scores + self.epsilon > hard_positive)
        gap = scores - self.base
        pull = log_one_plus_sum_exp(-self.alpha * gap, positive) / self.alpha
        push = log_one_plus_sum_exp(self.beta * gap, negative) / self.beta
        return mean_where(pull + push, counts)


def build(
    *, alpha: float = 2.0, beta: float = 50.0, base: float = 0.5, epsilon: float = 0.1, mine: bool = True
) -> Loss:
    """The paper's values; ``mine=false`` weighs every pair."""
    require(alpha > 0 and beta > 0, f"multi_similarity: alpha and beta must be above 0, got {alpha}, {beta}")
    return MultiSimilarity(alpha=alpha, beta=beta, base=base, epsilon=epsilon, mine=mine)
