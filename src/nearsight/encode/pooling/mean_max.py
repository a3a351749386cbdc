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

    def pool(own: Any, members: Tensor, mask: Tensor | None) -> Tensor:
        there = put(members, mask, 0.0)
        seen = put(own.projection(there), mask, -math.inf).amax(dim=1)
        vectors: Tensor = mean(members, mask) + own.gain * seen
        return vectors

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        projection = torch.nn.Linear(width, width, bias=False)
    return pooling(pool, projection=projection, gain=torch.nn.Parameter(torch.tensor(float(gain))))
