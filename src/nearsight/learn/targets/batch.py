"""The batch itself: every picture is scored against every other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearsight.learn.targets import Columns, Target, require_labels
from nearsight.learn.targets._state import nothing, own

if TYPE_CHECKING:
    from torch import Tensor


class Batch(Target):
    """Columns are the anchors; gradients reach both ends of a pair."""

    by_prefix = True

    def __init__(self) -> None:
        self.module = nothing()

    def __call__(self, anchors: Tensor, labels: Tensor, items: Tensor | None = None) -> Columns:
        require_labels(anchors, labels, items)
        same = labels[:, None] == labels[None, :]
        return Columns(anchors, same & ~own(labels, items), ~same)


def build(*, classes: int, dim: int, seed: int) -> Target:
    """Labels may be any integers."""
    return Batch()
