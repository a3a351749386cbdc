"""Generalised mean, (mean of x^p)^(1/p): the mean at p = 1, towards the maximum as p grows.

Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation" (TPAMI 2019, arXiv 2018). Values
below ``eps`` count as ``eps``: it is for features that are not negative, as after a ReLU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearsight.core.errors import InputError
from nearsight.encode.export import need_torch
from nearsight.encode.pooling._sets import mean, pooling, put

if TYPE_CHECKING:
    from torch import Tensor


def build(*, width: int, seed: int, p: float = 3.0, learned: bool = True, eps: float = 1e-6) -> Any:
    """``p``: where it starts; ``learned``: one number for all dimensions, trained with the rest.

    Raises InputError (code ``pooling``), MissingExtra.
    """
    if not (0 < p < 1000 and 0 < eps < 1):
        raise InputError(f"gem takes 0 < p < 1000 and 0 < eps < 1, not {p} and {eps}", code="pooling")
    torch = need_torch("a pooling")

    def pool(own: Any, members: Tensor, mask: Tensor | None) -> Tensor:
        wide = torch.promote_types(members.dtype, torch.float32)
        above = put(members, mask, 0.0).to(wide).clamp(min=eps)
        # The largest is taken out: its power need not be a float32, and a root of next to 0 has no finite gradient.
        # The value does not depend on it, so neither does the gradient.
        largest = above.detach().amax(dim=1, keepdim=True)
        powers = mean((above / largest).pow(own.p), mask)
        return (powers.pow(1 / own.p) * largest[:, 0]).to(members.dtype)

    return pooling(pool, p=torch.nn.Parameter(torch.tensor(float(p)), requires_grad=learned))
