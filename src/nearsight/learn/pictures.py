"""The pictures of a training: read and proven once, kept decoded where memory allows, augmented ahead of the step."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.ahead import ahead
from nearsight.core.errors import DatasetError, PictureError
from nearsight.core.events import Event, Skipped, Step
from nearsight.core.items import Item
from nearsight.data.images import Limits, decode, read
from nearsight.encode.preprocess import Preprocess
from nearsight.learn.samplers import Numbers

Pixels = NDArray[np.uint8]
"""(n, size, size, 3)."""
View: TypeAlias = Callable[[Image.Image, Preprocess, np.random.Generator], Pixels]
"""One picture, changed at random -> (size, size, 3), as `nearsight.learn.augment` does."""
AHEAD = 3
"""Batches that are made ready while one is learned from."""


@dataclass(eq=False)
class Pictures:
    """Items that can be decoded, with their labels as numbers.

    items   those that can be used, in the order they were given
    labels  (n,) 0 .. classes - 1, in the order of the sorted names
    names   label -> name
    digest  sha256 over the pictures' content and labels: the same data, wherever it lies
    skipped what cannot be used, each with its reason
    """

    items: tuple[Item, ...]
    labels: Numbers
    names: tuple[str, ...]
    digest: str
    skipped: tuple[Skipped, ...]
    side: int
    _kept: dict[int, Image.Image] = field(default_factory=dict)
    _lines: tuple[str, ...] = ()
    """(n,) content and label of each, which the digest is over."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def hashes(self) -> tuple[str, ...]:
        """(n,) sha256 of each file's content, in hex."""
        return tuple(line.partition(" ")[0] for line in self._lines)

    def open(self, row: int) -> Image.Image:
        """One picture, RGB. Raises DatasetError (``training/vanished``) where it was there before and is not now."""
        kept = self._kept.get(row)
        if kept is not None:
            return kept
        try:
            return _decoded(self.items[row].path, self.side)[0]
        except PictureError as error:
            raise DatasetError(
                f"{self.items[row].path} could be read when training began and cannot be now: {error.message}",
                code="training/vanished",
                hint="put it back and run the same command: training goes on from its last checkpoint",
            ) from error

    def subset(self, rows: Sequence[int]) -> Pictures:
        """Some of them, in the order of `rows`, as if only they had been given: labels are numbered anew, over the
        classes that are left. What is kept decoded is shared; nothing is read.
        """
        items = tuple(self.items[row] for row in rows)
        names, labels = _numbered(items)
        lines = tuple(self._lines[row] for row in rows)
        kept = {at: self._kept[row] for at, row in enumerate(rows) if row in self._kept}
        return Pictures(items, labels, names, _digest(lines), (), self.side, kept, lines)


def proven(items: Sequence[Item], *, side: int, cache_mb: int, workers: int) -> Generator[Event, None, Pictures]:
    """Read and decode every picture once; those that cannot be used become Skipped events and are left out.

    `side` is what the network looks at: large JPEGs may be decoded at a reduced scale (see `decode`).

    Raises DatasetError (code ``dataset/unlabelled``, ``dataset/empty``).
    """
    bare = [str(item.path) for item in items if item.label is None]
    if bare:
        raise DatasetError(
            f"{len(bare)} of {len(items)} pictures have no label, the first: {bare[0]}",
            code="dataset/unlabelled",
            hint="label them, or take them out of the table",
        )
    room = cache_mb << 20
    kept: dict[int, Image.Image] = {}
    usable: list[Item] = []
    skipped: list[Skipped] = []
    lines: list[str] = []
    proofs = ahead(items, lambda item: _proof(item, side), threads=workers, most=8 * workers, name="nearsight-proof")
    with closing(proofs):
        for number, (item, found) in enumerate(zip(items, proofs, strict=True), start=1):
            if isinstance(found, Skipped):
                skipped.append(found)
                yield found
            else:
                picture, digest = found
                size = 3 * picture.width * picture.height
                if size <= room:
                    room -= size
                    kept[len(usable)] = picture
                usable.append(item)
                lines.append(f"{digest} {item.label}")
            if number % 64 == 0 or number == len(items):
                yield Step("pictures read", number, len(items))
    if not usable:
        raise DatasetError(
            f"none of {len(items)} training pictures can be used"
            + (f"; the first, {skipped[0].path}: {skipped[0].why}" if skipped else ""),
            code="dataset/empty",
            hint="look at the folder or table they come from",
        )
    known, labels = _numbered(usable)
    return Pictures(tuple(usable), labels, known, _digest(lines), tuple(skipped), side, kept, tuple(lines))


def _numbered(items: Sequence[Item]) -> tuple[tuple[str, ...], Numbers]:
    """The classes that occur, sorted, and (n,) each item's number among them."""
    known = tuple(sorted({str(item.label) for item in items}))
    number_of = {name: at for at, name in enumerate(known)}
    return known, np.fromiter((number_of[str(item.label)] for item in items), dtype=np.int64, count=len(items))


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogatepass")).hexdigest()


def _proof(item: Item, side: int) -> tuple[Image.Image, str] | Skipped:
    try:
        return _decoded(item.path, side)
    except PictureError as error:
        return Skipped(str(item.path), error.code, error.message, error.hint)


def _decoded(path: Path, side: int) -> tuple[Image.Image, str]:
    limits = Limits()
    data = read(path, limits)
    return decode(data, limits=limits, side=side), hashlib.sha256(data).hexdigest()


class Opened(Protocol):
    """Pictures by row."""

    def __len__(self) -> int: ...

    def open(self, row: int) -> Image.Image: ...


@dataclass(frozen=True, eq=False)
class Loader:
    """Batches of pixels, made in threads ahead of whoever takes them."""

    pictures: Opened
    preprocess: Preprocess
    pool: ThreadPoolExecutor

    def training(
        self, batches: Iterable[tuple[int, int, Numbers]], augment: View, seed: tuple[int, int]
    ) -> Iterator[tuple[int, Pixels]]:
        """(position, place of the first, rows) -> (position, pixels).

        What is random in a picture follows from seed, position and place in the batch alone: a resumed run sees what an
        unbroken one would have seen, and several processes together what one would.
        """

        def make(position: int, place: int, row: int) -> Pixels:
            draw = np.random.default_rng((*seed, position, place))
            return augment(self.pictures.open(row), self.preprocess, draw)

        waiting: deque[tuple[int, list[Future[Pixels]]]] = deque()
        coming = iter(batches)

        def more() -> None:
            for position, first, rows in islice(coming, AHEAD - len(waiting)):
                places = enumerate(rows.tolist(), start=first)
                waiting.append((position, [self.pool.submit(make, position, *place) for place in places]))

        try:
            more()
            while waiting:
                position, made = waiting.popleft()
                pixels = np.stack([future.result() for future in made])
                more()
                yield position, pixels
        finally:
            for _, made in waiting:
                for future in made:
                    future.cancel()

    def measuring(self, batch: int) -> Iterator[Pixels]:
        """All pictures in order, as the encoder will see them."""
        rows = range(len(self.pictures))
        for begin in range(0, len(self.pictures), batch):
            some = rows[begin : begin + batch]
            yield np.stack(list(self.pool.map(lambda row: self.preprocess(self.pictures.open(row)), some)))
