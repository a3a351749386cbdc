"""Makes one vector of a tower's set: what a pooling (`nearsight show poolings`) does with its ``members``.

For towers whose vector is that of one member after the other, as with ``pool=cells``: the pooling is then trained, and
saved, with the head behind it. ``pooled?members=49&pool=gem?p=2;learned=false``: options of the pooling itself stand
between semicolons.
"""

from __future__ import annotations

from typing import Any

from nearsight.core.errors import InputError
from nearsight.encode.export import need_torch
from nearsight.encode.pooling import pooling_at


def build(*, width: int, seed: int, pool: str = "mean", members: int = 1) -> Any:
    """Raises InputError (code ``head``) where `members` do not share the vector evenly, UnknownName, MissingExtra."""
    torch = need_torch("a head")
    if members < 1 or width % members:
        raise InputError(f"{members} members cannot share a vector of {width} numbers", code="head")
    dim = width // members

    class Pooled(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.pool, self.dim = pooling_at(pool, width=dim, seed=seed), dim

        def forward(self, vectors: Any) -> Any:
            return self.pool(vectors.unflatten(1, (members, dim)))

    return Pooled()
