"""A training small enough for a test: painted squares, a network of a few hundred weights."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearsight.core.items import Item
from nearsight.learn.pictures import Pictures, proven

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 40, 40)}


def drain(work: Generator[Any, None, Any], see: list[Any] | None = None) -> Any:
    """A generator's return value; its events go to `see`."""
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            return end.value
        if see is not None:
            see.append(event)


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """Three classes of eight noisy squares, 24 x 24."""
    folder = tmp_path_factory.mktemp("squares")
    items = []
    for at, (label, colour) in enumerate(COLOURS.items()):
        for number in range(8):
            draw = np.random.default_rng(100 * at + number)
            pixels = np.clip(np.array(colour) + draw.integers(-60, 60, (24, 24, 3)), 0, 255).astype(np.uint8)
            path = folder / f"{label}{number}.png"
            Image.fromarray(pixels).save(path)
            items.append(Item(len(items), path, label))
    return items


@pytest.fixture
def pictures(squares: list[Item]) -> Pictures:
    """All of them, proven."""
    return drain(proven(squares, side=16, cache_mb=64, workers=2))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for checkpoints."""
    return tmp_path / "checkpoint"
