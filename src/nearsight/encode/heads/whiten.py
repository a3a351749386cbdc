"""Unit length, minus a mean, times a matrix: whitening, fitted on vectors (`nearsight.encode.whitening`), not trained.

``power`` takes a power of every number before that, those below 0 as 0: 0.5 keeps the few strong channels of a pooled
network from deciding alone (Perronnin, Sanchez and Mensink, ECCV 2010).

As built it keeps the first ``dim`` dimensions. `put` gives it what was fitted, which is saved like all other weights.
"""

from __future__ import annotations

from typing import Any

from nearsight.core.errors import InputError
from nearsight.encode.export import need_torch
from nearsight.encode.heads import require_dim

_SHORTEST = 1e-12
LEAST = 1e-6
"""What numbers below it count as before a power is taken: a root of 0 has no finite gradient."""


def build(*, width: int, seed: int, dim: int = 0, power: float = 1.0) -> Any:
    """``dim``: dimensions kept (0: all). Raises InputError (code ``head``), MissingExtra."""
    torch = need_torch("a head")
    require_dim("whiten", dim or width)
    if not 0 < power <= 4:
        raise InputError(f"the head whiten takes a power of 0 < p <= 4, not {power}", code="head")
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
            vectors = vectors if power == 1 else vectors.clamp(min=LEAST) ** power
            directions = torch.nn.functional.normalize(vectors, dim=1, eps=_SHORTEST)
            return (directions - self.mean) @ self.projection.T

    return Whiten()
