"""The mean of the members: what networks do with their last feature map unless they say otherwise."""

from __future__ import annotations

from typing import Any

from nearsight.encode.pooling._sets import mean, pooling


def build(*, width: int, seed: int) -> Any:
    """Raises MissingExtra."""
    return pooling(lambda _, members, mask: mean(members, mask))
