"""Unit length, minus a mean, times a matrix: whitening, fitted on vectors (`nearsight.encode.whitening`), not trained.

As built it keeps the first ``dim`` dimensions. `put` gives it what was fitted, which is saved like all other weights.
"""

from __future__ import annotations

from typing import Any

from nearsight.core.errors import InputError
from nearsight.encode.export import need_torch
from nearsight.encode.heads import require_dim

_SHORTEST = 1e-12


def build(*, width: int, seed: int, dim: int = 0) -> Any:
    """``dim``: dimensions kept (0: all). Raises InputError (code ``head``), MissingExtra."""
    torch = need_torch("a head")
    require_dim("whiten", dim or width)
    if dim > width:
        raise InputError(f"vectors of {width} dimensions cannot be whitened to {dim}", code="head")

    class Whiten(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.dim = dim or width
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("projection", torch.eye(self.dim, width))

        def put(self, projection: Any, mean: Any) -> None:
            """(dim, width) and (width,), arrays."""
            self.projection.copy_(torch.as_tensor(projection))
            self.mean.copy_(torch.as_tensor(mean))

        def forward(self, vectors: Any) -> Any:
            directions = torch.nn.functional.normalize(vectors, dim=1, eps=_SHORTEST)
            return (directions - self.mean) @ self.projection.T

    return Whiten()
