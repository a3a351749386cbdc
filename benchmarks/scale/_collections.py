"""Collections of given vectors, made once and kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import unit
from nearsight.encode import EncoderSpec
from nearsight.search.collection import Collection
from nearsight.search.store.store import Record

_COMMIT = 20_000


def collected(folder: Path, vectors: NDArray[np.floating], *, engine: str) -> Collection:
    """A collection of float16 `vectors` in `folder`, open for writing; what a broken-off run left goes on."""
    if not (folder / "manifest.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        spec = EncoderSpec("elsewhere", vectors.shape[1], (), "ab" * 32, {})
        Collection.create(folder, spec, engine=engine, dtype="float16").close()
    collection = Collection.open(folder)
    for start in range(len(collection), len(vectors), _COMMIT):
        rows = unit(vectors[start : start + _COMMIT].astype(np.float32))
        labels = np.arange(start, start + len(rows)) % 100
        collection.add(
            rows, [Record(f"{start + i:08d}.jpg".encode(), label=str(label)) for i, label in enumerate(labels)]
        )
    return collection
