"""One collection that is served: readers that go on while it grows, and a writer that is there only while it writes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.arrays import Vectors
from nearsight.core.errors import InputError, NearsightError, PictureError, ReadOnly, StoreError
from nearsight.core.items import Item
from nearsight.data.images import Isolated, read
from nearsight.http.copies import Copies
from nearsight.http.settings import Settings
from nearsight.http.upkeep import Upkeep
from nearsight.search.collection import Collection
from nearsight.search.examples import Eyes
from nearsight.search.listing import facets, hashes
from nearsight.search.store import generations
from nearsight.search.thumbnails import SIDES, Thumbnail, Thumbnails
from nearsight.search.together import Together

_KEEP_WRITER = 2.0
"""Seconds without a change, after which another process may write."""
_LINGER = 60.0
"""Seconds after which nobody searches any more in a generation that does not answer."""


class Reading:
    """One generation of a collection, open for reading twice: one handle searches, so that long lists on the other do
    not make searches wait for the catalogue."""

    def __init__(self, folder: Path, settings: Settings, decoder: Isolated) -> None:
        self.reader = Collection.open(folder, read_only=True)
        self.shelf = Collection.open(folder, read_only=True)
        self.eyes = _Shared(self.reader, settings, decoder)
        self.copies = Copies(self.shelf)

    def warm(self) -> None:
        """Load what the first search needs: the encoder, the vectors' checksums, the engine."""
        if (self.reader.store.folder / "encoder").is_dir():
            self.eyes.picture(Image.new("RGB", (64, 64), "grey"))
            if "text" in self.reader.modalities:
                with suppress(NearsightError):  # a word that it does not know
                    self.eyes.words("picture")
        if len(self.reader):
            self.reader.find(np.eye(1, self.reader.dim, dtype=np.float32)[0], 1)

    def changed_engine(self) -> bool:
        """Whether somebody has let another engine search since."""
        return bool(generations.facts(self.reader.store.folder)["engine"] != self.reader.engine)

    def close(self) -> None:
        """Let go of everything."""
        self.copies.close()
        self.reader.close()
        self.shelf.close()


class Room:
    """A collection's folder. What is read is of the generation that answers: whoever needs several things of one takes
    `now` once, because another one may come to answer (`nearsight.search.migration`)."""

    def __init__(self, name: str, folder: Path, settings: Settings, decoder: Isolated) -> None:
        self.name = name
        self.folder = folder
        self.settings = settings
        self._decoder = decoder
        self.now = Reading(folder, settings, decoder)
        self.writable = not settings.read_only and os.access(folder, os.W_OK)
        self.thumbnails = Thumbnails(folder, keep=self.writable)
        self.state = "not loaded yet"
        self._writer: Collection | None = None
        self._upkeep = Upkeep()
        self._writing = threading.Lock()
        self._written = 0.0
        self._following = threading.Lock()
        self._past: list[tuple[float, Reading]] = []
        self._told: dict[str, Any] | None = None
        self._count_again = 0.0

    @property
    def reader(self) -> Collection:
        """The handle that searches."""
        return self.now.reader

    @property
    def shelf(self) -> Collection:
        """The handle for lists."""
        return self.now.shelf

    @property
    def eyes(self) -> _Shared:
        """What decodes and encodes."""
        return self.now.eyes

    @property
    def copies(self) -> Copies:
        """Its near-duplicates."""
        return self.now.copies

    def warm(self) -> None:
        """Load what the first search needs."""
        try:
            self.now.warm()
            self.state = "ready"
        except NearsightError as error:
            self.state = error.code

    def follow(self) -> None:
        """Read from the generation that answers now, with the engine that searches it now, if either is another one;
        who still searches in the one before may end."""
        with self._following:
            while self._past and time.monotonic() - self._past[0][0] > _LINGER:
                self._past.pop(0)[1].close()
            if generations.current(self.folder) == self.now.reader.store.folder and not self.now.changed_engine():
                return
            fresh = Reading(self.folder, self.settings, self._decoder)
            try:
                fresh.warm()
            except BaseException:
                fresh.close()
                raise
            self._past.append((time.monotonic(), self.now))
            self.now, self._told = fresh, None

    def stats(self) -> dict[str, Any]:
        """What `GET /collections` tells of it.

        While a collection grows, what can be filtered by is counted anew for a tenth of the time at most.
        """
        snapshot = self.shelf.store.snapshot()
        begun = time.monotonic()
        if self._told is None or (snapshot.generation != self._told["generation"] and begun > self._count_again):
            self._told = {**self.shelf.stats(), "facets": facets(self.shelf.store)}
            self._count_again = time.monotonic() + 9 * (time.monotonic() - begun)
        calibrated = self.reader.calibration is not None
        return {
            **self._told, "items": len(snapshot), "generation": snapshot.generation, "calibrated": calibrated
        }  # fmt: skip

    # pictures

    def thumbnail(self, key: int, side: int) -> tuple[Thumbnail, bytes]:
        """That of an item, and the hash of its content. Raises InputError (404), PictureError."""
        side = next((one for one in SIDES if one >= side), SIDES[-1])
        sha256 = hashes(self.shelf.store, [key]).get(key)
        if sha256 is None:
            self.shelf.item(key)
            raise no_picture(key)
        found = self.thumbnails.find(sha256, side)
        if found is None:
            picture, size = self.eyes.sized(self.content(key), side)
            found = self.thumbnails.make(sha256, picture, size, side)
        return found, sha256

    def content(self, key: int) -> bytes:
        """The bytes of an item's picture. Raises InputError (404), PictureError."""
        try:
            return read(self.shelf.item(key).path, self.settings.picture)
        except PictureError as error:
            if error.reason in ("vanished", "unreadable", "not-a-file"):
                raise no_picture(key) from error
            raise

    def sizes(self, items: list[Item]) -> dict[int, tuple[int, int]]:
        """Key -> width and height of the upright picture, of those that are known."""
        own = hashes(self.shelf.store, [item.key for item in items])
        known = self.thumbnails.sizes(list(own.values()))
        return {key: known[sha256] for key, sha256 in own.items() if sha256 in known}

    # writing

    @contextmanager
    def writing(self) -> Iterator[Collection]:
        """The collection, open for writing, for one thread at a time. Raises ReadOnly, Locked."""
        if not self.writable:
            raise ReadOnly("this server changes nothing")
        with self._writing:
            if self._writer is None:
                self._writer = Collection.open(self.folder)
                self.follow()  # so that what is written is found by the next search
            try:
                yield self._writer
            except StoreError:
                self._let_go()  # a failed write is final for its handle
                raise
            finally:
                self._written = time.monotonic()

    def rest(self) -> None:
        """Where nothing was changed for a while, bring the index up to date, if much has come, and then let another
        process write; `follow`. Called about once a second."""
        with suppress(NearsightError):  # what is open goes on answering
            self.follow()
        if self._writer is not None and self._writing.acquire(blocking=False):
            try:
                if time.monotonic() - self._written > _KEEP_WRITER and not self._upkeep.begin(self._writer):
                    self._let_go()
            finally:
                self._writing.release()

    def _let_go(self) -> None:
        writer, self._writer = self._writer, None
        if self._upkeep.end() and writer is not None:
            writer.close()

    def close(self) -> None:
        """Let go of everything."""
        with self._writing:
            self._let_go()
        self.thumbnails.close()
        for reading in [*(past for _, past in self._past), self.now]:
            reading.close()


class _Shared(Eyes):
    """Decodes in processes that can be killed, and encodes what comes at once in one batch."""

    def __init__(self, collection: Collection, settings: Settings, decoder: Isolated) -> None:
        super().__init__(collection)
        self._decoder = decoder
        self._limits = settings.picture
        self._words: Together[str, Vectors] = Together(lambda texts: list(collection.encoder.encode_texts(texts)))
        self._pictures: Together[NDArray[Any], Vectors] = Together(
            lambda prepared: list(collection.encoder.encode_prepared(prepared))
        )

    def decode(self, content: bytes, side: int) -> Image.Image:
        return self._decoder.decode(content, limits=self._limits, side=side)

    def sized(self, content: bytes, side: int) -> tuple[Image.Image, tuple[int, int]]:
        """A picture, perhaps smaller than it is, and its full size."""
        return self._decoder.decode_sized(content, limits=self._limits, side=side)

    def picture(self, picture: Image.Image) -> Vectors:
        return self._pictures(self.collection.encoder.prepare(picture))

    def words(self, text: str) -> Vectors:
        return self._words(text)


def no_picture(key: int) -> InputError:
    """The error for an item without a file that could be shown."""
    return InputError(f"there is no picture of item {key} that could be shown", code="item/no-picture")
