"""No choice: every pair counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearsight.learn.matrix import Matrix, Similarity
from nearsight.learn.miners import Miner

if TYPE_CHECKING:
    from torch import Generator


def keep(matrix: Matrix, generator: Generator | None = None) -> Matrix:
    """The matrix as it is."""
    return matrix


def build(*, similarity: Similarity, dim: int) -> Miner:
    """For losses that weigh pairs by themselves, and for all that look at columns."""
    return keep
