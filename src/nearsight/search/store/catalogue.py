"""The SQLite catalogue: what is in the collection and where, under one seal.

The rollback journal is used, not the WAL: Python may come with an SQLite whose WAL can lose data (before 3.51.3), and
a collection must open on a read-only medium.
"""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from crc32c import crc32c

from nearsight.core.errors import Damaged, InputError, ReadOnly, WriteFailed
from nearsight.search.store import disk
from nearsight.search.store.lock import WriterLock, is_locked

SCHEMA = """
CREATE TABLE root(id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, device INTEGER NOT NULL);
CREATE TABLE item(
    key INTEGER PRIMARY KEY AUTOINCREMENT, root INTEGER, path BLOB NOT NULL,
    sha256 BLOB, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER,
    segment INTEGER NOT NULL, row INTEGER NOT NULL, crc INTEGER NOT NULL,
    label TEXT, captions TEXT NOT NULL, fields TEXT NOT NULL, sum INTEGER NOT NULL,
    UNIQUE(root, path));
CREATE UNIQUE INDEX item_place ON item(segment, row);
CREATE INDEX item_sha256 ON item(sha256);
CREATE INDEX item_label ON item(label) WHERE label IS NOT NULL;
CREATE TABLE dead(segment INTEGER, row INTEGER, PRIMARY KEY(segment, row)) WITHOUT ROWID;
CREATE TABLE segment(id INTEGER PRIMARY KEY, rows INTEGER NOT NULL);
CREATE TABLE block(segment INTEGER, block INTEGER, rows INTEGER NOT NULL, vec INTEGER NOT NULL, key INTEGER NOT NULL,
    PRIMARY KEY(segment, block)) WITHOUT ROWID;
CREATE TABLE skipped(root INTEGER, path BLOB, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
    code TEXT, why TEXT, hint TEXT, PRIMARY KEY(root, path)) WITHOUT ROWID;
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
COLUMNS = "key, root, path, sha256, size, mtime_ns, ctime_ns, inode, segment, row, crc, label, captions, fields"
_SEAL = struct.Struct("<8s q q q I")
_SEAL_MAGIC = b"NSSEAL1\0"
_PASSING = ("SQLITE_BUSY", "SQLITE_INTERRUPT", "SQLITE_FULL", "SQLITE_IOERR")


def item_sum(row: Sequence[Any]) -> int:
    """CRC-32C of an item's columns in the order of COLUMNS."""
    text = repr([bytes(v) if isinstance(v, (bytes, memoryview)) else v for v in row])
    return int(crc32c(text.encode("utf-8", "surrogatepass")))


class _Files:
    """One open handle per catalogue file in this process, kept while any connection to it lives.

    POSIX drops *all* of a process's locks on a file when *any* of its handles on it is closed; opening and closing
    the catalogue to checksum it would take SQLite's locks away.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Path, tuple[int, int]] = {}

    def take(self, path: Path) -> int:
        with self._lock:
            handle, users = self._open.get(path) or (os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), 0)
            self._open[path] = (handle, users + 1)
            return handle

    def give(self, path: Path) -> None:
        with self._lock:
            handle, users = self._open.pop(path)
            if users > 1:
                self._open[path] = (handle, users - 1)
            else:
                os.close(handle)


_files = _Files()


class Catalogue:
    """A connection to ``catalogue.sqlite``. One thread at a time; `Store` holds the lock."""

    def __init__(self, folder: Path, *, write: bool) -> None:
        self.path = (folder / "catalogue.sqlite").resolve()
        self.seal_path = folder / "catalogue.seal"
        self.write = write
        self.sealed = True
        """False where `verify` had to look at every row, because the seal was not of this generation."""
        if not self.path.is_file():
            raise Damaged(f"{self.path} is missing")
        if not write:
            self._recover(folder)
        self._file = _files.take(self.path)
        mode = "rw" if write else "ro"
        try:
            self.db = sqlite3.connect(
                f"{self.path.as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=30
            )
            with reading(self.path):
                if write:
                    self.db.execute("PRAGMA journal_mode=TRUNCATE")
                    self.db.execute("PRAGMA synchronous=FULL")
                self.db.execute("PRAGMA temp_store=FILE")
                self.db.execute("PRAGMA cell_size_check=ON")
                self.db.execute("PRAGMA trusted_schema=OFF")
        except BaseException:
            if hasattr(self, "db"):
                self.db.close()
            _files.give(self.path)
            raise

    @classmethod
    def create(cls, folder: Path, manifest: str) -> None:
        """Make the empty catalogue and its seal. It keeps a copy of the manifest's facts, should that file be lost."""
        with writing(folder):
            db = sqlite3.connect(folder / "catalogue.sqlite", isolation_level=None)
            db.execute("PRAGMA synchronous=FULL")
            db.executescript("BEGIN;" + SCHEMA + "PRAGMA user_version=1;")
            db.execute("INSERT INTO meta VALUES('manifest', ?)", (manifest,))
            db.execute("COMMIT")
            db.close()
        catalogue = cls(folder, write=True)
        catalogue.seal()
        catalogue.close()

    def _recover(self, folder: Path) -> None:
        """A journal that a killed writer left must be rolled back by somebody who may write."""
        journal = self.path.with_name(self.path.name + "-journal")
        try:
            hot = journal.stat().st_size > 0
        except FileNotFoundError:
            return
        if not hot or is_locked(folder):  # a live writer's journal is not hot
            return
        try:
            lock = WriterLock(folder)
        except ReadOnly as error:
            raise ReadOnly(
                f"{folder} was left in the middle of a write and cannot be recovered on a read-only medium",
                hint="open it once where it can be written",
            ) from error
        try:
            Catalogue(folder, write=True).close()
        finally:
            lock.release()

    @property
    def generation(self) -> int:
        """Rises by one with every commit."""
        return int(self.one("PRAGMA user_version"))

    @property
    def changed(self) -> int:
        """A number that differs when another connection has committed since (cheap)."""
        return int(self.one("PRAGMA data_version"))

    def one(self, sql: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.all(sql, *values)
        return row[0][0] if row else None

    def all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows. Raises Damaged where SQLite finds its own file broken."""
        with reading(self.path):
            return self.db.execute(sql, values).fetchall()

    @contextmanager
    def view(self) -> Iterator[None]:
        """A read transaction: everything inside sees one generation. Inside of one, it is that one."""
        with reading(self.path):
            within = self.db.in_transaction
            if within:
                yield
                return
            self.db.execute("BEGIN")
            try:
                yield
            finally:
                if self.db.in_transaction:
                    with suppress(sqlite3.Error):  # what was read counts; a broken file must not hide why it ended
                        self.db.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; the generation rises; sealed afterwards."""
        with writing(self.path.parent):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute(f"PRAGMA user_version={self.db.execute('PRAGMA user_version').fetchone()[0] + 1}")
                with disk.step("commit"):
                    self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise
        self.seal()

    def seal(self) -> None:
        """Write the seal of the catalogue as it is, if that is possible.

        Neither synced nor required: what is committed stays so, an old seal only costs the next open a full check.
        """
        content = _SEAL.pack(_SEAL_MAGIC, self.generation, os.fstat(self._file).st_size, self.last_key, self._sum())
        with suppress(OSError, WriteFailed):
            handle = os.open(self.seal_path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
            try:
                disk.write_at(handle, content + struct.pack("<I", crc32c(content)), 0)
            finally:
                os.close(handle)
            self.sealed = True

    def verify(self) -> None:
        """Raise Damaged unless the catalogue is what was committed.

        The seal of this generation settles it by one checksum. Where the seal is older (killed between commit and
        seal) or unreadable, every row's own checksum and SQLite's integrity check do. Call it inside `view`.
        """
        for _ in range(100):
            sealed = read_seal(self.seal_path)
            generation = self.generation
            if sealed and sealed.generation == generation:
                if (sealed.size, sealed.sum) != (os.fstat(self._file).st_size, self._sum()):
                    raise Damaged(f"{self.path} is not what was written (its checksum differs from the seal)")
                return
            if self.write or not is_locked(self.path.parent):
                break
            time.sleep(0.01)  # a live writer is between its commit and its seal
        self.sealed = False
        for what, _ in self.flaws():
            raise Damaged(f"{self.path}: {what}")

    def flaws(self) -> Iterator[tuple[str, int | None]]:
        """The slow, complete check, without the seal: what is not as written, with the item's key where it is one's.

        SQLite's own check (its indexes hold roots, paths, places and hashes a second time), every item's sum, and that
        every committed row either belongs to one item or is dead.
        """
        try:
            problems = [r[0] for r in self.all("PRAGMA integrity_check(5)") if r[0] != "ok"]
            yield from ((str(p), None) for p in problems)
            with reading(self.path):
                for *row, stored in self.db.execute(f"SELECT {COLUMNS}, sum FROM item"):
                    if item_sum(row) != stored:
                        yield f"the entry of item {row[0]} ({shown(row[2])}) is not as written", int(row[0])
            rows, live, dead, keys = (
                self.one(f"SELECT {what}") or 0
                for what in ("sum(rows) FROM segment", "count(*) FROM item", "count(*) FROM dead", "max(key) FROM item")
            )
            if rows != live + dead or rows != (self.one("SELECT sum(rows) FROM block") or 0):
                yield f"{rows} rows are committed, but {live} items live and {dead} are dead", None
            for table in ("item", "dead"):
                if self.one(
                    f"SELECT count(*) FROM {table} LEFT JOIN segment AS s ON s.id=segment "
                    "WHERE s.id IS NULL OR row < 0 OR row >= s.rows"
                ):
                    yield f"the table '{table}' names rows that no segment has", None
            if self.one("SELECT count(*) FROM dead JOIN item USING(segment, row)"):
                yield "rows are both dead and alive", None
            if self.last_key < keys:
                yield f"item {keys} has a key that was never given", None
        except Damaged as error:
            yield error.message, None

    @property
    def last_key(self) -> int:
        """The largest key that was ever given."""
        return int(self.one("SELECT seq FROM sqlite_sequence WHERE name='item'") or 0)

    def close(self) -> None:
        """Close the connection, then the handle."""
        self.db.close()
        _files.give(self.path)

    def _sum(self) -> int:
        total, offset = 0, 0
        if os.name == "nt":
            os.lseek(self._file, 0, os.SEEK_SET)
        while True:
            part = os.read(self._file, 1 << 20) if os.name == "nt" else os.pread(self._file, 1 << 20, offset)
            if not part:
                return total
            total, offset = crc32c(part, total), offset + len(part)


class Seal(NamedTuple):
    """What the catalogue was when it was sealed."""

    generation: int
    size: int
    last_key: int
    sum: int


def read_seal(path: Path) -> Seal | None:
    """The seal at `path`; None where there is none, or not one that was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) != _SEAL.size + 4 or struct.unpack("<I", content[-4:])[0] != crc32c(content[:-4]):
        return None
    magic, *values = _SEAL.unpack(content[:-4])
    return Seal(*values) if magic == _SEAL_MAGIC else None


def shown(path: object) -> str:
    """A path out of the catalogue, which may be damaged, for people."""
    return os.fsdecode(path) if isinstance(path, bytes) else repr(path)


def pack_json(value: Any) -> str:
    """Compact, sorted JSON: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """SQLite's complaints about its own file are damage; a busy file is not."""
    try:
        yield
    except sqlite3.OperationalError as error:
        # Python's own complaints (text that is not UTF-8) have no name
        if getattr(error, "sqlite_errorname", "").startswith(_PASSING):
            raise WriteFailed(f"{path}: {error}") from error
        raise Damaged(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Damaged(f"{path}: {error}") from error


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """SQLite's write errors as ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_READONLY"):
            raise ReadOnly(f"{folder}: {error}") from error
        raise WriteFailed(f"{folder}: {error}") from error
    except sqlite3.IntegrityError as error:
        raise InputError(
            f"{folder}: two items cannot share a path and root ({error})", code="item/duplicate"
        ) from error
    except sqlite3.DatabaseError as error:
        raise Damaged(f"{folder}: {error}") from error
