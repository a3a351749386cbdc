"""The pairs or triplets that the sampler drew, and no others: groups of two or three pictures, the first its anchor.

With the samplers ``pairs`` (size 2) and ``triplets`` (size 3) this is the training of siamese networks as it was before
batches were mined: one comparison, or one triplet, for each anchor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearsight.core.errors import InputError
from nearsight.learn.matrix import require
from nearsight.learn.targets import Columns, Target, require_labels
from nearsight.learn.targets._state import nothing

if TYPE_CHECKING:
    from torch import Tensor


class Drawn(Target):
    """Only the first of each group is an anchor, and its columns are the others: nothing is scored in vain."""

    by_prefix = True

    def __init__(self, size: int) -> None:
        self.module, self.size = nothing(), size

    def __call__(self, anchors: Tensor, labels: Tensor, items: Tensor | None = None) -> Columns:
        import torch

        require_labels(anchors, labels, items)
        if len(labels) % self.size:
            raise InputError(
                f"{len(labels)} pictures are not whole groups of {self.size}",
                code="target/labels",
                hint="the sampler 'pairs' goes with drawn?size=2, 'triplets' with drawn?size=3",
            )
        groups, label = anchors.unflatten(0, (-1, self.size)), labels.unflatten(0, (-1, self.size))
        same = label[:, :1] == label[:, 1:]
        others = ~same.new_zeros(same.shape)
        if items is not None:
            item = items.unflatten(0, (-1, self.size))
            others = item[:, :1] != item[:, 1:]
        first = torch.arange(0, len(labels), self.size, device=labels.device)
        return Columns(groups[:, 1:], same & others, ~same & others, rows=first)


def build(*, classes: int, dim: int, seed: int, size: int = 2) -> Target:
    """``size``: pictures a group, anchor first."""
    require(size >= 2, f"drawn: a group is two pictures or more, got {size}")
    return Drawn(size)
