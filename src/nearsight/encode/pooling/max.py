"""The largest value in each dimension (MAC: Tolias, Sicre and Jegou, ICLR 2016): what is there, however small."""

from __future__ import annotations

import math
from typing import Any

from nearsight.encode.pooling._sets import pooling, put


def build(*, width: int, seed: int) -> Any:
    """Raises MissingExtra."""
    return pooling(lambda _, members, mask: put(members, mask, -math.inf).amax(dim=1))
