"""A miner chooses which pairs of a matrix are worth judging, and gives back another matrix.

To add one, write ``miners/NAME.py`` with a docstring and ``build(*, similarity: Similarity, dim: int, option=default,
...) -> Miner`` (the first two are given by the loop: what the scores are, and of how many dimensions the vectors
are). tests/contracts/test_miners.py finds it and holds it to this: every row of the answer holds cells of one row of
the matrix, positives from its positives and negatives from its negatives; the choice is what a loop over triplets
says; gradients reach the chosen scores; the same generator state gives the same choice; a matrix with nothing to
choose gives one with no rows, which every loss judges as 0.

A triplet is a row of two cells, (positive, negative), so that any loss can judge what any miner chose. Losses over
columns (`Loss.by_column`) cannot: a mined matrix has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nearsight.core.registry import Catalogue
from nearsight.learn.matrix import Matrix

if TYPE_CHECKING:
    from torch import Generator

MINERS = Catalogue("nearsight.learn.miners", "miner")


class Miner(Protocol):
    """Stateless; what is random comes from `generator`, which the loop owns, saves and restores."""

    def __call__(self, matrix: Matrix, generator: Generator | None = None) -> Matrix:
        """Matrix (n, m) -> Matrix (r, c): the same one, or rows of chosen cells."""
        ...
