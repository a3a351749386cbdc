"""Small folders of pictures, and collections over vectors whose truth is a matrix product."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.arrays import Vectors, unit
from nearsight.encode import EncoderSpec
from nearsight.search.collection import Collection
from nearsight.search.store.store import Record


def picture(path: Path, seed: int, size: tuple[int, int] = (48, 40)) -> Path:
    """A picture of coloured noise, different for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures in three class folders."""
    for i in range(12):
        picture(tmp_path / "pictures" / ("red", "green", "blue")[i % 3] / f"{i:02d}.png", i)
    return tmp_path / "pictures"


@pytest.fixture
def external(tmp_path: Path) -> Callable[..., tuple[Collection, Vectors]]:
    """Make a collection of n vectors from elsewhere; returns it with the vectors, key i + 1 at row i."""

    def make(n: int, dim: int = 16, engine: str = "exact", **more: object) -> tuple[Collection, Vectors]:
        vectors = unit(np.random.default_rng(5).normal(size=(n, dim)))
        spec = EncoderSpec("elsewhere", dim, (), "ab" * 32, {})
        collection = Collection.create(tmp_path / f"external-{engine.replace('/', '-')}", spec, engine=engine, **more)  # type: ignore[arg-type]
        records = [
            Record(f"item-{i}".encode(), label="ab"[i % 2], fields={"n": i, "even": i % 2 == 0}) for i in range(n)
        ]
        for start in range(0, n, 700):
            collection.add(vectors[start : start + 700], records[start : start + 700])
        return collection, vectors

    return make
