"""Triplets out of a matrix, as rows of two cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearsight.core.errors import InputError
from nearsight.learn.matrix import Matrix

if TYPE_CHECKING:
    from torch import Tensor

MOST_CELLS = 2**28
"""Positive pairs x columns that are compared at once."""


def triplets(scores: Tensor, rows: Tensor, positives: Tensor, negatives: Tensor) -> Matrix:
    """Row numbers and two column numbers (r,) -> Matrix (r, 2): the positive's cell, then the negative's."""
    import torch

    chosen = scores[rows[:, None], torch.stack([positives, negatives], dim=1)]
    first = torch.zeros_like(chosen, dtype=torch.bool)
    first[:, 0] = True
    return Matrix(chosen, first, ~first)


def positive_pairs(matrix: Matrix) -> tuple[Tensor, Tensor]:
    """Row and column numbers (r,) of the positives whose row has a negative.

    Raises InputError (code ``miner/size``) where r * m cells would not fit.
    """
    import torch

    rows, columns = torch.where(matrix.positive & matrix.negative.any(dim=1, keepdim=True))
    if len(rows) * matrix.scores.shape[1] > MOST_CELLS:
        raise InputError(
            f"{len(rows)} positive pairs x {matrix.scores.shape[1]} columns is too much to mine at once",
            code="miner/size",
            hint="the miner 'hardest', or a smaller batch or memory",
        )
    return rows, columns
