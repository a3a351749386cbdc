"""Semi-hard: for each positive pair the nearest negative that is still farther than the positive.

Schroff, Kalenichenko and Philbin, "FaceNet" (CVPR 2015). Where every negative is nearer than the positive there is
none: then the farthest negative (otherwise=easiest, as TensorFlow Addons has it), or no triplet (otherwise=drop).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nearsight.learn.matrix import Matrix, Similarity
from nearsight.learn.miners import Miner
from nearsight.learn.miners._triplets import positive_pairs, triplets

if TYPE_CHECKING:
    from torch import Generator


@dataclass(frozen=True)
class SemiHard:
    """One triplet a positive pair; of equal scores the first column's."""

    otherwise: Literal["easiest", "drop"] = "easiest"

    def __call__(self, matrix: Matrix, generator: Generator | None = None) -> Matrix:
        rows, columns = positive_pairs(matrix)
        if not len(rows):
            return triplets(matrix.scores, rows, rows, rows)
        seen, inf = matrix.scores.detach()[rows], float("inf")
        negative = matrix.negative[rows]
        farther = negative & (seen < seen.gather(1, columns[:, None]))
        chosen = seen.masked_fill(~farther, -inf).argmax(dim=1)
        found = farther.any(dim=1)
        if self.otherwise == "drop":
            return triplets(matrix.scores, rows[found], columns[found], chosen[found])
        easiest = seen.masked_fill(~negative, inf).argmin(dim=1)
        return triplets(matrix.scores, rows, columns, chosen.where(found, easiest))


def build(*, similarity: Similarity, dim: int, otherwise: Literal["easiest", "drop"] = "easiest") -> Miner:
    """``otherwise``: what becomes of a positive pair that has no semi-hard negative."""
    return SemiHard(otherwise)
