"""A small likeness of each picture, made once and kept in the collection: what copies are told by.

32 x 32 grey levels, 8 x 8 of both colour differences, and how large the picture is: 1,192 bytes. Kept in
``signatures/`` inside the collection under the hash of the picture's content, so that a picture that changed meets
nothing old, in shards that are whole or absent: a run that was stopped loses nothing that it had written, and what is
lost or damaged is made again.
"""

from __future__ import annotations

import io
import shutil
import uuid
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.artefact import read_artefact, write_artefact
from nearsight.core.errors import Damaged, FormatError, NotACollection

FOLDER = "signatures"
FORMAT, VERSION = "nearsight-signatures", 1
SIDE = 32
_TINTS = 8
_ROWS = "rows.npy"
_ROW = np.dtype(
    [
        ("sha256", np.uint8, (32,)),
        ("size", np.uint32, (2,)),
        ("luma", np.uint8, (SIDE, SIDE)),
        ("chroma", np.uint8, (_TINTS, _TINTS, 2)),
    ]
)
SHARD = 4096
Row: TypeAlias = NDArray[np.void]
"""(n,) of what is kept of a picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Signatures:
    """n of them: luma (n, 32, 32) and chroma (n, 8, 8, 2) in levels, 0 to 255."""

    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.luma)


def signature(picture: Image.Image, size: tuple[int, int], sha256: bytes) -> Row:
    """(1,) row of an RGB picture, which may be decoded smaller than its `size` (width, height)."""
    small = picture.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0).convert("YCbCr")
    levels = np.asarray(small)
    times = SIDE // _TINTS
    tints = levels[..., 1:].reshape(_TINTS, times, _TINTS, times, 2).mean(axis=(1, 3))
    row = np.zeros(1, dtype=_ROW)
    row["sha256"], row["size"] = np.frombuffer(sha256, dtype=np.uint8), size
    row["luma"], row["chroma"] = levels[..., 0], np.rint(tints)
    return row


def signatures(rows: Row) -> Signatures:
    """Of rows (n,)."""
    return Signatures(rows["luma"], rows["chroma"])


class Shelf:
    """The signatures of one collection, by the hashes of its pictures; those on disk are mapped, not loaded."""

    def __init__(self, folder: Path, *, write: bool) -> None:
        """`folder`: of the collection. What is damaged or of another version there is as if it were not.

        With `write`, what is added is written, a shard at a time; else it stays in memory.
        """
        self._folder = folder / FOLDER
        self._write = write
        self._parts: list[Row] = []
        self._places: dict[bytes, tuple[int, int]] = {}
        self._shards: dict[int, Path] = {}
        self._fresh: list[Row] = []
        for place in sorted(self._folder.glob("shard-*")):
            try:
                read_artefact(place, FORMAT, VERSION)
                rows = np.load(place / _ROWS, mmap_mode="r", allow_pickle=False)
            except (NotACollection, FormatError, Damaged, OSError, ValueError):
                continue
            if rows.dtype == _ROW and rows.ndim == 1:
                self._shards[self._take(np.asarray(rows))] = place

    def __contains__(self, sha256: object) -> bool:
        return sha256 in self._places

    def add(self, row: Row) -> None:
        """Know this one from now on. Raises WriteFailed."""
        self._fresh.append(row)
        if len(self._fresh) == SHARD:
            self._settle()

    def tidy(self, living: Container[bytes]) -> None:
        """Write the rest of what was added, and leave out what no living picture has. Raises WriteFailed."""
        self._settle()
        if not self._write:
            return
        names = {number: [bytes(name) for name in self._parts[number]["sha256"]] for number in self._shards}
        loose = {
            number
            for number, held in names.items()
            if len(held) < SHARD or not all(name in living and self._places[name][0] == number for name in held)
        }
        if len(loose) == 1 and all(name in living for number in loose for name in names[number]):
            return  # the last one, which is not full
        kept = [self._parts[n][row] for name, (n, row) in self._places.items() if n in loose and name in living]
        stale = [self._shards.pop(number) for number in loose]
        for start in range(0, len(kept), SHARD):
            self._shelve(np.stack(kept[start : start + SHARD]))
        for place in stale:
            shutil.rmtree(place, ignore_errors=True)

    def places(self, hashes: Sequence[bytes]) -> NDArray[np.int64]:
        """(n, 2): where it has the signatures of these pictures, until it is tidied; -1 where it has none."""
        self._settle()
        return np.array([self._places.get(name, (-1, -1)) for name in hashes], dtype=np.int64).reshape(-1, 2)

    def sizes(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n, 2) widths and heights in pixels."""
        return np.asarray(self._rows(places)["size"].astype(np.int64))

    def signatures(self, places: NDArray[np.int64]) -> Signatures:
        """Those at `places` (n, 2)."""
        return signatures(self._rows(places))

    def _settle(self) -> None:
        if self._fresh:
            rows = np.concatenate(self._fresh)
            self._fresh = []
            if self._write:
                self._shelve(rows)
            else:
                self._take(rows)

    def _shelve(self, rows: Row) -> None:
        content = io.BytesIO()
        np.save(content, rows, allow_pickle=False)
        place = self._folder / f"shard-{uuid.uuid4().hex}"
        write_artefact(place, FORMAT, VERSION, {}, {_ROWS: content.getvalue()})
        self._shards[self._take(rows)] = place

    def _take(self, rows: Row) -> int:
        number = len(self._parts)
        self._parts.append(rows)
        self._places |= {bytes(name): (number, row) for row, name in enumerate(rows["sha256"])}
        return number

    def _rows(self, places: NDArray[np.int64]) -> Row:
        out = np.zeros(len(places), dtype=_ROW)
        for number in np.unique(places[:, 0]):
            mine = places[:, 0] == number
            out[mine] = self._parts[number][places[mine, 1]]
        return out
