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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
_SEAL = struct.Struct("<8s q q I")
_SEAL_MAGIC = b"NSSEAL1\0"


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
            _files.give(self.path)
            raise

    @classmethod
    def create(cls, folder: Path) -> None:
        """Make the empty catalogue and its seal."""
        with writing(folder):
            db = sqlite3.connect(folder / "catalogue.sqlite", isolation_level=None)
            db.execute("PRAGMA synchronous=FULL")
            db.executescript("BEGIN;" + SCHEMA + "PRAGMA user_version=1; COMMIT;")
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
        """A read transaction: everything inside sees one generation."""
        with reading(self.path):
            self.db.execute("BEGIN")
            try:
                yield
            finally:
                if self.db.in_transaction:
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
        """Write the seal of the catalogue as it is. Not synced: an old seal only costs the next open a full check."""
        content = _SEAL.pack(_SEAL_MAGIC, self.generation, os.fstat(self._file).st_size, self._sum())
        handle = os.open(self.seal_path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            disk.write_at(handle, content + struct.pack("<I", crc32c(content)), 0)
        finally:
            os.close(handle)

    def verify(self) -> None:
        """Raise Damaged unless the catalogue is what was committed.

        The seal of this generation settles it by one checksum. Where the seal is older (killed between commit and
        seal) or unreadable, every row's own checksum and SQLite's integrity check do. Call it inside `view`.
        """
        for _ in range(100):
            sealed = self._read_seal()
            generation = self.generation
            if sealed and sealed[0] == generation:
                if sealed[1:] != (os.fstat(self._file).st_size, self._sum()):
                    raise Damaged(f"{self.path} is not what was written (its checksum differs from the seal)")
                return
            if self.write or not is_locked(self.path.parent):
                break
            time.sleep(0.01)  # a live writer is between its commit and its seal
        self.verify_rows()

    def verify_rows(self) -> None:
        """The slow, complete check: SQLite's own, every item's sum, and every committed row live or dead, once."""
        problems = [r[0] for r in self.all("PRAGMA integrity_check(5)") if r[0] != "ok"]
        if problems:
            raise Damaged(f"{self.path}: {'; '.join(problems)}")
        with reading(self.path):
            for *row, stored in self.db.execute(f"SELECT {COLUMNS}, sum FROM item"):
                if item_sum(row) != stored:
                    raise Damaged(
                        f"{self.path}: the entry of item {row[0]} ({os.fsdecode(bytes(row[2]))}) is not as written"
                    )
        rows, live, dead = (
            self.one(f"SELECT {what}") or 0
            for what in ("sum(rows) FROM segment", "count(*) FROM item", "count(*) FROM dead")
        )
        if rows != live + dead or rows != (self.one("SELECT sum(rows) FROM block") or 0):
            raise Damaged(f"{self.path}: {rows} rows are committed, but {live} items live and {dead} are dead")

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

    def _read_seal(self) -> tuple[int, int, int] | None:
        try:
            content = self.seal_path.read_bytes()
        except FileNotFoundError:
            return None
        if len(content) != _SEAL.size + 4 or struct.unpack("<I", content[-4:])[0] != crc32c(content[:-4]):
            return None
        magic, generation, size, total = _SEAL.unpack(content[:-4])
        return (generation, size, total) if magic == _SEAL_MAGIC else None


def pack_json(value: Any) -> str:
    """Compact, sorted JSON: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """SQLite's complaints about its own file are damage; a busy file is not."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_INTERRUPT", "SQLITE_FULL", "SQLITE_IOERR")):
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
        if error.sqlite_errorname.startswith("SQLITE_READONLY"):
            raise ReadOnly(f"{folder}: {error}") from error
        raise WriteFailed(f"{folder}: {error}") from error
    except sqlite3.IntegrityError as error:
        raise InputError(
            f"{folder}: two items cannot share a path and root ({error})", code="item/duplicate"
        ) from error
    except sqlite3.DatabaseError as error:
        raise Damaged(f"{folder}: {error}") from error
