"""A new catalogue from what a damaged one still says truly, and from the segments.

An entry counts where its checksum is right. Of the others, SQLite's indexes hold path, place, content hash and label a
second time: with a vector that is as written, that restores the item under its key, without captions and fields.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Keys
from nearsight.core.artefact import sync_file, sync_folder
from nearsight.core.errors import WriteFailed
from nearsight.search.store.catalogue import COLUMNS, SCHEMA, Catalogue, item_sum, pack_json, read_seal, shown, writing
from nearsight.search.store.check import ASIDE, Finding, shape_of
from nearsight.search.store.compact import SEGMENT_FILE
from nearsight.search.store.segments import BLOCK, HEADER, Segment, Shape, checksum, row_sums

_RANGE = 4096
_PAGE = 4096  # what SQLite makes of a new file
_UNKNOWN = -1
"""Where a checksum cannot be worked out from what is there; no CRC equals it, so that the rows are looked at singly."""


def salvage(folder: Path, meta: dict[str, Any]) -> Iterator[Finding]:
    """Replace the catalogue in `folder`; the damaged one is kept in ``damaged/``. Call it under the writer's lock.

    Yields a Finding for each item that is lost (by name where an index still knows it) or restored in part. Keys are
    never given again. Raises WriteFailed; then the old catalogue is still in place.
    """
    temporary = folder / ".catalogue.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        Catalogue.create(temporary, pack_json(meta))
        old = _Old(folder, temporary / "old.sqlite", temporary / "catalogue.sqlite")
        new = Catalogue(temporary, write=True)
        try:
            with writing(temporary):
                new.db.execute("BEGIN")
                yield from _Salvage(folder, shape_of(meta), old, new.db).run()
                new.db.execute("COMMIT")
            new.seal()
        finally:
            new.close()
            old.close()
        keep_aside(folder, "catalogue.sqlite")
        (folder / "catalogue.sqlite-journal").unlink(missing_ok=True)
        for name in ("catalogue.sqlite", "catalogue.seal"):
            sync_file(temporary / name)
            os.replace(temporary / name, folder / name)
        sync_folder(folder)
    except OSError as error:
        raise WriteFailed(f"could not write a new catalogue into {folder}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def keep_aside(folder: Path, name: str) -> None:
    """Copy a damaged file or folder into ``damaged/`` before it is replaced."""
    source, aside = folder / name, folder / ASIDE
    if not source.exists():
        return
    aside.mkdir(exist_ok=True)
    number = 1
    while (target := aside / f"{name}-{number}").exists():
        number += 1
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


class _Old:
    """The damaged catalogue: every question is answered as far as it can be."""

    def __init__(self, folder: Path, copy: Path, fresh: Path) -> None:
        """Reads a `copy` that it makes. Where SQLite refuses the file as a whole, that gets the length back that the
        seal remembers, and the first page, with header and schema, from a `fresh` catalogue: all begin alike."""
        self.db: sqlite3.Connection | None = None
        source = folder / "catalogue.sqlite"
        if not source.is_file():
            return
        shutil.copyfile(source, copy)
        seal = read_seal(folder / "catalogue.seal")
        if seal is not None and copy.stat().st_size < seal.size:
            os.truncate(copy, seal.size)
        if not self._open(copy):
            with open(fresh, "rb") as first, open(copy, "r+b") as file:
                page = bytearray(first.read(_PAGE))
                page[28:32] = (copy.stat().st_size // _PAGE).to_bytes(4, "big")  # pages in the file
                page[32:40] = bytes(8)  # none of them known to be free
                file.write(page)
            self._open(copy)

    def _open(self, path: Path) -> bool:
        self.close()
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        try:
            known = self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            return bool(known >= SCHEMA.count("CREATE"))
        except sqlite3.Error:
            return False

    def close(self) -> None:
        if self.db is not None:
            self.db.close()
            self.db = None

    def scan(self, sql: str, order: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """From both ends up to what cannot be read."""
        found: dict[tuple[Any, ...], None] = {}
        for direction in ("ASC", "DESC"):
            try:
                for row in (
                    self.db.execute(f"{sql} ORDER BY {', '.join(f'{c} {direction}' for c in order)}") if self.db else ()
                ):
                    found[row] = None
                break
            except (sqlite3.Error, MemoryError):
                continue
        return list(found)

    def items(self, low: int, high: int) -> Iterator[tuple[Any, ...]]:
        """Entries with low <= key < high, halving the range around what cannot be read."""
        if self.db is None:
            return
        try:
            yield from self.db.execute(
                f"SELECT {COLUMNS}, sum FROM item WHERE key>=? AND key<?", (low, high)
            ).fetchall()
        except (sqlite3.Error, MemoryError):
            if high - low > 1:
                middle = (low + high) // 2
                yield from self.items(low, middle)
                yield from self.items(middle, high)


@dataclass
class _Known:
    """What the indexes know of an item whose entry is lost."""

    name: tuple[int | None, bytes] | None = None
    place: tuple[int, int] | None = None
    sha256: bytes | None = None
    label: str | None = None


@dataclass
class _Rows:
    """What is known of one segment."""

    segment: Segment
    rows: int = 0
    living: dict[int, tuple[int, int]] = field(default_factory=dict)
    """row -> key, crc"""
    blocks: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def whole(self, block: int) -> tuple[Keys, NDArray[np.floating], bool]:
        """Keys and vectors of a block, and whether they are as the old catalogue says they were written."""
        count = min(BLOCK, self.rows - block * BLOCK)
        try:
            keys, rows = self.segment.read_keys(block * BLOCK, count), self.segment.read(block * BLOCK, count)
        except OSError:
            keys, rows = np.empty(0, np.int64), np.empty((0, self.segment.shape.dim), self.segment.shape.dtype)
        full = len(keys) == len(rows) == count
        return keys, rows, full and self.blocks.get(block) == (count, checksum(rows), checksum(keys))


class _Salvage:
    def __init__(self, folder: Path, shape: Shape, old: _Old, new: sqlite3.Connection) -> None:
        self.folder, self.shape, self.old, self.new = folder, shape, old, new
        self.seal = read_seal(folder / "catalogue.seal")
        self.segments = {
            int(match[1]): _Rows(Segment(folder / "segments", int(match[1]), shape))
            for path in (folder / "segments").glob("*")
            if (match := SEGMENT_FILE.match(path.name))
        }
        self.good: set[int] = set()
        self.last = self.seal.last_key if self.seal else 0

    def run(self) -> Iterator[Finding]:
        known = self._indexes()
        self._extents(known)
        roots = {row[0]: row for row in self.old.scan("SELECT id, path, device FROM root", ("id",))}
        for path, number in self.old.scan("SELECT path, id FROM root", ("path",)):
            roots.setdefault(number, (number, path, -1))
        self._entries(max([self.last, *known, *self._keys()]))
        lost = 0
        for key in sorted(set(known) - self.good):
            finding = self._restore(key, known[key])
            lost += finding.code == "lost"
            yield finding
        wanted = {row[0] for row in self.new.execute("SELECT DISTINCT root FROM item WHERE root IS NOT NULL")}
        for number in sorted(wanted - set(roots)):
            roots[number] = (number, f"lost-root-{number}".encode(), -1)
            yield Finding("lost", f"where root {number} lies is not known any more; sync its folder again")
        self.new.executemany("INSERT INTO root VALUES(?, ?, ?)", roots.values())
        nameless = self._rows() - len(self.old.scan("SELECT segment, row FROM dead", ("segment", "row"))) - lost
        if nameless > 0:
            what = f"{nameless} vectors, of deleted items or of items whose entries cannot be read"
            yield Finding("lost", what, repair="the next sync encodes what is missing")
        self._finish()

    def _indexes(self) -> dict[int, _Known]:
        """What covering indexes say, without a look at the table."""
        known: dict[int, _Known] = {}
        for segment, row, key in self.old.scan(
            "SELECT segment, row, key FROM item INDEXED BY item_place", ("segment", "row")
        ):
            known.setdefault(key, _Known()).place = (segment, row)
        for root, path, key in self.old.scan(
            "SELECT root, path, key FROM item INDEXED BY sqlite_autoindex_item_1", ("root", "path")
        ):
            known.setdefault(key, _Known()).name = (root, path)
        for sha256, key in self.old.scan("SELECT sha256, key FROM item INDEXED BY item_sha256", ("sha256",)):
            if key in known:
                known[key].sha256 = sha256
        for label, key in self.old.scan(
            "SELECT label, key FROM item INDEXED BY item_label WHERE label IS NOT NULL", ("label",)
        ):
            if key in known:
                known[key].label = label
        return {key: what for key, what in known.items() if isinstance(key, int) and 0 < key < 2**62}

    def _extents(self, known: dict[int, _Known]) -> None:
        """How many rows of each segment count."""
        for number, block, *sums in self.old.scan("SELECT * FROM block", ("segment", "block")):
            if number in self.segments and all(isinstance(n, int) for n in (block, *sums)):
                self.segments[number].blocks[block] = (sums[0], sums[1], sums[2])
        claimed = dict(self.old.scan("SELECT id, rows FROM segment", ("id",)))
        places = [what.place for what in known.values() if what.place]
        places += self.old.scan("SELECT segment, row FROM dead", ("segment", "row"))
        used: dict[int, int] = {}
        for segment, row in places:
            if isinstance(row, int) and 0 <= row < self.shape.capacity:
                used[segment] = max(used.get(segment, 0), row + 1)
        for number, part in self.segments.items():
            summed = sum(rows for rows, _, _ in part.blocks.values())
            sound = summed == claimed.get(number) and summed <= self.shape.capacity
            part.rows = summed if sound else used.get(number, 0)
            if not sound and number not in used:  # nothing is known: whatever the files hold, as deleted rows
                with suppress(OSError):
                    part.rows = min((part.segment.key.stat().st_size - HEADER) // 8, self.shape.capacity)
            part.rows = max(0, part.rows)

    def _keys(self) -> Iterator[int]:
        """The largest key of each block of keys that is as written, of dead rows too."""
        for part in self.segments.values():
            for block in range(-(-part.rows // BLOCK)):
                keys, _, _ = part.whole(block)
                if len(keys) and checksum(keys) == part.blocks.get(block, (0, 0, _UNKNOWN))[2]:
                    self.last = max(self.last, int(keys.max()))
                    yield int(keys.max())

    def _entries(self, highest: int) -> None:
        for low in range(0, highest + 1, _RANGE):
            for *row, stored in self.old.items(low, low + _RANGE):
                if item_sum(row) == stored and self._insert(row):
                    self.good.add(row[0])
        self.last = max(self.last, max(self.good, default=0))

    def _restore(self, key: int, what: _Known) -> Finding:
        name = shown(what.name[1]) if what.name else ""
        lost = Finding(
            "lost", f"item {key} ({name or 'its name too'})", key, name, repair="the next sync adds it again"
        )
        if what.name is None or what.place is None or what.place[0] not in self.segments:
            return lost
        part, row = self.segments[what.place[0]], what.place[1]
        if not isinstance(row, int) or not 0 <= row < part.rows:
            return lost
        keys, rows, whole = part.whole(row // BLOCK)
        if not whole or keys[row % BLOCK] != key:
            return lost
        crc = row_sums(keys[row % BLOCK :][:1], rows[row % BLOCK :][:1])[0]
        values = [key, *what.name, what.sha256, None, None, None, None, *what.place, crc, what.label, "[]", "{}"]
        if not self._insert(values):
            return lost
        self.good.add(key)
        return Finding("restored", f"item {key} ({name}): its captions and fields are lost", key, name)

    def _insert(self, values: list[Any]) -> bool:
        key, segment, row, crc = values[0], values[8], values[9], values[10]
        part = self.segments.get(segment)
        if part is None:  # its files are gone; `repair` makes new ones and encodes the pictures again
            part = self.segments[segment] = _Rows(Segment(self.folder / "segments", segment, self.shape))
        try:
            marks = ", ".join("?" * (len(values) + 1))
            self.new.execute(f"INSERT INTO item({COLUMNS}, sum) VALUES({marks})", (*values, item_sum(values)))
        except sqlite3.IntegrityError:
            return False
        part.rows = max(part.rows, row + 1)
        part.living[row] = (key, crc)
        return True

    def _rows(self) -> int:
        """Segments, dead rows and checksums; how many rows are dead."""
        count = 0
        for number, part in sorted(self.segments.items()):
            self.new.execute("INSERT INTO segment VALUES(?, ?)", (number, part.rows))
            dead = [(number, row) for row in range(part.rows) if row not in part.living]
            self.new.executemany("INSERT INTO dead VALUES(?, ?)", dead)
            count += len(dead)
            for block in range(-(-part.rows // BLOCK)):
                sums = self._sums(part, block)
                self.new.execute("INSERT INTO block VALUES(?, ?, ?, ?, ?)", (number, block, *sums))
        return count

    def _sums(self, part: _Rows, block: int) -> tuple[int, int, int]:
        """The old checksums where they are right, else new ones where every living row is as written."""
        first, count = block * BLOCK, min(BLOCK, part.rows - block * BLOCK)
        keys, rows, whole = part.whole(block)
        if whole:
            return count, checksum(rows), checksum(keys)
        vec = key = _UNKNOWN
        living = {row - first: fact for row, fact in part.living.items() if first <= row < first + count}
        if len(keys) == count and all(keys[at] == named for at, (named, _) in living.items()):
            key = checksum(keys)
        if len(rows) == count and all(
            row_sums(np.array([named], np.int64), rows[at : at + 1])[0] == crc for at, (named, crc) in living.items()
        ):
            vec = checksum(rows)
        return count, vec, key

    def _finish(self) -> None:
        generation = self.seal.generation if self.seal else 0
        with suppress(sqlite3.Error):
            if self.old.db is not None:
                generation = max(generation, min(self.old.db.execute("PRAGMA user_version").fetchone()[0], 2**30))
        if self.seal is None:
            self.last = max(
                [self.last, *(row[0] for row in self.old.scan("SELECT seq FROM sqlite_sequence", ("seq",)))]
            )
        self.new.execute(f"PRAGMA user_version={generation + 1}")
        self.new.execute("DELETE FROM sqlite_sequence WHERE name='item'")
        self.new.execute("INSERT INTO sqlite_sequence VALUES('item', ?)", (self.last,))
        # rows are where they were, but a saved index of the old catalogue is not to be trusted
        self.new.execute("INSERT INTO meta VALUES('epoch', ?)", (str(secrets.randbits(40)),))
        kept = "name LIKE 'note/%' OR name IN ('turn', 'left')"
        notes = self.old.scan(f"SELECT name, value FROM meta WHERE {kept}", ("name",))
        self.new.executemany("INSERT OR IGNORE INTO meta VALUES(?, ?)", notes)
