"""Cross-batch memory: the batch, and the vectors of the last batches as they were then.

Wang et al., "Cross-Batch Memory for Embedding Learning" (CVPR 2020): features drift slowly once training has settled,
so that old ones serve as columns, many more than a batch offers. Only the batch's own vectors carry gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearsight.learn.matrix import require, wide
from nearsight.learn.targets import Columns, Target, require_labels
from nearsight.learn.targets._state import nothing, own

if TYPE_CHECKING:
    from torch import Tensor

NOBODY = -1
"""The item of a vector whose picture is not known."""


class Memory(Target):
    """A ring of `size` vectors with their labels and items; empty places are no columns."""

    def __init__(self, size: int, dim: int, after: int) -> None:
        self.size, self.after, self.module = size, after, nothing()
        import torch

        self.module.register_buffer("vectors", torch.zeros(size, dim))
        self.module.register_buffer("labels", torch.zeros(size, dtype=torch.long))
        self.module.register_buffer("items", torch.full((size,), NOBODY))
        self.module.register_buffer("seen", torch.zeros(2, dtype=torch.long))  # batches, vectors

    def __call__(self, anchors: Tensor, labels: Tensor, items: Tensor | None = None) -> Columns:
        import torch

        require_labels(anchors, labels, items)
        kept, held = self.module, min(int(self.module.seen[1]), self.size)
        vectors = kept.vectors[:held].to(anchors.device, copy=True)  # the ring turns before backward is done
        same = labels[:, None] == torch.cat([labels, kept.labels[:held].to(labels)])[None, :]
        mine = torch.zeros_like(same)
        mine[:, : len(labels)] = own(labels, items)
        if items is not None:
            mine[:, len(labels) :] = items[:, None] == kept.items[:held].to(items)[None, :]
        if self.module.training:
            self._remember(anchors.detach(), labels, items)
        return Columns(torch.cat([wide(anchors), vectors]), same & ~mine, ~same)

    def _remember(self, vectors: Tensor, labels: Tensor, items: Tensor | None) -> None:
        import torch

        kept = self.module
        kept.seen[0] += 1
        if int(kept.seen[0]) <= self.after:
            return
        last = slice(max(0, len(labels) - self.size), None)
        places = (int(kept.seen[1]) + torch.arange(len(labels))[last]) % self.size
        kept.vectors[places] = vectors[last].to(kept.vectors)
        kept.labels[places] = labels[last].to(kept.labels)
        kept.items[places] = NOBODY if items is None else items[last].to(kept.items)
        kept.seen[1] += len(labels)


def build(*, classes: int, dim: int, seed: int, size: int = 4096, after: int = 0) -> Target:
    """``size``: vectors remembered; ``after``: batches that are not remembered, while features still move fast."""
    require(size >= 1 and after >= 0, f"memory: size must be 1 or more and after not below 0, got {size}, {after}")
    return Memory(size, dim, after)
