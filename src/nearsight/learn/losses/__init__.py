"""A loss judges a matrix: how wrong are these scores?

To add one, write ``losses/NAME.py`` with a docstring (the formula and its paper) and ``build(*, option=default, ...)
-> Loss``, and its formula as a loop over one matrix in tests/contracts/naive_losses.py.
tests/contracts/test_losses.py finds both and holds the loss to this:

* it is what the loop says, in float64, and its gradient what finite differences say;
* the order of rows and of columns means nothing, and neither do the scores of cells that are in neither mask;
* float16 and bfloat16 scores are judged in float32; value and gradient are finite for equal vectors and scores of any
  size;
* what lacks its positives or negatives does not count: it is left out of the mean, and where nothing counts the value
  is 0 and still hangs on the graph. What the mean is taken over is said by each loss: pairs, triplets, rows or
  columns.

A loss holds nothing that is learned: class vectors come from the target ``proxies``, as columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nearsight.core.errors import InputError
from nearsight.core.registry import Catalogue
from nearsight.learn.matrix import Similarity, wide

if TYPE_CHECKING:
    from torch import Tensor

LOSSES = Catalogue("nearsight.learn.losses", "loss")


@dataclass(frozen=True)
class Loss(ABC):
    """``(scores (n, m), positive (n, m) bool, negative (n, m) bool) -> ()``. Stateless; options are its fields."""

    similarity: Similarity = "cosine"
    """What the scores must be: the caller makes them with `nearsight.learn.targets.Columns.matrix`."""
    target: ClassVar[str] = "batch"
    """The address of the target that its paper uses; any target gives a matrix that it can judge."""
    by_column: ClassVar[bool] = False
    """True where columns belong together (one proxy each): a miner, which makes new columns, is refused."""

    @abstractmethod
    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The formula, for scores of float32 or float64."""

    def __call__(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Raises InputError (code ``loss/matrix``) for anything but three matrices of one shape, two of them bool."""
        import torch

        shapes = {tuple(t.shape) for t in (scores, positive, negative)}
        if len(shapes) != 1 or scores.ndim != 2 or {positive.dtype, negative.dtype} != {torch.bool}:
            raise InputError(
                f"a loss judges scores (n, m) with masks (n, m) of bool, got {scores.dtype} {tuple(scores.shape)}, "
                f"{positive.dtype} {tuple(positive.shape)}, {negative.dtype} {tuple(negative.shape)}",
                code="loss/matrix",
            )
        if scores.numel() == 0:
            return wide(scores).sum()
        with torch.autocast(scores.device.type, enabled=False):
            return self.judge(wide(scores), positive, negative)
