"""How a study gets at its pictures, and one list of items turned into vectors, kept by what determines them."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.arrays import Vectors
from nearsight.core.artefact import read_artefact, write_artefact
from nearsight.core.errors import Damaged, FormatError, NotACollection, PictureError, WriteFailed
from nearsight.core.events import Event, Skipped, Step
from nearsight.core.items import Item
from nearsight.encode.encoder import Encoder

FORMAT = "nearsight-study-vectors"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Pictures:
    """Reading and decoding. ``decode`` takes the bytes and the tower's ``side`` (0: full size), gives RGB; both raise
    PictureError for a picture that cannot be used."""

    read: Callable[[Path], bytes]
    decode: Callable[[bytes, int], Image.Image]

    @classmethod
    def default(cls) -> Pictures:
        """``nearsight.data.images`` with its default limits."""
        from nearsight.data import images

        limits = images.Limits()
        return cls(
            lambda path: images.read(path, limits), lambda data, side: images.decode(data, limits=limits, side=side)
        )

    def show(self, path: Path, side: int) -> Image.Image | None:
        """The picture for a sheet or a page, at least `side` large if it is; None where it cannot be read any more."""
        try:
            return self.decode(self.read(path), side)
        except (PictureError, OSError):
            return None


class Prepares(Protocol):
    """The part of an image tower that `prepared` asks for; see `nearsight.encode.encoder.ImageTower`."""

    @property
    def side(self) -> int: ...

    def prepare(self, picture: Image.Image) -> NDArray[Any]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Encodings:
    """Items that could be encoded, their vectors (n, d), each picture's sha256. ``cached``: nothing was encoded."""

    items: tuple[Item, ...]
    vectors: Vectors
    hashes: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    cached: bool


def encoding(
    items: Sequence[Item], encoder: Encoder, pictures: Pictures, *, cache_folder: Path | None = None, threads: int = 2
) -> Generator[Event, None, Encodings]:
    """Items -> their vectors. A picture that cannot be used becomes a Skipped event and is left out.

    With a `cache_folder` the vectors are kept there under the encoder's fingerprint and the list of picture hashes, so
    that the same pictures are never encoded twice and a changed picture, list or setting never meets old vectors.
    """
    skipped: list[Skipped] = []
    with ThreadPoolExecutor(threads) as pool:
        hashes = yield from hashing(items, pictures, pool)
        place = None
        if cache_folder is not None:
            place = cache_folder / vectors_name(encoder.spec.fingerprint, [str(found) for found in hashes])
            kept = load_vectors(place)
            if kept is not None:
                usable, vectors = kept
                lost = [(item, found) for item, found, fine in zip(items, hashes, usable, strict=True) if not fine]
                for item, found in lost:
                    skipped.append(found if isinstance(found, Skipped) else _again(item, found, pictures, encoder))
                    yield skipped[-1]
                return _encodings(items, hashes, usable, vectors, skipped, cached=True)
        usable = np.zeros(len(items), dtype=np.bool_)
        parts = [np.empty((0, encoder.tower.dim), dtype=np.float32)]
        pairs, size, begin = list(zip(items, hashes, strict=True)), encoder.tower.batch, 0
        batches = [pairs[at : at + size] for at in range(0, len(pairs), size)]
        for ready in prepared(batches, encoder.tower, pictures, pool):
            for at, outcome in enumerate(ready, start=begin):
                if isinstance(outcome, Skipped):
                    skipped.append(outcome)
                    yield outcome
                else:
                    usable[at] = True
            parts.append(encoder.encode_prepared([r for r in ready if not isinstance(r, Skipped)]))
            begin += len(ready)
            yield Step("pictures encoded", begin, len(items))
    vectors = np.concatenate(parts)
    if place is not None:
        keep_vectors(place, encoder.spec.fingerprint, usable, vectors)
    return _encodings(items, hashes, usable, vectors, skipped, cached=False)


def _encodings(
    items: Sequence[Item],
    hashes: Sequence[str | Skipped],
    usable: NDArray[np.bool_],
    vectors: Vectors,
    skipped: list[Skipped],
    *,
    cached: bool,
) -> Encodings:
    rows = np.flatnonzero(usable).tolist()
    kept = tuple(str(hashes[row]) for row in rows)
    return Encodings(tuple(items[row] for row in rows), vectors, kept, tuple(skipped), cached)


def hashing(
    items: Sequence[Item], pictures: Pictures, pool: ThreadPoolExecutor
) -> Generator[Event, None, list[str | Skipped]]:
    """The sha256 of each picture's file, in hex, or why it cannot be read."""
    hashes: list[str | Skipped] = []
    for number, found in enumerate(pool.map(lambda item: _hash(item, pictures), items), start=1):
        hashes.append(found)
        if number % 256 == 0 or number == len(items):
            yield Step("pictures read", number, len(items))
    return hashes


def prepared(
    batches: Iterable[Sequence[tuple[Item, str | Skipped]]],
    tower: Prepares,
    pictures: Pictures,
    pool: ThreadPoolExecutor,
) -> Iterator[list[NDArray[Any] | Skipped]]:
    """Pictures with their hashes -> what `tower` takes, batch by batch; the next one is decoded meanwhile."""
    waiting: deque[list[Future[NDArray[Any] | Skipped]]] = deque()
    for batch in batches:
        waiting.append([pool.submit(_prepare, *pair, pictures, tower) for pair in batch])
        if len(waiting) > 1:
            yield [future.result() for future in waiting.popleft()]
    while waiting:
        yield [future.result() for future in waiting.popleft()]


def _hash(item: Item, pictures: Pictures) -> str | Skipped:
    found = _read(item, pictures)
    return found if isinstance(found, Skipped) else hashlib.sha256(found).hexdigest()


def _prepare(item: Item, known: str | Skipped, pictures: Pictures, tower: Prepares) -> NDArray[Any] | Skipped:
    """Decoded and prepared, if it still is the picture whose sha256 was taken."""
    if isinstance(known, Skipped):
        return known
    found = _read(item, pictures)
    if isinstance(found, Skipped):
        return found
    if hashlib.sha256(found).hexdigest() != known:
        return Skipped(str(item.path), "picture/changed", "its file changed meanwhile", "run the same again")
    try:
        return tower.prepare(pictures.decode(found, tower.side))
    except PictureError as error:
        return _skipped(item, error)


def _read(item: Item, pictures: Pictures) -> bytes | Skipped:
    try:
        return pictures.read(item.path)
    except PictureError as error:
        return _skipped(item, error)
    except OSError as error:
        return Skipped(str(item.path), "picture/unreadable", str(error), "is the file still there, and readable?")


def _again(item: Item, known: str, pictures: Pictures, encoder: Encoder) -> Skipped:
    """Why a picture that was left out when the cache was made was left out."""
    found = _prepare(item, known, pictures, encoder.tower)
    if isinstance(found, Skipped):
        return found
    return Skipped(str(item.path), "picture/unreadable", "could not be read when the vectors were made")


def _skipped(item: Item, error: PictureError) -> Skipped:
    return Skipped(str(item.path), error.code, error.message, error.hint)


def vectors_name(fingerprint: str, hashes: Sequence[str]) -> str:
    """The folder, in a cache, of the vectors that an encoder makes of what has these hashes."""
    return f"{fingerprint[:16]}-{hashlib.sha256(chr(10).join([fingerprint, *hashes]).encode()).hexdigest()[:32]}"


def load_vectors(place: Path) -> tuple[NDArray[np.bool_], Vectors] | None:
    """(which things have a vector, their vectors) as a cache holds them; None where it holds nothing, or nothing that
    can be trusted: then it is made again."""
    try:
        read_artefact(place, FORMAT, VERSION)
    except (NotACollection, FormatError, Damaged):
        return None
    usable: NDArray[np.bool_] = np.load(place / "usable.npy", allow_pickle=False)
    vectors: Vectors = np.load(place / "vectors.npy", allow_pickle=False)
    return usable, vectors


def keep_vectors(place: Path, fingerprint: str, usable: NDArray[np.bool_], vectors: Vectors) -> None:
    """What `load_vectors` takes back. A folder that cannot be written keeps nothing: the next run encodes again."""
    files = {"vectors.npy": npy(vectors), "usable.npy": npy(usable)}
    with contextlib.suppress(OSError, WriteFailed):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_artefact(place, FORMAT, VERSION, {"fingerprint": fingerprint}, files)


def npy(array: NDArray[Any]) -> bytes:
    """The content of a .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
