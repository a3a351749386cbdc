"""What a folder holds, against what the catalogue remembers of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearsight.core.errors import InputError, RootVanished
from nearsight.core.events import Event, Skipped, Step
from nearsight.data.images import walk
from nearsight.search.store.store import Store

STAT = ("size", "mtime_ns", "ctime_ns", "inode")
"""A file whose four are as remembered is taken as unchanged, as git takes it. ctime finds new content behind an old
mtime."""
_SAME = " AND ".join(f"seen.{column} = {{0}}.{column}" for column in STAT)
NUMBER = (1 << 63) - 1
"""SQLite's integers are signed; file systems (FUSE, network, NTFS) give inodes and devices of all 64 bits, or more."""
_UNKNOWN = 0
"""The device of a folder that was not there when it became known."""
_SAMPLE = 100
"""Files that are looked at to know a folder again."""
_JOBS = f"""
    FROM seen LEFT JOIN item ON item.root=:root AND item.path=seen.path
    LEFT JOIN skipped ON skipped.root=:root AND skipped.path=seen.path AND skipped.size=seen.size
        AND skipped.mtime_ns=seen.mtime_ns AND skipped.ctime_ns=seen.ctime_ns
    WHERE skipped.path IS NULL AND (item.key IS NULL OR NOT ({_SAME.format("item")}))"""


@dataclass(frozen=True, slots=True)
class Job:
    """A file to look into: new (key None) or perhaps changed. `path` is relative to the root."""

    path: bytes
    stat: tuple[int, int, int, int]
    key: int | None
    sha256: bytes | None


class Difference:
    """Holds the walked folder in a temporary SQLite table, so that memory stays bounded at any number of files.

    With `forget`, a folder that was indexed and is gone counts as empty instead of vanished.
    """

    def __init__(self, store: Store, root: Path, *, forget: bool = False) -> None:
        self.store = store
        self.root = root
        self.seen = 0
        self._forget = forget
        self._withheld: list[bytes] = []
        self.root_id, self._device_changed = self._enter()

    def _enter(self) -> tuple[int, bool]:
        path = os.fsencode(self.root)
        known = self._all("SELECT id, device FROM root WHERE path=?", path)
        if not self.root.is_dir():
            if known and self._forget:
                return int(known[0][0]), False
            if known:
                raise RootVanished(f"{self.root} was indexed and is not there any more")
            raise InputError(f"there is no folder {self.root}", code="folder/none", hint="check the path")
        device = self.root.stat().st_dev & NUMBER
        if known:
            return int(known[0][0]), known[0][1] not in (_UNKNOWN, device)
        if former := moved_from(self.store, self.root):
            with self.store.changing() as catalogue:
                catalogue.db.execute(
                    "UPDATE root SET path=?, device=? WHERE path=?", (path, device, os.fsencode(former))
                )
            return int(self._all("SELECT id FROM root WHERE path=?", path)[0][0]), False
        return add_root(self.store, self.root), False

    def walk(self, *, follow_links: bool, only: Callable[[Path], bool] | None = None) -> Iterator[Event]:
        """Walk the folder into the temporary table; a collection inside it, and what is not `only`, is passed over."""
        with self.store.reading() as catalogue:
            catalogue.db.execute("DROP TABLE IF EXISTS temp.seen")
            catalogue.db.execute(f"CREATE TEMP TABLE seen(path BLOB PRIMARY KEY, {', '.join(STAT)}) WITHOUT ROWID")
        base = len(os.fsencode(self.root / "_")) - 1  # a drive's root ends in a separator already
        own = self.store.home.resolve()
        rows: list[tuple[Any, ...]] = []
        for found in walk(self.root, follow_links=follow_links) if self.root.is_dir() else ():
            where = Path(found.path)
            if own == where or own in where.parents:
                continue  # a collection inside the folder that it indexes
            if isinstance(found, Skipped):
                self._withheld.append(os.fsencode(found.path)[base:])
                yield found
                continue
            path = os.fsencode(found.path)[base:]
            if only is None or only(Path(os.fsdecode(path))):
                rows.append((path, found.size, found.mtime_ns, found.ctime_ns, found.inode & NUMBER))
                self.seen += 1
                if len(rows) == 2000:
                    self._saw(rows)
                    yield Step("walk", self.seen, None)
        self._saw(rows)
        yield Step("walk", self.seen, self.seen)

    def _saw(self, rows: list[tuple[Any, ...]]) -> None:
        with self.store.reading() as catalogue:
            catalogue.db.execute("BEGIN")
            catalogue.db.executemany("INSERT OR REPLACE INTO temp.seen VALUES(?, ?, ?, ?, ?)", rows)
            catalogue.db.execute("COMMIT")
        rows.clear()

    def known(self) -> int:
        """Items of this root in the collection."""
        return int(self._all("SELECT count(*) FROM item WHERE root=?", self.root_id)[0][0])

    def unchanged(self) -> int:
        """Items whose file is as remembered."""
        same = _SAME.format("item")
        return int(
            self._all(
                f"SELECT count(*) FROM seen JOIN item ON root=? AND item.path=seen.path AND {same}", self.root_id
            )[0][0]
        )

    def remembered_skips(self) -> Iterator[Skipped]:
        """Files that could not be used last time and have not changed since are named again, not tried again."""
        same = " AND ".join(f"seen.{c} = skipped.{c}" for c in STAT[:3])
        for path, code, why, hint in self._all(
            f"SELECT seen.path, code, why, hint FROM skipped JOIN seen ON root=? AND seen.path=skipped.path AND {same}",
            self.root_id,
        ):
            yield Skipped(str(self.root / os.fsdecode(path)), code, why, hint)

    def remember_skips(self, skips: list[tuple[Job, str, str, str]]) -> None:
        """Files that could not be used, with code, reason and repair."""
        with self.store.changing() as catalogue:
            catalogue.db.executemany(
                "INSERT OR REPLACE INTO skipped VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                [(self.root_id, job.path, *job.stat[:3], *facts) for job, *facts in skips],
            )

    def count_jobs(self) -> int:
        """How many `jobs` there will be."""
        with self.store.reading() as catalogue:
            return int(catalogue.db.execute(f"SELECT count(*) {_JOBS}", {"root": self.root_id}).fetchone()[0])

    def jobs(self) -> Iterator[Job]:
        """New files, and known ones that do not look as remembered, by path."""
        last = b""
        while True:
            with self.store.reading() as catalogue:
                rows = catalogue.db.execute(
                    f"""SELECT seen.path, seen.size, seen.mtime_ns, seen.ctime_ns, seen.inode, item.key, item.sha256
                    {_JOBS} AND seen.path > :last ORDER BY seen.path LIMIT 1000""",
                    {"root": self.root_id, "last": last},
                ).fetchall()
            for path, size, mtime, ctime, inode, key, sha256 in rows:
                yield Job(path, (size, mtime, ctime, inode), key, sha256)
            if len(rows) < 1000:
                return
            last = rows[-1][0]

    def vacated(self, sha256: bytes) -> list[int]:
        """Items of this root with that content whose file is not where it was: it may have moved."""
        rows = self._all(
            "SELECT key, path FROM item LEFT JOIN seen USING(path) WHERE root=? AND sha256=? AND seen.size IS NULL",
            self.root_id,
            sha256,
        )
        return [key for key, path in rows if not self._is_withheld(path)]

    def gone(self) -> list[int]:
        """Items whose file is not there any more."""
        rows = self._all(
            "SELECT key, item.path FROM item LEFT JOIN seen USING(path) WHERE root=? AND seen.path IS NULL",
            self.root_id,
        )
        return [key for key, path in rows if not self._is_withheld(path)]

    def require_plausible(self, gone: int) -> None:
        """Raise RootVanished where it looks as if a medium is not mounted rather than pictures deleted."""
        known = self.known()
        if known and not self.seen:
            raise RootVanished(f"{self.root} is empty, but {known} of its pictures are in the collection")
        if gone and self._device_changed:
            raise RootVanished(f"{gone} pictures of {self.root} are gone, and another medium is mounted there")
        if known >= 20 and gone > known / 2:
            raise RootVanished(
                f"{gone} of the {known} pictures of {self.root} are gone",
                hint="if that is right, repeat with --drop always; everything new is already indexed",
            )

    def forget_skips(self) -> None:
        """Of files that are gone."""
        stale = "FROM skipped WHERE root=? AND path NOT IN (SELECT path FROM seen)"
        if self._all(f"SELECT 1 {stale} LIMIT 1", self.root_id):
            with self.store.changing() as catalogue:
                catalogue.db.execute(f"DELETE {stale}", (self.root_id,))

    def close(self) -> None:
        """Drop the temporary table."""
        with self.store.reading() as catalogue:
            catalogue.db.execute("DROP TABLE IF EXISTS temp.seen")

    def _is_withheld(self, path: bytes) -> bool:
        """Under a folder (or at a file) that could not be looked at just now: not gone, only out of sight."""
        return any(path == w or path.startswith(w + os.sep.encode()) for w in self._withheld)

    def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.store.reading() as catalogue:
            return catalogue.all(sql, *values)


def add_root(store: Store, root: Path) -> int:
    """A folder becomes one of the collection's, whether it can be reached from here or not: its id.

    Raises InputError (code ``folder/overlap``).
    """
    with store.reading() as catalogue:
        _require_apart(root, catalogue.all("SELECT path FROM root WHERE id IN (SELECT root FROM item)"))
    device = root.stat().st_dev & NUMBER if root.is_dir() else _UNKNOWN
    with store.changing() as catalogue:
        added = catalogue.db.execute(
            "INSERT INTO root(path, device) VALUES(?, ?) RETURNING id", (os.fsencode(root), device)
        )
        return int(added.fetchone()[0])


def moved_from(store: Store, root: Path) -> Path | None:
    """The indexed folder that is at `root` now: it is not where it was, and its files are here, the very same."""
    with store.reading() as catalogue:
        known = [(number, Path(os.fsdecode(path))) for number, path in catalogue.all("SELECT id, path FROM root")]
        if any(path == root for _, path in known):
            return None
        for number, path in known:
            if not path.is_absolute():
                continue  # it lies in the collection's own folder
            sample = catalogue.all(
                f"SELECT path, {', '.join(STAT)} FROM item WHERE root=? ORDER BY key LIMIT {_SAMPLE}", number
            )
            same = sum(_stat(root / os.fsdecode(name)) == tuple(stat) for name, *stat in sample)
            if 2 * same > len(sample) and not path.is_dir():
                return path
    return None


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & NUMBER


def _require_apart(root: Path, known: list[tuple[Any, ...]]) -> None:
    """Raise InputError where one folder lies in the other: each picture there would be in the collection twice."""
    for (path,) in known:
        other = Path(os.fsdecode(path))
        inner, outer = (root, other) if root.is_relative_to(other) else (other, root)
        if not inner.is_relative_to(outer) or any(part.startswith(".") for part in inner.relative_to(outer).parts):
            continue  # hidden folders are not walked
        if other.is_dir():
            raise InputError(
                f"{inner} lies in {outer}, and {other} is in this collection already: pictures would be in it twice",
                code="folder/overlap",
                hint=f"index {other} again, or choose another collection",
            )
