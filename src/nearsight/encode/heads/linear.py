"""One linear layer: a learned projection to ``dim`` dimensions."""

from __future__ import annotations

from typing import Any

from nearsight.encode.export import need_torch
from nearsight.encode.heads import require_dim


def build(*, width: int, seed: int, dim: int = 512, bias: bool = True) -> Any:
    """``bias``: add a learned number to each dimension. Raises InputError, MissingExtra."""
    torch = need_torch("a head")
    require_dim("linear", dim)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = torch.nn.Linear(width, dim, bias=bias)
    head.dim = dim
    return head
