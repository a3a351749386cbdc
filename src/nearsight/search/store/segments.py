"""Vector segments: a file of rows and a file of their keys, each behind a 4 KB header that says what it is."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from crc32c import crc32c
from numpy.typing import NDArray

from nearsight.core.arrays import Keys
from nearsight.core.errors import Damaged
from nearsight.search.store import disk

HEADER = 4096
BLOCK = 1024
"""Rows that share a checksum in the catalogue."""
SEGMENT_BYTES = 256 << 20
_LAYOUT = struct.Struct("<8s H H I I 16s 32s")
_MAGIC = {"vec": b"NSIGHTV\0", "key": b"NSIGHTK\0"}
_DTYPES = {1: np.dtype("<f4"), 2: np.dtype("<f2")}


@dataclass(frozen=True, slots=True)
class Shape:
    """What every segment of a collection has in common."""

    collection: bytes
    fingerprint: bytes
    dim: int
    dtype: np.dtype[np.floating]

    @property
    def row_bytes(self) -> int:
        """Bytes of one vector."""
        return self.dim * self.dtype.itemsize

    @property
    def capacity(self) -> int:
        """Rows of a full segment, whole blocks."""
        return max(1, SEGMENT_BYTES // (self.row_bytes * BLOCK)) * BLOCK


class Segment:
    """The two files of one segment."""

    def __init__(self, folder: Path, number: int, shape: Shape) -> None:
        self.number = number
        self.shape = shape
        self.vec = folder / f"{number:06d}.vec"
        self.key = folder / f"{number:06d}.key"

    def create(self) -> None:
        """New, empty files. What a crash left under this number was never committed and is overwritten."""
        for path, kind in ((self.vec, "vec"), (self.key, "key")):
            with disk.step("create"):
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o644)
            try:
                disk.write_at(handle, self._header(kind), 0)
                disk.sync(handle)
            finally:
                os.close(handle)
        disk.sync_parent(self.vec)

    def append(self, at: int, keys: Keys, rows: NDArray[np.floating]) -> None:
        """Write rows from row number `at` on and sync them. They count only once the catalogue says so."""
        parts = (
            (self.vec, rows.data.cast("B"), HEADER + at * self.shape.row_bytes),
            (self.key, keys.data.cast("B"), HEADER + at * 8),
        )
        for path, content, offset in parts:
            with disk.step("open"):
                handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
            try:
                disk.write_at(handle, content, offset)
                disk.sync(handle)
            finally:
                os.close(handle)

    def map(self, rows: int) -> NDArray[np.floating]:
        """The first `rows` vectors, mapped, not read: (rows, dim). Raises Damaged for a wrong header or size."""
        self._require(self.vec, "vec", HEADER + rows * self.shape.row_bytes)
        return np.memmap(self.vec, self.shape.dtype, mode="r", offset=HEADER, shape=(rows, self.shape.dim))

    def keys(self, rows: int) -> Keys:
        """The keys of the first `rows` rows, as they stand in the file."""
        self._require(self.key, "key", HEADER + rows * 8)
        return np.fromfile(self.key, "<i8", count=rows, offset=HEADER).astype(np.int64, copy=False)

    def flaws(self, rows: int) -> Iterator[tuple[Path, str]]:
        """What is wrong with the two files as files: missing, another header, shorter than `rows` committed rows."""
        for path, kind, size in self._files(rows):
            try:
                with open(path, "rb") as file:
                    if file.read(HEADER) != self._header(kind):
                        yield path, "its header is not the one that was written"
                    if (there := os.fstat(file.fileno()).st_size) < size:
                        yield path, f"it has {there} bytes where {size} were committed"
            except FileNotFoundError:
                yield path, "it is missing"
            except OSError as error:
                yield path, f"it cannot be read: {error.strerror}"

    def mend(self, rows: int) -> None:
        """Write the headers again and extend what is too short. The rows inside then show by their checksums."""
        for path, kind, size in self._files(rows):
            with disk.step("open"):
                handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
            try:
                disk.write_at(handle, self._header(kind), 0)
                if os.fstat(handle).st_size < size:
                    with disk.step("extend"):
                        os.truncate(handle, size)
                disk.sync(handle)
            finally:
                os.close(handle)
        disk.sync_parent(self.vec)

    def read(self, first: int, count: int) -> NDArray[np.floating]:
        """Vectors from row `first` on, read, not mapped, whatever the header says: (<= count, dim)."""
        whole = min(count, max(0, self.vec.stat().st_size - HEADER) // self.shape.row_bytes - first)
        at = HEADER + first * self.shape.row_bytes
        return np.fromfile(self.vec, self.shape.dtype, max(0, whole) * self.shape.dim, offset=at).reshape(
            -1, self.shape.dim
        )

    def read_keys(self, first: int, count: int) -> Keys:
        """Keys from row `first` on, as far as the file goes: (<= count,)."""
        return np.fromfile(self.key, "<i8", count, offset=HEADER + first * 8).astype(np.int64, copy=False)

    def damaged_keys(self, rows: int, blocks: Mapping[tuple[int, int], tuple[int, int, int]]) -> bool:
        """Whether keys in the file are not as written (readers take them from the catalogue)."""
        keys = self.keys(rows)
        return any(
            checksum(keys[first : first + BLOCK]) != blocks.get((self.number, first // BLOCK), (0, 0, -1))[2]
            for first in range(0, rows, BLOCK)
        )

    def _files(self, rows: int) -> tuple[tuple[Path, str, int], tuple[Path, str, int]]:
        return (self.vec, "vec", HEADER + rows * self.shape.row_bytes), (self.key, "key", HEADER + rows * 8)

    def _header(self, kind: str) -> bytes:
        code = next(c for c, t in _DTYPES.items() if t == self.shape.dtype)
        shape = self.shape
        body = _LAYOUT.pack(_MAGIC[kind], 1, code, shape.dim, self.number, shape.collection, shape.fingerprint)
        return body.ljust(HEADER - 4, b"\0") + struct.pack("<I", crc32c(body.ljust(HEADER - 4, b"\0")))

    def _require(self, path: Path, kind: str, size: int) -> None:
        """The header must be, byte for byte, the one that this collection writes."""
        with open(path, "rb") as file:
            if file.read(HEADER) != self._header(kind):
                raise Damaged(f"the header of {path} is not the one that was written")
        if path.stat().st_size < size:
            raise Damaged(f"{path} has {path.stat().st_size} bytes where {size} were committed")


def row_sums(keys: Keys, rows: NDArray[np.floating]) -> list[int]:
    """CRC-32C of each row: its key's eight bytes, then its vector's bytes."""
    return [checksum(row, crc32c(key.tobytes())) for key, row in zip(keys, rows, strict=True)]


def checksum(array: NDArray[Any], start: int = 0) -> int:
    """CRC-32C of a contiguous array's bytes, carried on from `start`."""
    return int(crc32c(array.data.cast("B"), start))
