"""Read, hash, decode and prepare in worker threads; encode batches in another, on a GPU in two; commit about once a
second, while the next batches are encoded.

A file whose hash is known is never decoded: it was moved (the key stays) or is a copy (the vector is copied).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.ahead import ahead
from nearsight.core.arrays import Vectors
from nearsight.core.errors import InputError, NearsightError, PictureError
from nearsight.core.events import Encoded, Event, Skipped, Step
from nearsight.data.images import Isolated, decode, picture_hash, read
from nearsight.encode import Encoder
from nearsight.search.store.store import Record
from nearsight.search.sync.difference import STAT, Difference, Job
from nearsight.search.sync.options import Options
from nearsight.search.sync.stopwatch import Stopwatch

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

_COMMIT_SECONDS = 1.0
_COMMIT_ROWS = 4096


@dataclass(frozen=True, slots=True)
class _Look:
    """What a worker made of a job: prepared pixels, or only a hash that is known already, or the reason why not."""

    job: Job
    sha256: bytes = b""
    prepared: NDArray[Any] | None = None
    error: PictureError | None = None


class Pipeline:
    """One run over the jobs of a `Difference`. `counts` is added to as work is committed."""

    def __init__(
        self,
        collection: Collection,
        difference: Difference,
        options: Options,
        counts: dict[str, int],
        clock: Stopwatch,
    ) -> None:
        self.collection, self.store = collection, collection.store
        self.difference, self.options, self.counts, self.clock = difference, options, counts, clock
        self._claimed: set[bytes] = set()
        self._claim = threading.Lock()
        self._waiting: dict[bytes, list[Job]] = {}
        self._failed: dict[bytes, PictureError] = {}
        self._pending: list[tuple[Record, NDArray[np.float32], int | None]] = []
        self._amends: dict[int, dict[str, Any]] = {}
        self._skips: list[tuple[Job, str, str, str]] = []
        self._encoding: deque[tuple[list[_Look], Future[Vectors]]] = deque()
        self._busy, self._idle, self._counting = 0, time.perf_counter(), threading.Lock()
        self._flushed = time.monotonic()

    def run(self, total: int) -> Iterator[Event]:
        """Encode and commit everything; closed early, what is encoded is committed first."""
        encoder = self.collection.encoder_for(total)
        try:
            yield from self._run(encoder, total)
        except (GeneratorExit, KeyboardInterrupt):
            for batch, vectors in self._encoding:
                with contextlib.suppress(NearsightError):  # the next run tells it
                    self._keep(batch, vectors.result())
            self._flush()
            raise

    def _run(self, encoder: Encoder, total: int) -> Iterator[Event]:
        size, done = encoder.tower.batch, 0
        batch: list[_Look] = []
        jobs: Iterable[Job] = self.difference.jobs()
        at_once = 2 if encoder.on_gpu else 1
        with ThreadPoolExecutor(at_once, thread_name_prefix="nearsight-encode") as pool:

            def encode(looks: Sequence[_Look]) -> Future[Vectors]:
                return pool.submit(self._vectors, encoder, looks)

            while jobs:
                for look in self._looks(jobs, encoder):
                    done = min(done + 1, total)
                    if look.error is not None:
                        yield from self._fail(look, look.error)
                    elif look.sha256 in self._failed:
                        yield self._skip(look.job, self._failed[look.sha256])
                    elif look.prepared is not None:
                        batch.append(look)
                    elif not self._recognise(look):
                        self._waiting.setdefault(look.sha256, []).append(look.job)
                    if len(batch) >= size:
                        self._encoding.append((batch, encode(batch)))
                        batch = []
                    while self._encoding and (len(self._encoding) > at_once or self._encoding[0][1].done()):
                        yield from self._take(encode)
                    if time.monotonic() - self._flushed > _COMMIT_SECONDS or len(self._pending) >= _COMMIT_ROWS:
                        yield from self._commit(done, total)
                if batch:
                    self._encoding.append((batch, encode(batch)))
                    batch = []
                while self._encoding:
                    yield from self._take(encode)
                yield from self._commit(done, total)
                jobs = self._stranded()

    def _stranded(self) -> list[Job]:
        """Jobs whose content was known when a worker looked, and was replaced before its vector could be copied."""
        jobs = [job for waiting in self._waiting.values() for job in waiting]
        self._claimed.difference_update(self._waiting)
        self._waiting.clear()
        return jobs

    def _looks(self, jobs: Iterable[Job], encoder: Encoder) -> Iterator[_Look]:
        """Jobs in their order, looked into ahead by worker threads, a bounded number (and bytes) at a time."""
        workers = self.options.workers or os.cpu_count() or 1
        with Isolated(workers) if self.options.isolate else contextlib.nullcontext() as isolated:
            yield from ahead(
                jobs,
                lambda job: self._look(job, encoder, isolated),
                threads=workers,
                name="nearsight-decode",
                most=2 * encoder.tower.batch + workers,
                weigh=lambda job: job.stat[0],
            )

    def _look(self, job: Job, encoder: Encoder, isolated: Isolated | None) -> _Look:
        """In a worker: read, hash, and unless the hash is known or another worker has it, decode and prepare."""
        digest = b""
        try:
            path = self.difference.root / os.fsdecode(job.path)
            with self.clock("read"):
                content = read(path, self.options.limits, follow_links=self.options.follow_links)
                digest = picture_hash(content)
            with self.store.reading() as catalogue:
                known = catalogue.one("SELECT key FROM item WHERE sha256=? LIMIT 1", digest) is not None
            with self._claim:
                known = known or digest in self._claimed
                self._claimed.add(digest)
            if known:
                return _Look(job, digest)
            unpack = decode if isolated is None else isolated.decode
            with self.clock("decode"):
                picture = unpack(content, limits=self.options.limits, side=encoder.tower.side)
            with self.clock("prepare"):
                return _Look(job, digest, encoder.prepare(picture))
        except PictureError as error:
            return _Look(job, digest, error=error)

    def _vectors(self, encoder: Encoder, batch: Sequence[_Look]) -> Vectors:
        """In a thread that encodes: (n, dim)."""
        with self._counting:
            if not self._busy:
                self.clock.since("waiting", self._idle)
            self._busy += 1
        try:
            with self.clock("encode"):
                return encoder.encode_prepared([look.prepared for look in batch if look.prepared is not None])
        finally:
            with self._counting:
                self._busy -= 1
                self._idle = time.perf_counter()

    def _take(self, encode: Callable[[Sequence[_Look]], Future[Vectors]]) -> Iterator[Event]:
        """The vectors of the batch that was begun first, to be committed."""
        batch, vectors = self._encoding.popleft()
        try:
            self._keep(batch, vectors.result())
        except InputError:  # one vector without a direction must not take the batch with it
            for look in batch:
                try:
                    self._keep([look], encode([look]).result())
                except InputError:
                    error = PictureError("the encoder gives no vector for it", code="picture/no-vector")
                    yield from self._fail(look, error)

    def _keep(self, batch: Sequence[_Look], vectors: Vectors) -> None:
        for look, vector in zip(batch, vectors, strict=True):
            self._put(look.job, look.sha256, vector)
            for copy in self._waiting.pop(look.sha256, []):
                self._put(copy, look.sha256, vector)
                self.counts["copied"] += 1

    def _recognise(self, look: _Look) -> bool:
        """A file whose content is in the collection: touched, moved or a copy. False: its vector is on its way."""
        job = look.job
        stat = dict(zip(STAT, job.stat, strict=True))
        if job.key is not None and job.sha256 == look.sha256:
            self._amends[job.key] = stat
            self.counts["touched"] += 1
            return True
        if job.key is None:
            for key in self.difference.vacated(look.sha256):
                if key not in self._amends:
                    self._amends[key] = {"path": job.path, **stat}
                    self.counts["moved"] += 1
                    return True
        vector = self._known_vector(look.sha256)
        if vector is None:
            return False
        self._put(job, look.sha256, vector)
        self.counts["copied"] += 1
        return True

    def _known_vector(self, sha256: bytes) -> NDArray[np.float32] | None:
        with self.store.reading() as catalogue:
            twin = catalogue.one("SELECT key FROM item WHERE sha256=? LIMIT 1", sha256)
        if twin is not None:
            snapshot = self.store.verified()
            vectors: NDArray[np.float32] = snapshot.vectors(snapshot.rows_of(np.array([twin], dtype=np.int64)))
            return vectors[0, :]
        return next((vector for record, vector, _ in self._pending if record.sha256 == sha256), None)

    def _put(self, job: Job, sha256: bytes, vector: NDArray[np.float32]) -> None:
        known: dict[str, Any] = {}
        if job.key is not None:
            item = self.collection.item(job.key)
            known = {"label": item.label, "captions": item.captions, "fields": item.fields}
        note = self.options.annotate(Path(os.fsdecode(job.path))) if self.options.annotate else None
        if note is not None:
            known = {"label": note.label, "captions": note.captions, "fields": note.fields}
        record = Record(job.path, self.difference.root_id, sha256, *job.stat, **known)
        self._pending.append((record, vector, job.key))

    def _fail(self, look: _Look, error: PictureError) -> Iterator[Event]:
        """A picture cannot be used, nor can the copies of it that wait for its vector."""
        if look.sha256:
            self._failed[look.sha256] = error
        for job in (look.job, *self._waiting.pop(look.sha256, [])):
            yield self._skip(job, error)

    def _skip(self, job: Job, error: PictureError) -> Skipped:
        self.counts["skipped"] += 1
        why = error.message
        if job.key is None:
            self._skips.append((job, error.code, error.message, error.hint))
        else:
            why += " (its earlier version stays in the collection)"
        return Skipped(str(self.difference.root / os.fsdecode(job.path)), error.code, why, error.hint)

    def _flush(self) -> int:
        """Commit what is pending; how many vectors that were."""
        pending, amends, skips = self._pending, self._amends, self._skips
        self._pending, self._amends, self._skips = [], {}, []
        if amends:
            self.store.amend(amends)
        if pending:
            vectors = np.stack([vector for _, vector, _ in pending])
            self.store.append([r for r, _, _ in pending], vectors, replacing=[key for _, _, key in pending])
            updated = sum(key is not None for _, _, key in pending)
            self.counts["updated"] += updated
            self.counts["added"] += len(pending) - updated
        if skips:
            self.difference.remember_skips(skips)
        self._flushed = time.monotonic()
        return len(pending)

    def _commit(self, done: int, total: int) -> Iterator[Event]:
        with self.clock("commit"):
            count = self._flush()
        if count:
            yield Encoded(count)
        yield Step("encode", done, total, self.clock.spent() if self.options.profile else {})
