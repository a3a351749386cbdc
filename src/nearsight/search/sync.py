"""Make a collection mirror a folder, doing no work twice.

walk -> diff against the catalogue (size, times, inode; then content hash) -> read, hash, decode and prepare in worker
threads -> encode in batches -> commit. A file whose hash is known is never decoded: it was moved (the key stays) or is
a copy (the vector is copied).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.errors import InputError, PictureError, ReadOnly, RootVanished
from nearsight.core.events import Done, Encoded, Event, Skipped, Step
from nearsight.core.items import Value
from nearsight.data.images import Found, Isolated, Limits, decode, picture_hash, read, walk
from nearsight.search.store.catalogue import pack_json
from nearsight.search.store.store import Record

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

DEFAULT = Limits()
_COMMIT_SECONDS = 1.0
_FLIGHT_BYTES = 256 << 20
"""File bytes in flight between reading and encoding, so that huge pictures do not fill the memory."""
_STAT = "size, mtime_ns, ctime_ns, inode"
_SAME = " AND ".join(f"seen.{c} = {{0}}.{c}" for c in _STAT.split(", "))


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is known about a picture besides its pixels."""

    label: str | None = None
    captions: tuple[str, ...] = ()
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Options:
    """How to sync; see `Collection.sync`."""

    annotate: Callable[[Path], Annotation | None] | None = None
    """Relative path -> what is known of it; None leaves it as it is."""
    drop: str = "safe"
    """Pictures that are gone: ``safe`` (drop, but refuse where a mount seems to have vanished), ``always``, ``never``"""
    limits: Limits = DEFAULT
    workers: int | None = None
    isolate: bool = False
    """Decode in processes that can be killed (slower): for pictures from people you do not trust."""
    follow_links: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    path: bytes
    stat: tuple[int, int, int, int]
    key: int | None
    sha256: bytes | None


@dataclass(frozen=True, slots=True)
class _Read:
    """What a worker made of a job: prepared pixels, or only a hash that is known already, or the reason why not."""

    job: _Job
    sha256: bytes = b""
    prepared: NDArray[Any] | None = None
    error: PictureError | None = None


def folder_label(path: Path) -> Annotation | None:
    """The name of the folder that a picture lies in, as its label; none directly under the root."""
    return Annotation(label=path.parent.name) if path.parent.name else None


def columns(
    *,
    label: str | EllipsisType | None = ...,
    captions: Sequence[str] | None = None,
    fields: Mapping[str, Value] | None = None,
) -> dict[str, str | None]:
    """Catalogue columns of an annotation; what is not given is left out."""
    change: dict[str, str | None] = {}
    if not isinstance(label, EllipsisType):
        change["label"] = label
    if captions is not None:
        change["captions"] = pack_json(list(captions))
    if fields is not None:
        change["fields"] = pack_json(dict(fields))
    return change


def sample(root: Path, count: int, limits: Limits = DEFAULT) -> Iterator[Image.Image]:
    """Up to `count` decoded pictures spread evenly over a folder: for encoders that learn from a collection."""
    files = [found.path for found in walk(root) if isinstance(found, Found)]
    for i in np.unique(np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)) if files else []:
        with contextlib.suppress(PictureError):  # `sync` reports it with its reason
            yield decode(read(files[i], limits), limits=limits)


def sync(collection: Collection, root: Path, options: Options) -> Iterator[Event]:
    """Yields Step, Skipped and Encoded as it goes, and Done with counts (added, updated, moved, copied, touched,
    dropped, unchanged, skipped, annotated). What Encoded announced is committed; closing the generator early (Ctrl-C)
    commits what is encoded, and the next run goes on from there.

    Raises InputError (no such folder), RootVanished, ReadOnly, WriteFailed, EncoderError.
    """
    if options.drop not in ("safe", "always", "never"):
        raise InputError(f"drop is safe, always or never, not {options.drop}")
    if not collection.store.write:
        raise ReadOnly(f"{collection.folder} is open for reading only")
    return _Sync(collection, root, options).run()


class _Sync:
    def __init__(self, collection: Collection, root: Path, options: Options) -> None:
        self.collection, self.options = collection, options
        self.store = collection.store
        self.root = root.resolve()
        self.counts = dict.fromkeys(
            ("added", "updated", "moved", "copied", "touched", "dropped", "unchanged", "skipped", "annotated"), 0
        )
        self.withheld: list[bytes] = []
        self.claimed: set[bytes] = set()
        self.claim = threading.Lock()
        self.pending: list[tuple[Record, NDArray[np.float32], int | None]] = []
        self.amends: dict[int, dict[str, Any]] = {}
        self.skips: list[tuple[Any, ...]] = []
        self.followers: dict[bytes, list[_Job]] = {}
        self.failed: dict[bytes, PictureError] = {}
        self.flushed = time.monotonic()

    def run(self) -> Iterator[Event]:
        started = time.monotonic()
        self.root_id = self._enter_root()
        try:
            yield from self._walk()
            yield from self._remembered_skips()
            total = self._count_jobs()
            if total:
                try:
                    yield from self._encode_all(total)
                except (GeneratorExit, KeyboardInterrupt):
                    self._flush()
                    raise
            yield from self._annotate()
            yield from self._drop()
        finally:
            with self.store.reading() as catalogue:
                catalogue.db.execute("DROP TABLE IF EXISTS temp.seen")
        yield Step("engine", 0, None)
        self.collection.build_engine()
        yield Done("sync", dict(self.counts), time.monotonic() - started)

    # what is there

    def _enter_root(self) -> int:
        path = os.fsencode(self.root)
        with self.store.reading() as catalogue:
            known = catalogue.all("SELECT id, device FROM root WHERE path=?", path)
        if not self.root.is_dir():
            if known:
                raise RootVanished(f"{self.root} was indexed and is not there any more")
            raise InputError(f"there is no folder {self.root}", code="folder/none")
        device = self.root.stat().st_dev
        if known:
            self.moved_device = known[0][1] != device
            return int(known[0][0])
        self.moved_device = False
        with self.store.changing() as catalogue:
            row = catalogue.db.execute("INSERT INTO root(path, device) VALUES(?, ?) RETURNING id", (path, device))
            return int(row.fetchone()[0])

    def _walk(self) -> Iterator[Event]:
        with self.store.reading() as catalogue:
            catalogue.db.execute("DROP TABLE IF EXISTS temp.seen")
            catalogue.db.execute(f"CREATE TEMP TABLE seen(path BLOB PRIMARY KEY, {_STAT}) WITHOUT ROWID")
        base = len(os.fsencode(self.root)) + 1
        rows: list[tuple[Any, ...]] = []
        count = 0
        for found in walk(self.root, follow_links=self.options.follow_links):
            if isinstance(found, Skipped):
                self.counts["skipped"] += 1
                self.withheld.append(os.fsencode(found.path)[base:])
                yield found
                continue
            if self.collection.folder.resolve() in found.path.parents:
                continue  # a collection inside the folder that it indexes
            path = os.fsencode(found.path)[base:]
            rows.append((path, found.size, found.mtime_ns, found.ctime_ns, found.inode))
            count += 1
            if len(rows) == 2000:
                self._saw(rows)
                yield Step("walk", count, None)
        self._saw(rows)
        yield Step("walk", count, count)
        with self.store.reading() as catalogue:
            same = _SAME.format("item")
            self.counts["unchanged"] = catalogue.one(
                f"SELECT count(*) FROM seen JOIN item ON root=? AND item.path=seen.path AND {same}", self.root_id
            )
            known = catalogue.one("SELECT count(*) FROM item WHERE root=?", self.root_id)
        if self.options.drop == "safe" and known and not count:
            raise RootVanished(f"{self.root} is empty, but {known} of its pictures are in the collection")

    def _saw(self, rows: list[tuple[Any, ...]]) -> None:
        with self.store.reading() as catalogue:
            catalogue.db.execute("BEGIN")
            catalogue.db.executemany("INSERT OR REPLACE INTO temp.seen VALUES(?, ?, ?, ?, ?)", rows)
            catalogue.db.execute("COMMIT")
        rows.clear()

    def _remembered_skips(self) -> Iterator[Event]:
        """Files that could not be used last time and have not changed since are named again, not tried again."""
        with self.store.reading() as catalogue:
            same = _SAME.replace(" AND seen.inode = {0}.inode", "").format("skipped")
            rows = catalogue.all(
                f"SELECT seen.path, code, why, hint FROM skipped JOIN seen ON root=? AND seen.path=skipped.path AND {same}",
                self.root_id,
            )
        for path, code, why, hint in rows:
            self.counts["skipped"] += 1
            yield Skipped(str(self.root / os.fsdecode(path)), code, why, hint)

    _JOBS = f"""
        FROM seen LEFT JOIN item ON item.root=:root AND item.path=seen.path
        LEFT JOIN skipped ON skipped.root=:root AND skipped.path=seen.path AND skipped.size=seen.size
            AND skipped.mtime_ns=seen.mtime_ns AND skipped.ctime_ns=seen.ctime_ns
        WHERE skipped.path IS NULL AND (item.key IS NULL OR NOT ({_SAME.format("item")}))"""

    def _count_jobs(self) -> int:
        with self.store.reading() as catalogue:
            row = catalogue.db.execute(f"SELECT count(*) {self._JOBS}", {"root": self.root_id}).fetchone()
        return int(row[0])

    def _jobs(self) -> Iterator[_Job]:
        last = b""
        while True:
            with self.store.reading() as catalogue:
                rows = catalogue.db.execute(
                    f"""SELECT seen.path, seen.size, seen.mtime_ns, seen.ctime_ns, seen.inode, item.key, item.sha256
                    {self._JOBS} AND seen.path > :last ORDER BY seen.path LIMIT 1000""",
                    {"root": self.root_id, "last": last},
                ).fetchall()
            for path, size, mtime, ctime, inode, key, sha256 in rows:
                yield _Job(path, (size, mtime, ctime, inode), key, sha256)
            if len(rows) < 1000:
                return
            last = rows[-1][0]

    # the pipeline

    def _encode_all(self, total: int) -> Iterator[Event]:
        encoder = (
            self.collection.load_encoder(expect=total)
            if "encoder" not in self.collection.__dict__
            else self.collection.encoder
        )
        batch_size, workers = encoder.tower.batch, self.options.workers or os.cpu_count() or 1
        jobs, done = self._jobs(), 0
        flight: deque[tuple[Future[_Read], int]] = deque()
        flying = 0
        batch: list[_Read] = []
        with contextlib.ExitStack() as stack:
            isolated = stack.enter_context(Isolated(workers)) if self.options.isolate else None
            pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
            stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            more = True
            while more or flight or batch:
                while more and len(flight) < 2 * batch_size + workers and (not flight or flying < _FLIGHT_BYTES):
                    job = next(jobs, None)
                    more = job is not None
                    if job is not None:
                        flight.append(
                            (pool.submit(self._work, job, encoder.prepare, encoder.tower.side, isolated), job.stat[0])
                        )
                        flying += job.stat[0]
                if flight:
                    future, size = flight.popleft()
                    read_, flying = future.result(), flying - size
                    done += 1
                    if read_.error is not None:
                        yield from self._fail(read_, read_.error)
                    elif read_.sha256 in self.failed:
                        yield self._skip(read_.job, self.failed[read_.sha256])
                    elif read_.prepared is not None:
                        batch.append(read_)
                    elif not self._recognise(read_):
                        self.followers.setdefault(read_.sha256, []).append(read_.job)
                if len(batch) >= batch_size or (batch and not flight and not more):
                    yield from self._encode(batch, encoder)
                    batch = []
                if time.monotonic() - self.flushed > _COMMIT_SECONDS:
                    yield from self._commit(done, total)
            yield from self._commit(done, total)

    def _work(
        self,
        job: _Job,
        prepare: Callable[[Image.Image], NDArray[Any]],
        side: int,
        isolated: Isolated | None,
    ) -> _Read:
        """In a worker thread: read, hash, and unless the hash is known or another worker has it, decode and prepare."""
        digest = b""
        try:
            content = read(self.root / os.fsdecode(job.path), self.options.limits)
            digest = picture_hash(content)
            with self.store.reading() as catalogue:
                known = catalogue.one("SELECT key FROM item WHERE sha256=? LIMIT 1", digest) is not None
            with self.claim:
                known = known or digest in self.claimed
                self.claimed.add(digest)
            if known:
                return _Read(job, digest)
            make = isolated.decode if isolated is not None else decode
            return _Read(job, digest, prepare(make(content, limits=self.options.limits, side=side)))
        except PictureError as error:
            return _Read(job, digest, error=error)

    def _encode(self, batch: list[_Read], encoder: Any) -> Iterator[Event]:
        try:
            vectors = encoder.encode_prepared([r.prepared for r in batch])
        except InputError:  # one vector without a direction must not take the batch with it
            if len(batch) == 1:
                error = PictureError("the encoder gives no vector for it", code="picture/no-vector")
                yield from self._fail(batch[0], error)
                return
            for one in batch:
                yield from self._encode([one], encoder)
            return
        for item, vector in zip(batch, vectors, strict=True):
            jobs = [item.job, *self.followers.pop(item.sha256, [])]
            for job in jobs:
                self._put(job, item.sha256, vector)
            self.counts["copied"] += len(jobs) - 1

    def _fail(self, found: _Read, error: PictureError) -> Iterator[Event]:
        """A picture cannot be used, nor can the copies of it that waited for its vector."""
        if found.sha256:
            self.failed[found.sha256] = error
        for job in (found.job, *self.followers.pop(found.sha256, [])):
            yield self._skip(job, error)

    def _recognise(self, found: _Read) -> bool:
        """A file whose content is in the collection: touched, moved or copied. False where it is still on its way."""
        job = found.job
        if job.key is not None and job.sha256 == found.sha256:
            self.amends[job.key] = dict(zip(_STAT.split(", "), job.stat, strict=True))
            self.counts["touched"] += 1
            return True
        with self.store.reading() as catalogue:
            gone = catalogue.all(
                "SELECT key FROM item LEFT JOIN seen ON seen.path=item.path "
                "WHERE root=? AND sha256=? AND seen.path IS NULL",
                self.root_id, found.sha256,
            )  # fmt: skip
            twin = catalogue.one("SELECT key FROM item WHERE sha256=? LIMIT 1", found.sha256)
        free = [key for (key,) in gone if key not in self.amends]
        if free and job.key is None:
            stat = dict(zip(_STAT.split(", "), job.stat, strict=True))
            self.amends[free[0]] = {"path": job.path, **stat}
            self.counts["moved"] += 1
            return True
        if twin is None:
            for record, vector, _ in self.pending:
                if record.sha256 == found.sha256:
                    self._put(job, found.sha256, vector)
                    self.counts["copied"] += 1
                    return True
            return False
        snapshot = self.store.verified()
        self._put(job, found.sha256, snapshot.vectors(snapshot.rows_of(np.array([twin], dtype=np.int64)))[0])
        self.counts["copied"] += 1
        return True

    def _put(self, job: _Job, sha256: bytes, vector: NDArray[np.float32]) -> None:
        known: dict[str, Any] = {}
        if job.key is not None:
            item = self.collection.item(job.key)
            known = {"label": item.label, "captions": item.captions, "fields": item.fields}
        if self.options.annotate:
            note = self.options.annotate(Path(os.fsdecode(job.path)))
            if note:
                known = {"label": note.label, "captions": note.captions, "fields": note.fields}
        record = Record(job.path, self.root_id, sha256, *job.stat, **known)
        self.pending.append((record, vector, job.key))

    def _skip(self, job: _Job, error: PictureError) -> Skipped:
        self.counts["skipped"] += 1
        if job.key is None:
            size, mtime, ctime, _ = job.stat
            self.skips.append((self.root_id, job.path, size, mtime, ctime, error.code, error.message, error.hint))
        why = error.message if job.key is None else f"{error.message} (its earlier version stays in the collection)"
        return Skipped(str(self.root / os.fsdecode(job.path)), error.code, why, error.hint)

    def _flush(self) -> int:
        """Commit what is pending; how many vectors that were."""
        pending, amends, skips = self.pending, self.amends, self.skips
        self.pending, self.amends, self.skips = [], {}, []
        if amends:
            self.store.amend(amends)
        if pending:
            vectors = np.stack([vector for _, vector, _ in pending])
            self.store.append([r for r, _, _ in pending], vectors, replacing=[key for _, _, key in pending])
            updated = sum(key is not None for _, _, key in pending)
            self.counts["updated"] += updated
            self.counts["added"] += len(pending) - updated
        if skips:
            with self.store.changing() as catalogue:
                catalogue.db.executemany("INSERT OR REPLACE INTO skipped VALUES(?, ?, ?, ?, ?, ?, ?, ?)", skips)
        self.flushed = time.monotonic()
        return len(pending)

    def _commit(self, done: int, total: int) -> Iterator[Event]:
        count = self._flush()
        if count:
            yield Encoded(count)
        yield Step("encode", done, total)

    # the rest

    def _annotate(self) -> Iterator[Event]:
        """Labels and fields of pictures that were there already may have changed in the table that gives them."""
        if self.options.annotate is None:
            return
        last = -1
        while True:
            with self.store.reading() as catalogue:
                rows = catalogue.all(
                    "SELECT key, path, label, captions, fields FROM item WHERE root=? AND key>? ORDER BY 1 LIMIT 2000",
                    self.root_id, last,
                )  # fmt: skip
            changes = {}
            for key, path, label, captions, fields in rows:
                note = self.options.annotate(Path(os.fsdecode(path)))
                if note:
                    wanted = columns(label=note.label, captions=note.captions, fields=note.fields)
                    if wanted != {"label": label, "captions": captions, "fields": fields}:
                        changes[key] = wanted
            if changes:
                self.store.amend(changes)
                self.counts["annotated"] += len(changes)
                yield Step("annotate", self.counts["annotated"], None)
            if len(rows) < 2000:
                return
            last = rows[-1][0]

    def _drop(self) -> Iterator[Event]:
        with self.store.reading() as catalogue:
            rows = catalogue.all(
                "SELECT key, item.path FROM item LEFT JOIN seen USING(path) WHERE root=? AND seen.path IS NULL",
                self.root_id,
            )
            known = catalogue.one("SELECT count(*) FROM item WHERE root=?", self.root_id)
        gone = [key for key, path in rows if not self._is_withheld(path)]
        if not gone or self.options.drop == "never":
            return
        suspicious = self.moved_device or (known >= 20 and len(gone) > known / 2)
        if self.options.drop == "safe" and suspicious:
            raise RootVanished(
                f"{len(gone)} of the {known} pictures of {self.root} are gone"
                + (", and another medium is mounted there" if self.moved_device else ""),
                hint="if that is right, repeat with --drop always; everything new is already indexed",
            )
        for start in range(0, len(gone), 10_000):
            self.counts["dropped"] += self.store.delete(gone[start : start + 10_000])
            yield Step("drop", self.counts["dropped"], len(gone))
        with self.store.changing() as catalogue:
            catalogue.db.execute(
                "DELETE FROM skipped WHERE root=? AND path NOT IN (SELECT path FROM seen)", (self.root_id,)
            )

    def _is_withheld(self, path: bytes) -> bool:
        """Under a folder (or at a file) that could not be looked at just now: not gone, only out of sight."""
        return any(path == w or path.startswith(w + os.sep.encode()) for w in self.withheld)
