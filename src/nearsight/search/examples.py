"""The examples of a query, whatever they are, as one unit vector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nearsight.core.arrays import NO_KEY, Vectors, unit
from nearsight.core.errors import QueryError
from nearsight.data.images import decode, read
from nearsight.search.query import Query, Region, Source, Text

if TYPE_CHECKING:
    from nearsight.search.collection import Collection


class Eyes:
    """How examples are decoded and encoded. A server does it in other processes, and for several at a time."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    def decode(self, content: bytes, side: int) -> Image.Image:
        """A picture's file -> RGB, as `nearsight.data.images.decode` does."""
        return decode(content, side=side)

    def picture(self, picture: Image.Image) -> Vectors:
        """RGB -> (dim,), unit."""
        return _first(self.collection.encoder.encode_images([picture]))

    def words(self, text: str) -> Vectors:
        """(dim,), unit."""
        return _first(self.collection.encoder.encode_texts([text]))


def weighed(collection: Collection, query: Query, eyes: Eyes | None = None) -> tuple[Vectors, float]:
    """(dim,): the weighted sum of the examples' unit vectors, made unit; and how long it was before.

    Raises QueryError (code ``query/cancelled`` where the examples cancel each other out, ``query/region`` for a box
    outside of its picture, ``query/key``, ``query/vector``), PictureError, EncoderError (code ``encoder/no-text`` where
    the encoder has no words, ``text/empty`` where it knows none of those given).
    """
    eyes = eyes or Eyes(collection)
    total = np.zeros(collection.dim, dtype=np.float64)
    for source, weight in query.examples:
        total += weight * _vector_of(eyes, source).astype(np.float64)
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise QueryError("the examples cancel each other out: nothing is left to look for", code="query/cancelled")
    return _first(unit(total[None])), length


def unknown_words(collection: Collection, query: Query) -> tuple[str, ...]:
    """The words of a query that the encoder does not know and passes over, each once, as they come."""
    texts = (source.words for source, _ in query.examples if isinstance(source, Text))
    return tuple(dict.fromkeys(word for text in texts for word in collection.encoder.unknown_words(text)))


def _vector_of(eyes: Eyes, source: Source) -> Vectors:
    collection = eyes.collection
    if isinstance(source, Text):
        return eyes.words(source.words)
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
        return eyes.picture(cut(collection, source, eyes))
    return eyes.picture(_decoded(eyes, source, side=collection.encoder.tower.side))


def cut(collection: Collection, region: Region, eyes: Eyes | None = None) -> Image.Image:
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
    picture = _decoded(eyes or Eyes(collection), source)
    left, top, right, bottom = region.box
    if right > picture.width or bottom > picture.height:
        raise QueryError(
            f"the box {list(region.box)} is not within the picture, which is {picture.width} x {picture.height}",
            code="query/region",
            hint="left, top, right, bottom in pixels of the picture as it is shown, upright",
        )
    return picture.crop((left, top, right, bottom))


def _decoded(eyes: Eyes, source: Path | str | bytes | Image.Image, side: int = 0) -> Image.Image:
    """RGB; as large as it is, or a JPEG no smaller than is enough for `side`."""
    if isinstance(source, Image.Image):
        return source.convert("RGB")
    return eyes.decode(source if isinstance(source, bytes) else read(Path(source)), side)


def _no_item(key: int) -> QueryError:
    return QueryError(f"there is no item {key}", code="query/key")


def _first(vectors: Vectors) -> Vectors:
    """(1, d) -> (d,)"""
    return vectors.reshape(-1, vectors.shape[-1])[0, :]
