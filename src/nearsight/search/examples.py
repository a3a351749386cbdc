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
from nearsight.search.query import Query, Region, Source, Text

if TYPE_CHECKING:
    from nearsight.search.collection import Collection


def weighed(collection: Collection, query: Query) -> tuple[Vectors, float]:
    """(dim,): the weighted sum of the examples' unit vectors, made unit; and how long it was before.

    Raises QueryError (code ``query/cancelled`` where the examples cancel each other out, ``query/region`` for a box
    outside of its picture, ``query/key``, ``query/vector``), PictureError, EncoderError (code ``encoder/no-text`` where
    the encoder has no words, ``text/empty`` where it knows none of those given).
    """
    total = np.zeros(collection.dim, dtype=np.float64)
    for source, weight in query.examples:
        total += weight * _vector_of(collection, source).astype(np.float64)
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise QueryError("the examples cancel each other out: nothing is left to look for", code="query/cancelled")
    return _first(unit(total[None])), length


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
            raise _no_item(source)
        return _first(snapshot.vectors(rows))
    if isinstance(source, Region):
        picture = cut(collection, source)
    else:
        picture = _decoded(source, side=collection.encoder.tower.side)
    return _first(collection.encoder.encode_images([picture]))


def cut(collection: Collection, region: Region) -> Image.Image:
    """A part of a picture, RGB, each pixel as in the file.

    The whole is decoded at its full size first: at the smaller size that is enough for all of it, a small part would be
    a blur. Raises QueryError (code ``query/region`` for a box that is not within the picture, ``query/key``),
    PictureError.
    """
    source = region.picture
    if isinstance(source, (int, np.integer)):
        item = next(collection.items([int(source)] if abs(source) < 1 << 63 else []), None)
        if item is None:
            raise _no_item(source)
        source = item.path
    picture = _decoded(source)
    left, top, right, bottom = region.box
    if right > picture.width or bottom > picture.height:
        raise QueryError(
            f"the box {list(region.box)} is not within the picture, which is {picture.width} x {picture.height}",
            code="query/region",
            hint="left, top, right, bottom in pixels of the picture as it is shown, upright",
        )
    return picture.crop((left, top, right, bottom))


def _decoded(source: Path | str | bytes | Image.Image, side: int = 0) -> Image.Image:
    """RGB; as large as it is, or a JPEG no smaller than is enough for `side`."""
    if isinstance(source, Image.Image):
        return source.convert("RGB")
    return decode(source if isinstance(source, bytes) else read(Path(source)), side=side)


def _no_item(key: int) -> QueryError:
    return QueryError(f"there is no item {key}", code="query/key")


def _first(vectors: Vectors) -> Vectors:
    """(1, d) -> (d,)"""
    return vectors.reshape(-1, vectors.shape[-1])[0, :]
