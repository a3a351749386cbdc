"""Batch hard: each anchor's farthest positive and nearest negative.

Hermans, Beyer and Leibe, "In Defense of the Triplet Loss for Person Re-Identification" (2017). From random weights it
often collapses (every distance 0, the loss at its margin): start with semi_hard or distance_weighted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearsight.learn.matrix import Matrix, Similarity
from nearsight.learn.miners import Miner
from nearsight.learn.miners._triplets import triplets

if TYPE_CHECKING:
    from torch import Generator


@dataclass(frozen=True)
class Hardest:
    """One triplet a row that has both; of equal scores the first column's."""

    def __call__(self, matrix: Matrix, generator: Generator | None = None) -> Matrix:
        import torch

        scores, positive, negative = matrix
        rows = torch.where(positive.any(dim=1) & negative.any(dim=1))[0]
        seen, inf = scores.detach(), float("inf")
        if not len(rows):
            return triplets(scores, rows, rows, rows)
        low = seen.masked_fill(~positive, inf).argmin(dim=1)
        high = seen.masked_fill(~negative, -inf).argmax(dim=1)
        return triplets(scores, rows, low[rows], high[rows])


def build(*, similarity: Similarity, dim: int) -> Miner:
    """One triplet an anchor."""
    return Hardest()
