"""The store: opened by many readers and one writer; everything that changes it is here."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Keys, require_unit
from nearsight.core.artefact import MANIFEST, sync_folder, write_manifest
from nearsight.core.errors import Damaged, InputError, NotACollection, ReadOnly, StoreError, WriteFailed
from nearsight.core.items import Value
from nearsight.search.store import generations
from nearsight.search.store.catalogue import COLUMNS, Catalogue, item_sum, pack_json
from nearsight.search.store.generations import FORMAT, VERSION
from nearsight.search.store.lock import WriterLock
from nearsight.search.store.segments import BLOCK, Segment, Shape, checksum, row_sums
from nearsight.search.store.snapshot import Snapshot

DTYPES = ("float32", "float16")


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored beside a vector. `path` is relative to its root (or free text where there is no root)."""

    path: bytes
    root: int | None = None
    sha256: bytes | None = None
    size: int | None = None
    mtime_ns: int | None = None
    ctime_ns: int | None = None
    inode: int | None = None
    label: str | None = None
    captions: tuple[str, ...] = ()
    fields: Mapping[str, Value] | None = None


class Store:
    """The catalogue and segments of one collection: those of the generation that answers, which lies in ``folder``, in
    the collection's own, ``home``, or below it. Safe to share between threads; not across a fork."""

    def __init__(
        self, folder: Path, *, write: bool, lock: WriterLock | None = None, generation: Path | None = None
    ) -> None:
        """`lock`: the writer's lock where the caller has it already; the store releases it when closed.
        `generation`: that one, whichever of them answers."""
        self.home = generations.home_of(folder)
        self.write = write
        while True:
            self.folder = generation or generations.current(folder)
            self._lock = lock or WriterLock(self.folder) if write else None
            try:
                if generation is None and generations.current(folder) != self.folder:
                    raise StoreError(f"{self.folder} answers no more", code="store/moved")
                self._open()
                return
            except BaseException as error:
                self._release()
                moved = isinstance(error, StoreError) and generation is None
                if not moved or generations.current(folder) == self.folder:
                    raise
            # another one came to answer before the lock was ours, or while this one was opened: then that one

    def _open(self) -> None:
        self.manifest = meta = generations.facts(self.folder)
        self.shape = Shape(
            bytes.fromhex(meta["id"]), bytes.fromhex(meta["fingerprint"]), meta["dim"], np.dtype(meta["dtype"])
        )
        self._mutex = threading.RLock()
        self._pid = os.getpid()
        self._broken: WriteFailed | None = None
        self._checked: set[tuple[int, int, int, int]] = set()
        self._verified: Snapshot | None = None
        self.catalogue = Catalogue(self.folder, write=self.write)
        try:
            self._seen = self.catalogue.changed
            self._snapshot = self._take()
            if self.write and not self.catalogue.sealed:
                self.catalogue.seal()
        except BaseException:
            self.catalogue.close()
            raise

    def _release(self) -> None:
        if self._lock:
            self._lock.release()

    @classmethod
    def create(cls, folder: Path, *, fingerprint: str, dim: int, dtype: str, extra: Mapping[str, Any]) -> Store:
        """Make an empty store in `folder` (new or empty) and open it for writing."""
        if dtype not in DTYPES:
            raise InputError(f"vectors are stored as {' or '.join(DTYPES)}, not {dtype}")
        require_vacant(folder)
        encodes = (folder / "encoder").is_dir()
        meta = {"id": uuid.uuid4().hex, "fingerprint": fingerprint, "dim": dim, "dtype": dtype, "encodes": encodes}
        meta |= extra
        try:
            (folder / "segments").mkdir(parents=True, exist_ok=True)
            (folder / "catalogue.sqlite").unlink(missing_ok=True)
            Catalogue.create(folder, pack_json(meta))
            write_manifest(folder / MANIFEST, FORMAT, VERSION, meta, {})
            sync_folder(folder)
        except OSError as error:
            raise WriteFailed(f"could not create {folder}: {error}") from error
        return cls(folder, write=True)

    def close(self) -> None:
        """Close the catalogue and let the next writer in. Harmless when repeated."""
        with self._mutex:
            if self._pid == os.getpid() and self.catalogue is not None:
                self.catalogue.close()
                self._release()
                self.catalogue = None  # type: ignore[assignment]

    # reading

    def snapshot(self) -> Snapshot:
        """The newest committed generation (cheap when nothing changed)."""
        with self._mutex:
            self._require_open()
            changed = self.catalogue.changed
            if changed != self._seen:
                self._snapshot = self._take()
                self._seen = changed
            return self._snapshot

    def verified(self) -> Snapshot:
        """The newest generation after every block of vectors that was not checked yet was. Raises Damaged."""
        with self._mutex:
            snapshot = self.snapshot()
            if snapshot is self._verified:
                return snapshot
            bad = snapshot.damaged_blocks(self._checked)
            lost = [
                self.path_of(key)
                for part, block in bad
                for key, _ in snapshot.damaged_rows(part, block, self.catalogue)
            ]
            if lost:
                raise Damaged(f"the vectors of {len(lost)} items are damaged on disk, first {lost[0]}")
            self._verified = snapshot
            return snapshot

    @contextmanager
    def reading(self) -> Iterator[Catalogue]:
        """The catalogue, for queries, one thread at a time."""
        with self._mutex:
            self._require_open()
            yield self.catalogue

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nothing is committed meanwhile, by anybody: for a look that was disturbed too often. Writers wait, so be
        brief."""
        with self.reading() as catalogue, catalogue.view():
            catalogue.generation  # noqa: B018 (the transaction begins with what is first read)
            yield

    def path_of(self, key: int) -> str:
        """An item's path, for messages."""
        with self.reading() as catalogue:
            path = catalogue.one("SELECT path FROM item WHERE key=?", key)
        return os.fsdecode(path) if path is not None else f"item {key}"

    # writing

    def append(
        self, records: Sequence[Record], vectors: NDArray[np.floating], *, replacing: Sequence[int | None] | None = None
    ) -> Keys:
        """Commit n records with their unit vectors (n, dim), durably: on return they survive a crash.

        ``replacing[i]`` gives record i the identity of an existing item, whose old vector dies. Returns keys (n,).
        Raises InputError (code ``vectors``) for vectors that are not finite, unit and of the right length; WriteFailed.
        """
        rows = require_unit(vectors, self.shape.dim).astype(self.shape.dtype, copy=False)
        if len(rows) != len(records):
            raise InputError(f"{len(records)} records with {len(rows)} vectors")
        old = list(replacing) if replacing is not None else [None] * len(records)
        if not records:
            return np.empty(0, dtype=np.int64)
        with self.changing() as catalogue:
            known = [k for k in old if k is not None]
            for key in known:
                if catalogue.one("SELECT 1 FROM item WHERE key=?", key) is None:
                    raise InputError(f"there is no item {key} to replace", code="item/unknown")
            last = catalogue.last_key
            fresh = iter(range(last + 1, last + 1 + len(records)))
            keys = np.array([key if key is not None else next(fresh) for key in old], dtype=np.int64)
            self._put(catalogue, keys, records, rows)
        return keys

    def adopt(self, keys: Keys, records: Sequence[Record], vectors: NDArray[np.floating]) -> None:
        """As `append`, under the keys (n,) that these items have in another generation; known ones are replaced."""
        rows = require_unit(vectors, self.shape.dim).astype(self.shape.dtype, copy=False)
        with self.changing() as catalogue:
            self._put(catalogue, keys, records, rows)

    def _put(self, catalogue: Catalogue, keys: Keys, records: Sequence[Record], rows: NDArray[np.floating]) -> None:
        """Items with their rows, in this transaction; those that have these keys already die."""
        places = self.place(catalogue, keys, rows)
        self.bury(catalogue, keys.tolist())
        sums = row_sums(keys, rows)
        for record, key, (segment, row), crc in zip(records, keys.tolist(), places, sums, strict=True):
            put_item(catalogue, key, record, segment, row, crc)

    def place(self, catalogue: Catalogue, keys: Keys, rows: NDArray[np.floating]) -> list[tuple[int, int]]:
        """Write rows behind the committed ones and count them as committed in this transaction: their places."""
        places: list[tuple[int, int]] = []
        last = catalogue.all("SELECT id, rows FROM segment ORDER BY id DESC LIMIT 1")
        number, used = last[0] if last else (0, self.shape.capacity)
        done = 0
        while done < len(rows):
            if used >= self.shape.capacity:
                number, used = number + 1, 0
                Segment(self.folder / "segments", number, self.shape).create()
                catalogue.db.execute("INSERT INTO segment VALUES(?, 0)", (number,))
            take = min(len(rows) - done, self.shape.capacity - used)
            piece, names = np.ascontiguousarray(rows[done : done + take]), keys[done : done + take]
            Segment(self.folder / "segments", number, self.shape).append(used, names, piece)
            self._sum_blocks(catalogue, number, used, names, piece)
            catalogue.db.execute("UPDATE segment SET rows=? WHERE id=?", (used + take, number))
            places += [(number, used + i) for i in range(take)]
            used, done = used + take, done + take
        return places

    def bury(self, catalogue: Catalogue, keys: Sequence[int]) -> None:
        """The rows of these items are dead, and their entries gone, in this transaction."""
        catalogue.db.executemany(
            "INSERT INTO dead SELECT segment, row FROM item WHERE key=?", ((int(k),) for k in keys)
        )
        catalogue.db.executemany("DELETE FROM item WHERE key=?", ((int(k),) for k in keys))

    def delete(self, keys: Sequence[int]) -> int:
        """Forget items, durably. Returns how many there were; unknown keys are ignored."""
        with self.changing() as catalogue:
            before = catalogue.one("SELECT count(*) FROM item")
            self.bury(catalogue, keys)
            return int(before - catalogue.one("SELECT count(*) FROM item"))

    def amend(self, changes: Mapping[int, Mapping[str, Any]]) -> None:
        """Change columns of items (path, label, captions, fields, size, ...) by key; the vectors stay."""
        names = COLUMNS.split(", ")
        with self.changing() as catalogue:
            for key, change in changes.items():
                found = catalogue.all(f"SELECT {COLUMNS} FROM item WHERE key=?", key)
                if not found:
                    raise InputError(f"there is no item {key}", code="item/unknown")
                row = dict(zip(names, found[0], strict=True)) | dict(change)
                values = tuple(row[name] for name in names)
                assignments = ", ".join(f"{name}=?" for name in names)
                catalogue.db.execute(
                    f"UPDATE item SET {assignments}, sum=? WHERE key=?", (*values, item_sum(values), key)
                )

    def describe(self, **facts: Any) -> None:
        """Change facts of the manifest, durably: its copy in the catalogue first, which `repair` goes by."""
        meta = {**self.manifest, **facts}
        with self.changing() as catalogue:
            catalogue.db.execute("UPDATE meta SET value=? WHERE name='manifest'", (pack_json(meta),))
        if self.folder == self.home:
            generations.mend(self.home, generations.current(self.home), meta)
        else:
            write_manifest(self.folder / MANIFEST, FORMAT, VERSION, meta, {})
        self.manifest = meta

    @contextmanager
    def changing(self) -> Iterator[Catalogue]:
        """One durable change. After a failed sync the store refuses to write until it is opened again."""
        with self._mutex:
            self._require_open()
            if not self.write:
                raise ReadOnly(f"{self.folder} is open for reading only")
            if self._broken:
                raise self._broken
            try:
                with self.catalogue.transaction():
                    yield self.catalogue
            except WriteFailed as error:
                self._broken = WriteFailed(f"{error.message}; nothing more is written through this handle")
                raise
            finally:
                if not self._broken:
                    self._snapshot = self._take(trusted=True)
                    self._seen = self.catalogue.changed

    def _take(self, *, trusted: bool = False) -> Snapshot:
        for attempt in range(5):
            try:
                return Snapshot.take(self.folder, self.catalogue, self.shape, trusted=trusted)
            except FileNotFoundError as error:  # a compaction moved rows between our two looks
                if attempt == 4:
                    raise Damaged(f"{error.filename} is missing") from error
            except OSError as error:
                raise Damaged(f"{error.filename or self.folder} cannot be read: {error.strerror}") from error
        raise NotACollection(str(self.folder))  # unreachable; for the type checker

    def _sum_blocks(self, catalogue: Catalogue, number: int, at: int, keys: Keys, rows: NDArray[np.floating]) -> None:
        """Carry the block checksums on over freshly appended rows."""
        done = 0
        while done < len(rows):
            block, inside = divmod(at + done, BLOCK)
            take = min(len(rows) - done, BLOCK - inside)
            stored = catalogue.all("SELECT vec, key FROM block WHERE segment=? AND block=?", number, block)
            vec, key = stored[0] if inside else (0, 0)
            vec = checksum(rows[done : done + take], vec)
            key = checksum(keys[done : done + take], key)
            catalogue.db.execute(
                "INSERT OR REPLACE INTO block VALUES(?, ?, ?, ?, ?)", (number, block, inside + take, vec, key)
            )
            done += take

    def _require_open(self) -> None:
        if self._pid != os.getpid():
            raise StoreError(
                "a collection cannot be used across a fork", code="store/forked", hint="open it in the child"
            )
        if self.catalogue is None:
            raise StoreError(f"{self.folder} was closed", code="store/closed", hint="open it again")


def require_vacant(folder: Path) -> None:
    """Raises StoreError (code ``store/exists``) or Damaged where a new collection would go over another one."""
    if (folder / MANIFEST).exists():
        raise StoreError(f"there is a collection in {folder} already", code="store/exists", hint="open it instead")
    if any((folder / "segments").glob("*")):  # a creation that did not get to its manifest has none
        raise Damaged(f"{folder} holds the vectors of a collection whose manifest is missing")


def put_item(catalogue: Catalogue, key: int, record: Record, segment: int, row: int, crc: int) -> None:
    """Insert one item with its checksum, in this transaction."""
    values = (
        key, record.root, record.path, record.sha256, record.size, record.mtime_ns, record.ctime_ns, record.inode,
        segment, row, crc, record.label, pack_json(list(record.captions)), pack_json(dict(record.fields or {})),
    )  # fmt: skip
    marks = ", ".join("?" * (len(values) + 1))
    catalogue.db.execute(f"INSERT INTO item({COLUMNS}, sum) VALUES({marks})", (*values, item_sum(values)))
