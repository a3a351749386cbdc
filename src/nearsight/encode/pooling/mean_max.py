"""The mean, and beside it the largest values of what a learned projection sees in each member.

``mean(x) + gain * max(W x)``: the mean tells what a set is about, the maximum that something is in it at all, however
many others there are. W starts at random, the gain at ``gain``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nearsight.encode.export import need_torch
from nearsight.encode.pooling._sets import mean, pooling, put

if TYPE_CHECKING:
    from torch import Tensor


def build(*, width: int, seed: int, gain: float = 1.0) -> Any:
    """``gain``: where one learned number for all dimensions starts. Raises MissingExtra."""
    torch = need_torch("a pooling")

    def whole(own: Any, members: Tensor, mask: Tensor | None) -> Tensor:
        seen = put(own.projection(put(members, mask, 0.0)), mask, -math.inf).amax(dim=1)
        return _summed(own, mean(members, mask), seen)

    def pool(own: Any, members: Tensor, mask: Tensor | None) -> Tensor:
        """Only who is there goes through the projection: sets of words are a third as large as their places."""
        if mask is None:
            return whole(own, members, mask)
        there, sizes = members[mask], mask.sum(dim=1)
        row = torch.repeat_interleave(torch.arange(len(sizes), device=members.device), sizes)
        projected = own.projection(there)
        seen = projected.new_full((len(sizes), width), -math.inf)
        seen = seen.scatter_reduce(0, row[:, None].expand_as(projected), projected, "amax", include_self=False)
        total = there.new_zeros((len(sizes), width)).index_add(0, row, there)
        return _summed(own, total / sizes[:, None].to(there.dtype), seen)

    def tabled(own: Any, longest: int) -> Any:
        """A graph has no rows of its own length: every place is projected, and what is not there is left out after."""
        return pooling(whole, projection=own.projection, gain=own.gain)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        projection = torch.nn.Linear(width, width, bias=False)
    return pooling(pool, tabled, projection=projection, gain=torch.nn.Parameter(torch.tensor(float(gain))))


def _summed(own: Any, middle: Tensor, seen: Tensor) -> Tensor:
    vectors: Tensor = middle + own.gain * seen
    return vectors
