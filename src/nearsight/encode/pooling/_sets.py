"""What poolings share: a module around a function of members and mask, and counting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nearsight.core.errors import InputError
from nearsight.encode.export import need_torch

if TYPE_CHECKING:
    from torch import Tensor


def pooling(
    pool: Callable[[Any, Tensor, Tensor | None], Tensor],
    tabled: Callable[[Any, int], Any] | None = None,
    **learned: Any,
) -> Any:
    """The module that gives ``pool(itself, members, mask)``; `learned` are its parameters and modules by name.

    `tabled(itself, longest)`: its form for graphs, where it is not one with masks as it is.

    Called with anything but members (n, s, d) and a mask (n, s) of bool, or None, the module raises InputError (code
    ``pooling``). Raises MissingExtra.
    """
    torch = need_torch("a pooling")

    class Pooling(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, members: Tensor, mask: Tensor | None = None) -> Tensor:
            if members.ndim != 3 or (
                mask is not None and (mask.shape != members.shape[:2] or mask.dtype != torch.bool)
            ):
                marked = "" if mask is None else f" with a mask {tuple(mask.shape)} of {mask.dtype}"
                raise InputError(
                    f"a pooling takes members (n, s, d) and a mask (n, s) of bool, not {tuple(members.shape)}{marked}",
                    code="pooling",
                )
            return pool(self, members, mask)

        def tabled(self, longest: int) -> Any:
            return tabled(self, longest) if tabled is not None else self

    module = Pooling()
    for name, part in learned.items():
        setattr(module, name, part)
    return module


def put(members: Tensor, mask: Tensor | None, value: float) -> Tensor:
    """(n, s, d) with `value` where nobody is. Chosen, not multiplied: 0 times NaN is NaN."""
    return members if mask is None else members.masked_fill(~mask[:, :, None], value)


def mean(members: Tensor, mask: Tensor | None) -> Tensor:
    """(n, d) over those who are there."""
    if mask is None:
        return members.mean(dim=1)
    return put(members, mask, 0.0).sum(dim=1) / mask.sum(dim=1, keepdim=True).to(members.dtype)
