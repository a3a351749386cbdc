"""The examples of a query, whatever they are, as one unit vector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.arrays import NO_KEY, Vectors, unit
from nearsight.core.errors import QueryError
from nearsight.data.images import decode, read
from nearsight.search.query import Query, Source, Text

if TYPE_CHECKING:
    from nearsight.search.collection import Collection


def vector_of(collection: Collection, query: Query) -> Vectors:
    """(dim,): the weighted sum of the examples' unit vectors, made unit.

    Raises QueryError (code ``query/cancelled`` where the examples cancel each other out), PictureError, EncoderError
    (code ``encoder/no-text`` where the encoder has no words, ``text/empty`` where it knows none of those given).
    """
    total = np.zeros(collection.dim, dtype=np.float64)
    for source, weight in query.examples:
        total += weight * _vector_of(collection, source).astype(np.float64)
    if float(np.linalg.norm(total)) < 1e-6:
        raise QueryError("the examples cancel each other out: nothing is left to look for", code="query/cancelled")
    return _first(unit(total[None]))


def _vector_of(collection: Collection, source: Source) -> NDArray[np.float32]:
    if isinstance(source, Text):
        return _first(collection.encoder.encode_texts([source.words]))
    if isinstance(source, np.ndarray):
        if source.shape != (collection.dim,):
            raise QueryError(f"a query vector has shape ({collection.dim},), not {source.shape}", code="query/vector")
        return _first(unit(source[None]))
    if isinstance(source, (int, np.integer)):
        snapshot = collection.store.verified()
        rows = snapshot.rows_of(np.array([source if abs(source) < 1 << 63 else NO_KEY], dtype=np.int64))
        if rows[0] < 0:
            raise QueryError(f"there is no item {source}", code="query/key")
        return _first(snapshot.vectors(rows))
    if isinstance(source, Image.Image):
        picture = source.convert("RGB")
    else:
        content = source if isinstance(source, bytes) else read(Path(source))
        picture = decode(content, side=collection.encoder.tower.side)
    return _first(collection.encoder.encode_images([picture]))


def _first(vectors: Vectors) -> Vectors:
    """(1, d) -> (d,)"""
    return vectors.reshape(-1, vectors.shape[-1])[0, :]
