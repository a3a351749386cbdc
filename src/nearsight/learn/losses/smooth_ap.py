"""Smooth-AP: average precision of each row's ranking, with steps made smooth.

Brown et al., "Smooth-AP: Smoothing the Path Towards Large-Scale Image Retrieval" (ECCV 2020). With G(x) =
sigmoid(x/t), AP = 1/|P| sum_i (1 + sum_{j in P, j != i} G(s_j - s_i)) / (1 + sum_{j in P or N, j != i} G(s_j - s_i)).
The loss is 1 - AP, mean over rows with a positive and a negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearsight.learn.losses import Loss
from nearsight.learn.losses._pieces import judged_rows, mean_where, positives_against_all
from nearsight.learn.matrix import require

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SmoothAP(Loss):
    """Wants several positives a row: P x K batches with K of 4 and more."""

    temperature: float = 0.01

    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        of, there = positives_against_all(scores, positive)
        above = ((scores[:, None, :] - of[:, :, None]) / self.temperature).sigmoid()
        # Each sum holds the positive against itself, which is 1/2 and does not count.
        among = 0.5 + (above * positive[:, None, :]).sum(dim=2)
        place = 0.5 + (above * (positive | negative)[:, None, :]).sum(dim=2)
        precision = (among / place).where(there, 0.0).sum(dim=1) / positive.sum(dim=1).clamp(min=1)
        return mean_where(1 - precision, judged_rows(positive, negative))


def build(*, temperature: float = 0.01) -> Loss:
    """``temperature``: of the sigmoid; lower is nearer to the true AP and has gradients at closer ties only."""
    require(temperature > 0, f"smooth_ap: temperature must be above 0, got {temperature}")
    return SmoothAP(temperature=temperature)
