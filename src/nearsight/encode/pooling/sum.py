"""The sum of the members. Its length grows with their number, so that it tells of a set's size too."""

from __future__ import annotations

from typing import Any

from nearsight.encode.pooling._sets import pooling, put


def build(*, width: int, seed: int) -> Any:
    """Raises MissingExtra."""
    return pooling(lambda _, members, mask: put(members, mask, 0.0).sum(dim=1))
