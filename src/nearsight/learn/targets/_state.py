"""What targets share: an empty module to hold their state, and which cells compare a picture with itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearsight.encode.export import need_torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def nothing() -> Module:
    """A module without parameters and buffers. Raises MissingExtra without torch."""
    return need_torch("training").nn.Module()


def own(labels: Tensor, items: Tensor | None) -> Tensor:
    """(n, n) bool: cells of a batch against itself that compare a picture with itself."""
    import torch

    diagonal = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return diagonal if items is None else diagonal | (items[:, None] == items[None, :])
