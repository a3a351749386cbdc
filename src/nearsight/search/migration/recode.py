"""The vectors that a second generation lacks, made from the pictures: each content is read and encoded once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.ahead import ahead
from nearsight.core.errors import InputError, PictureError
from nearsight.core.events import Encoded, Event, Skipped, Step
from nearsight.data.images import Limits, decode, picture_hash, read
from nearsight.encode import Encoder
from nearsight.search.collection import Collection
from nearsight.search.store.store import Record

_COMMIT_SECONDS = 1.0
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class _Job:
    """An item that the second generation lacks. `read`: its picture, for no other of that content is on its way."""

    key: int
    path: Path
    record: Record
    read: bool = True


@dataclass(frozen=True, slots=True)
class _Look:
    """What a worker made of a job."""

    job: _Job
    prepared: NDArray[Any] | None = None
    error: PictureError | None = None


class Recoding:
    """`new` is to have a vector of every item of `old`, under its key. What was committed is never made again."""

    def __init__(self, old: Collection, new: Collection, limits: Limits, workers: int | None) -> None:
        self.old, self.new, self.limits = old, new, limits
        self.workers = workers or os.cpu_count() or 1
        self.missing: dict[int, Skipped] = {}
        """Items that have no vector in `new`, by key, and why; they are not tried again."""
        self._missed: list[_Job] = []
        self._pending: list[tuple[int, Record, NDArray[np.float32]]] = []
        self._flushed = time.monotonic()

    def run(self) -> Iterator[Event]:
        """Yields Step, Encoded (then it is committed) and Skipped; closed early, it commits what is encoded."""
        lacking = self.lacking()
        first = next(lacking, None)
        if first is None:
            return
        encoder = self.new.encoder_for(max(1, len(self.old) - len(self.new)))
        jobs: Iterable[_Job] = chain([first], lacking)
        try:
            while jobs:
                jobs = yield from self._round(jobs, encoder)
            self._find_twins()
        except (GeneratorExit, KeyboardInterrupt):
            self._flush()
            raise

    def lacking(self, *, again: bool = False) -> Iterator[_Job]:
        """Items that have no vector of their content in the second generation, by key; with `again` those in `missing`
        too."""
        names = "key, item.path, sha256, size, label, captions, fields, root.path"
        last = -1
        while True:
            with self.old.store.reading() as catalogue:
                rows = catalogue.all(
                    f"SELECT {names} FROM item LEFT JOIN root ON root.id=root WHERE key>? ORDER BY key LIMIT {_PAGE}",
                    last,
                )
            if not rows:
                return
            last = rows[-1][0]
            with self.new.store.reading() as catalogue:
                have = dict(catalogue.all("SELECT key, sha256 FROM item WHERE key BETWEEN ? AND ?", rows[0][0], last))
            for key, path, sha256, size, label, captions, fields, root in rows:
                if (key not in have or have[key] != sha256) and (again or key not in self.missing):
                    about = {"label": label, "captions": tuple(json.loads(captions)), "fields": json.loads(fields)}
                    whole = Path(os.fsdecode(path))
                    if root is not None:
                        whole = self.old.folder / os.fsdecode(root) / whole
                    # without its root: what stands under which path may change before the switch, which hands it over
                    yield _Job(key, whole, Record(path, None, sha256, size, **about))

    def _round(self, jobs: Iterable[_Job], encoder: Encoder) -> Generator[Event, None, list[_Job]]:
        """Encode; returns the copies of a content that could not be read where it was tried."""
        total, size = len(self.old), encoder.tower.batch
        copies: list[_Job] = []
        batch: list[_Look] = []
        looks = ahead(
            self._once(jobs),
            lambda job: self._look(job, encoder),
            threads=self.workers,
            name="nearsight-decode",
            most=2 * size + self.workers,
            weigh=lambda job: job.record.size or 0,
        )
        with closing(looks):
            for look in looks:
                if look.error is not None:
                    yield self._miss(look.job, look.error)
                elif look.prepared is None:
                    copies.append(look.job)
                else:
                    batch.append(look)
                if len(batch) >= size:
                    yield from self._encode(batch, encoder)
                    batch = []
                if time.monotonic() - self._flushed > _COMMIT_SECONDS:
                    yield from self._commit(total)
        if batch:
            yield from self._encode(batch, encoder)
        yield from self._commit(total)
        stranded = [job for job in copies if not self._copy(job)]
        yield from self._commit(total)
        return stranded

    def _once(self, jobs: Iterable[_Job]) -> Iterator[_Job]:
        """Of several items of one content only the first is read, and none if its vector is there."""
        claimed: set[bytes] = set()
        for job in jobs:
            sha256 = job.record.sha256 or b""
            known = sha256 in claimed or self._known(sha256) is not None
            yield _Job(job.key, job.path, job.record, read=not known)
            if sha256:
                claimed.add(sha256)

    def _known(self, sha256: bytes) -> int | None:
        """An item of the second generation with that content."""
        with self.new.store.reading() as catalogue:
            key: int | None = catalogue.one("SELECT key FROM item WHERE sha256=? LIMIT 1", sha256)
            return key

    def _look(self, job: _Job, encoder: Encoder) -> _Look:
        if not job.read:
            return _Look(job)
        try:
            if job.record.sha256 is None:
                raise PictureError("its vector came without a picture", code="picture/none")
            content = read(job.path, self.limits)
            if picture_hash(content) != job.record.sha256:
                raise PictureError(
                    "the picture has changed since it was indexed",
                    code="picture/changed",
                    hint="index its folder again",
                )
            return _Look(job, encoder.prepare(decode(content, limits=self.limits, side=encoder.tower.side)))
        except PictureError as error:
            return _Look(job, error=error)

    def _encode(self, batch: Sequence[_Look], encoder: Encoder) -> Iterator[Event]:
        try:
            vectors = encoder.encode_prepared([look.prepared for look in batch if look.prepared is not None])
        except InputError:  # one vector without a direction must not take the batch with it
            if len(batch) == 1:
                error = PictureError("the encoder gives no vector for it", code="picture/no-vector")
                yield self._miss(batch[0].job, error)
                return
            for look in batch:
                yield from self._encode([look], encoder)
            return
        self._pending += [(look.job.key, look.job.record, row) for look, row in zip(batch, vectors, strict=True)]

    def _copy(self, job: _Job) -> bool:
        """Give an item the vector of another one with the same content, if there is one."""
        twin = self._known(job.record.sha256 or b"")
        if twin is not None:
            self._pending.append((job.key, job.record, self.new.vectors(np.array([twin], dtype=np.int64))[0]))
        return twin is not None

    def _find_twins(self) -> None:
        """A picture that could not be read may have a copy that could."""
        for job in self._missed:
            if self._copy(job):
                del self.missing[job.key]
        self._missed.clear()
        self._flush()

    def _miss(self, job: _Job, error: PictureError) -> Skipped:
        self._missed.append(job)
        self.missing[job.key] = Skipped(str(job.path), error.code, error.message, error.hint)
        return self.missing[job.key]

    def _flush(self) -> int:
        pending, self._pending = self._pending, []
        if pending:
            keys = np.array([key for key, _, _ in pending], dtype=np.int64)
            self.new.store.adopt(keys, [record for _, record, _ in pending], np.stack([row for _, _, row in pending]))
        self._flushed = time.monotonic()
        return len(pending)

    def _commit(self, total: int) -> Iterator[Event]:
        if count := self._flush():
            yield Encoded(count)
        yield Step("encode", min(len(self.new), total), total)
