"""Judging on pictures that were not learned."""

from __future__ import annotations

import numpy as np
import pytest

from nearsight.core.items import Item
from nearsight.learn.held_out import loo, measured
from nearsight.learn.pictures import Pictures, proven
from unit.learn.conftest import drain


@pytest.fixture
def four(squares: list[Item]) -> Pictures:
    """Two of one class, two of another."""
    return drain(proven([*squares[:2], *squares[8:10]], side=16, cache_mb=8, workers=1))


def test_a_picture_never_finds_itself(four: Pictures) -> None:
    """Each one's nearest, but for itself, is of the other class: P@1 is 0, and with itself it would be 1."""
    vectors = np.array([[1, 0], [0, 1], [0.9, np.sqrt(0.19)], [np.sqrt(0.19), 0.9]], dtype=np.float32)
    assert measured(vectors, four, ["precision@1"]).rows[0].interval.value == 0
    assert measured(vectors[[0, 2, 1, 3]], four, ["precision@1"]).rows[0].interval.value == 1


def test_keys_are_rows(four: Pictures) -> None:
    assert [item.key for item in loo(four).gallery] == [0, 1, 2, 3]
    assert loo(four).queries == loo(four).gallery
