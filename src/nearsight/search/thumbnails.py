"""Small copies of pictures, made when they are first asked for, and how large the pictures themselves are.

Derived, and kept by the hash of a picture's content in ``thumbnails/thumbnails.sqlite``: copies of one content share
them, and a picture that changed meets nothing old. Re-encoded from pixels, so no metadata goes with them.
"""

from __future__ import annotations

import io
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crc32c import crc32c
from PIL import Image

from nearsight.data.images import thumbnail

SIDES = (128, 320, 512)
"""Longest sides that are made."""
FOLDER = "thumbnails"
_FILE = "thumbnails.sqlite"
_IN_MEMORY = 64 << 20
_ON_DISK = 4 << 30
_QUALITY = 82
_AT_ONCE = 256
"""Thumbnails that go at once where there are too many."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS picture(sha256 BLOB PRIMARY KEY, width INTEGER NOT NULL, height INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS thumbnail(id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, side INTEGER NOT NULL,
    crc INTEGER NOT NULL, jpeg BLOB NOT NULL, UNIQUE(sha256, side));
"""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A JPEG, and the size of the picture that it is of."""

    jpeg: bytes
    width: int
    height: int


class Thumbnails:
    """Those of one collection. Where its folder cannot be written, and with ``keep=False``, they are kept in memory.

    Safe to share between threads and processes. A file that is damaged is begun anew; nothing but time is lost.
    """

    def __init__(self, folder: Path, *, keep: bool = True) -> None:
        self._path: Path | None = folder / FOLDER / _FILE if keep else None
        self._lock = threading.Lock()
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            for _ in range(2):
                try:
                    self._path.parent.mkdir(exist_ok=True)
                    return self._connect(str(self._path))
                except OSError:
                    break
                except sqlite3.OperationalError:  # a medium that only reads
                    break
                except sqlite3.DatabaseError:
                    self._path.unlink(missing_ok=True)
        self._path = None
        return self._connect(":memory:")

    def _connect(self, name: str) -> sqlite3.Connection:
        db = sqlite3.connect(name, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            db.execute("PRAGMA synchronous=OFF")  # derived: what a power failure takes is made again
            db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db

    def find(self, sha256: bytes, side: int) -> Thumbnail | None:
        """The thumbnail of a content, if it was made."""
        rows = self._run(
            "SELECT crc, jpeg, width, height FROM thumbnail JOIN picture USING(sha256) WHERE sha256=? AND side=?",
            sha256,
            side,
        )
        for crc, jpeg, width, height in rows:
            if crc32c(jpeg) == crc:
                return Thumbnail(jpeg, width, height)
        return None

    def make(self, sha256: bytes, picture: Image.Image, size: tuple[int, int], side: int) -> Thumbnail:
        """From a decoded picture, perhaps a smaller one than `size`, that of the upright file; kept if possible."""
        file = io.BytesIO()
        thumbnail(picture, side).save(file, "JPEG", quality=_QUALITY)
        made = Thumbnail(file.getvalue(), *size)
        self._run("INSERT OR REPLACE INTO picture VALUES(?, ?, ?)", sha256, *size)
        self._run(
            "INSERT OR REPLACE INTO thumbnail(sha256, side, crc, jpeg) VALUES(?, ?, ?, ?)",
            sha256,
            side,
            crc32c(made.jpeg),
            made.jpeg,
        )
        self._bound()
        return made

    def sizes(self, hashes: Sequence[bytes]) -> dict[bytes, tuple[int, int]]:
        """Content -> width and height of the upright picture, of those that are known."""
        known: dict[bytes, tuple[int, int]] = {}
        for start in range(0, len(hashes), 500):
            some = hashes[start : start + 500]
            rows = self._run(f"SELECT * FROM picture WHERE sha256 IN ({','.join('?' * len(some))})", *some)
            known |= {bytes(sha256): (width, height) for sha256, width, height in rows}
        return known

    def forget(self, sha256: bytes) -> None:
        """Of a picture that is to leave no trace."""
        self._run("DELETE FROM thumbnail WHERE sha256=?", sha256)
        self._run("DELETE FROM picture WHERE sha256=?", sha256)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def _bound(self) -> None:
        """The oldest make room where they are too many: pages of the file that hold something."""
        figures = [self._run(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size")]
        if not all(figures):
            return
        pages, free, size = (int(rows[0][0]) for rows in figures)
        if (pages - free) * size > (_IN_MEMORY if self._path is None else _ON_DISK):
            self._run("DELETE FROM thumbnail WHERE id IN (SELECT id FROM thumbnail ORDER BY id LIMIT ?)", _AT_ONCE)

    def _run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Nothing where the file is busy or full: it can be made again. A damaged one is replaced."""
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.OperationalError:
                return []
            except sqlite3.DatabaseError:
                self._db.close()
                if self._path is not None:
                    with suppress(OSError):
                        self._path.unlink(missing_ok=True)
                self._db = self._open()
                return []
