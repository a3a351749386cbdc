"""Looking at candidates: their signatures, made where they are missing, and whether two of them are one picture."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import PictureError
from nearsight.core.events import Event, Skipped, Step
from nearsight.data.images import decode, dimensions, picture_hash, read
from nearsight.search.duplicates.alignment import SAME, likeness
from nearsight.search.duplicates.contents import Content
from nearsight.search.duplicates.join import Places, Same
from nearsight.search.duplicates.signatures import SIDE, Row, Shelf, signature, signatures

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

_AHEAD = 256


class Looks:
    """At the pictures of some contents, by their places in that list."""

    def __init__(self, collection: Collection, contents: Sequence[Content]) -> None:
        self._contents, self._store = contents, collection.store
        self._shelf = Shelf(collection.folder, write=collection.store.write)
        self._find()

    def sign(self, rows: Places, workers: int | None = None) -> Generator[Event, None, Places]:
        """Make the signatures that are missing of these rows (n,); returns those rows that have one.

        Yields Step, and Skipped for every file of a content none of whose files can be looked at. Raises WriteFailed.
        """
        todo = [int(row) for row in rows if self._places[row, 0] < 0 and self._contents[row].sha256]
        try:
            with ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="nearsight-decode") as pool:
                for start in range(0, len(todo), _AHEAD):
                    some = [self._contents[row] for row in todo[start : start + _AHEAD]]
                    for made in pool.map(_signed, some):
                        if isinstance(made, list):
                            yield from made
                        else:
                            self._shelf.add(made)
                    yield Step("looking at pictures", start + len(some), len(todo))
        finally:
            with self._store.reading() as catalogue:
                living = {sha256 for (sha256,) in catalogue.all("SELECT DISTINCT sha256 FROM item")}
            self._shelf.tidy(living)
            self._find()
        return np.asarray(rows[self._places[rows, 0] >= 0])

    def pixels(self, row: int) -> int:
        """Of the picture in a row; 0 where nobody has looked at it."""
        return int(self._pixels[row])

    def same(self, order: Places) -> Same:
        """Judges pairs of places in `order`, which names rows that have a signature."""
        places = self._places[order]

        def judge(one: Places, other: Places) -> NDArray[np.bool_]:
            first, second = (self._shelf.signatures(places[some]) for some in (one, other))
            return likeness(first, second) >= SAME

        return judge

    def like(self, picture: bytes) -> Places:
        """The rows (n,), of those that have a signature, that are the same picture as this one, given as its file."""
        rows = np.flatnonzero(self._places[:, 0] >= 0)
        second = signatures(np.repeat(_sign(picture), rows.size))
        return rows[likeness(self._shelf.signatures(self._places[rows]), second) >= SAME]

    def _find(self) -> None:
        self._places = self._shelf.places([content.sha256 for content in self._contents])
        there = self._places[:, 0] >= 0
        self._pixels = np.zeros(len(there), dtype=np.int64)
        self._pixels[there] = self._shelf.sizes(self._places[there]).prod(axis=1)


def _sign(picture: bytes) -> Row:
    return signature(decode(picture, side=SIDE), dimensions(picture), picture_hash(picture))


def _signed(content: Content) -> Row | list[Skipped]:
    """In a worker: the signature of a content, from the first of its files that still has it."""
    flaws = []
    for file in content.files:
        try:
            picture = read(file.place)
            if picture_hash(picture) != content.sha256:
                raise PictureError(
                    "the picture has changed since it was indexed",
                    code="picture/changed",
                    hint="index its folder again",
                )
            return _sign(picture)
        except PictureError as error:
            flaws.append(Skipped(str(file.place), error.code, error.message, error.hint))
    return flaws
