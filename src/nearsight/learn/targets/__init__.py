"""A target says what anchors are scored against: the batch itself, a memory of earlier batches, one vector a class.

To add one, write ``targets/NAME.py`` with a docstring and ``build(*, classes: int, dim: int, seed: int,
option=default, ...) -> Target`` (the first three are given by the loop: labels are 0 .. classes - 1, vectors have
`dim` values, `seed` draws what starts at random). tests/contracts/test_targets.py finds it and holds it to this: a
positive column has the anchor's label and a negative one has not, by a loop over labels; an item is never scored
against itself; gradients reach the anchors and what is learned, and nothing that is remembered; the same seed and
calls give the same columns, also after ``module.state_dict()`` went through another target of the same address.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nearsight.core.errors import InputError
from nearsight.core.registry import Catalogue
from nearsight.learn.matrix import Matrix, Similarity, similarity

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

TARGETS = Catalogue("nearsight.learn.targets", "target")


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What n anchors are scored against: m columns. Masks and all else are about these n x m cells alone."""

    vectors: Tensor
    """(m, d); or (m * centres, d), the centres of a column side by side; or (n, m, d), each anchor's own columns."""
    positive: Tensor
    """(n, m) bool."""
    negative: Tensor
    """(n, m) bool; a self-pair is in neither mask."""
    bias: Tensor | None = None
    """(m,) or (), added to every row of scores."""
    centres: int = 1
    """A column's score is that of its best centre."""
    scale: Tensor | None = None
    """() that scores are multiplied with, before the bias."""
    rows: Tensor | None = None
    """(n,) int, which of the given vectors are the anchors; None: all, in their order."""
    both: bool = False
    """The columns are anchors too, and the anchors their columns: the same scores, turned."""

    def matrix(self, anchors: Tensor, kind: Similarity) -> Matrix:
        """The given vectors scored, as far as they are anchors: what a miner mines and a loss judges.

        (n, m) cells; with `both` the m columns stand below the n anchors as rows of their own, n + m rows of max(n, m)
        cells, the shorter ones filled up with cells in neither mask.
        """
        scores = similarity(kind, anchors if self.rows is None else anchors[self.rows], self.vectors)
        if self.centres > 1:
            scores = scores.unflatten(1, (-1, self.centres)).amax(dim=2)
        if self.scale is not None:
            scores = scores * self.scale
        if self.bias is not None:
            scores = scores + self.bias
        cells = scores, self.positive, self.negative
        return Matrix(*(map(_and_turned, cells) if self.both else cells))


def _and_turned(cells: Tensor) -> Tensor:
    """(n, m) -> (n + m, max(n, m)), filled up with 0."""
    import torch

    width = max(cells.shape)
    both = cells, cells.mT
    # pad copies what is wide enough, too
    return torch.cat([x if x.shape[1] == width else torch.nn.functional.pad(x, (0, width - x.shape[1])) for x in both])


class Target(ABC):
    """``(anchors (n, d), labels (n,)) -> Columns``."""

    module: Module
    """What is learned (parameters) and remembered (buffers): the loop moves, trains and saves it with the network.
    In ``module.eval()`` a call changes nothing."""
    by_prefix: ClassVar[bool] = False
    """Whether it takes the beginnings of the vectors as well, call by call: it keeps nothing of their length."""
    by_column: bool = True
    """Whether a column of its matrix is one vector's, as losses over columns need it: not with `Columns.both`."""

    @abstractmethod
    def __call__(self, anchors: Tensor, labels: Tensor, items: Tensor | None = None) -> Columns:
        """One call a step, with the whole batch (gathered from all processes, all of a cached gradient's chunks).

        items  (n,) int, which picture a row is: two rows of one picture are no pair. Without it every row is its own
               picture, and pictures that a memory holds are all others.

        Raises InputError (code ``target/labels``) for labels that do not fit the anchors or the classes.
        """


def require_labels(anchors: Tensor, labels: Tensor, items: Tensor | None) -> None:
    """Raises InputError (code ``target/labels``) where there is not one label (and item) an anchor."""
    if anchors.ndim != 2 or labels.shape != anchors.shape[:1] or (items is not None and items.shape != labels.shape):
        raise InputError(
            f"{tuple(anchors.shape)} anchors need as many labels and items, got {tuple(labels.shape)}"
            + ("" if items is None else f" and {tuple(items.shape)}"),
            code="target/labels",
        )
