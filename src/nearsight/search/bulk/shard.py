"""What a shard is: the pictures that its plan names, read, decoded, encoded, and written whole. All runners call this.

Read and decoded ahead in threads, encoded in batches. What a worker leaves half done is nothing: the file appears with
its last byte, and whoever does the same shard again writes the same.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.ahead import ahead
from nearsight.core.errors import ClusterError, InputError, PictureError, WriteFailed
from nearsight.core.events import Skipped, Step
from nearsight.data.images import Isolated, Limits, decode, picture_hash
from nearsight.encode import Encoder
from nearsight.search.bulk.files import (
    PLAN,
    SHARDS,
    SKIPPED,
    TRIES,
    Entry,
    Picture,
    named,
    read_plan,
    write_shard,
    write_skipped,
)
from nearsight.search.bulk.reading import fetch

_DEADLY = 10
"""Processes that may die of one shard."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker must know, and nothing that cannot be sent to one.

    folder  of the run, where all workers see it
    root    what relative paths start at
    total   pictures of the whole run
    """

    folder: Path
    root: Path
    total: int
    dtype: str
    limits: Limits
    workers: int | None
    isolate: bool

    def encoder(self) -> Encoder:
        """The encoder of this run. Raises as `Encoder.load`."""
        return Encoder.load(self.folder / "encoder", expect=self.total)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a thread made of an entry: prepared pixels; or none, as those of `first` have the same content; or why
    not."""

    entry: Entry
    sha256: bytes = b""
    size: int = 0
    first: int = -1
    prepared: NDArray[Any] | None = None
    error: PictureError | None = None


def encode_shard(work: Work, number: int, encoder: Encoder) -> Generator[Step, None, None]:
    """Make the file of shard `number`, and the table of what is left out of it. Yields Steps within the shard.

    A content that comes twice in a shard is decoded and encoded once. Raises Damaged (the plan), WriteFailed,
    EncoderError, and ClusterError (code ``cluster/deadly``) for a shard that took its process with it again and again.
    """
    entries = read_plan(named(work.folder, PLAN, number))
    with _counted(work.folder / TRIES / f"{number:06d}"):
        looks: list[_Look] = []
        batch: list[int] = []
        vectors = np.zeros((len(entries), encoder.tower.dim), dtype=np.float32)
        for found in _looks(work, entries, encoder):
            looks.append(found)
            if found.prepared is not None:
                batch.append(len(looks) - 1)
            if len(batch) == encoder.tower.batch:
                _encode(looks, batch, vectors, encoder)
                batch = []
                yield Step("encode", len(looks), len(entries))
        if batch:
            _encode(looks, batch, vectors, encoder)
        _write(work, number, looks, vectors, encoder)
    yield Step("encode", len(entries), len(entries))


@contextmanager
def _counted(tries: Path) -> Iterator[None]:
    """A byte in a file for each process that began and did not live to see the end: some pictures crash decoders."""
    try:
        if tries.is_file() and tries.stat().st_size >= _DEADLY:
            raise ClusterError(
                f"shard {int(tries.name)} ended {_DEADLY} processes that encoded it",
                code="cluster/deadly",
                hint=f"repeat with --isolate, in case a picture crashes the decoder; to try again as it is: rm {tries}",
            )
        with open(tries, "ab") as file:
            file.write(b".")
    except OSError as error:
        raise WriteFailed(f"could not write {tries}: {error}") from error
    try:
        yield
    finally:
        tries.unlink(missing_ok=True)


def _looks(work: Work, entries: list[Entry], encoder: Encoder) -> Iterator[_Look]:
    """What threads make of the entries, in order, ahead of who encodes them."""
    with ExitStack() as stack:
        threads = work.workers or os.cpu_count() or 1
        isolated = stack.enter_context(Isolated(threads)) if work.isolate else None
        look, most = partial(_look, work, encoder, _Seen(), isolated), 2 * encoder.tower.batch + threads
        yield from ahead(enumerate(entries), look, threads=threads, most=most, name="nearsight-decode")


class _Seen:
    """Content -> the first entry of the shard that has it."""

    def __init__(self) -> None:
        self._first: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def first(self, sha256: bytes, at: int) -> int:
        with self._lock:
            return self._first.setdefault(sha256, at)


def _look(work: Work, encoder: Encoder, seen: _Seen, isolated: Isolated | None, given: tuple[int, Entry]) -> _Look:
    at, entry = given
    try:
        content, changed = fetch(work.root, entry.path, work.limits)
        if changed is not None:
            entry = replace(entry, mtime_ns=changed)
        sha256 = picture_hash(content)
        first = seen.first(sha256, at)
        found = _Look(entry, sha256, len(content), first)
        if first != at:
            return found
        unpack = decode if isolated is None else isolated.decode
        picture = unpack(content, limits=work.limits, side=encoder.tower.side)
        return replace(found, prepared=encoder.prepare(picture))
    except PictureError as error:
        return _Look(entry, first=at, error=error)


def _encode(looks: list[_Look], batch: Sequence[int], vectors: NDArray[np.float32], encoder: Encoder) -> None:
    """Fill in the vectors of a batch; what was prepared is let go."""
    prepared = [looks[at].prepared for at in batch]
    try:
        vectors[list(batch)] = encoder.encode_prepared([one for one in prepared if one is not None])
    except InputError:  # one vector without a direction must not take the batch with it
        if len(batch) > 1:
            for at in batch:
                _encode(looks, [at], vectors, encoder)
            return
        error = PictureError("the encoder gives no vector for it", code="picture/no-vector")
        looks[batch[0]] = replace(looks[batch[0]], error=error)
    for at in batch:
        looks[at] = replace(looks[at], prepared=None)


def _write(work: Work, number: int, looks: list[_Look], vectors: NDArray[np.float32], encoder: Encoder) -> None:
    """What was left out first: a shard that is there is done."""
    errors = [looks[look.first].error if look.error is None else look.error for look in looks]
    skipped = [
        Skipped(os.fsdecode(look.entry.path), error.code, error.message, error.hint)
        for look, error in zip(looks, errors, strict=True)
        if error is not None
    ]
    place = named(work.folder, SKIPPED, number)
    if skipped:
        write_skipped(place, skipped)
    else:
        place.unlink(missing_ok=True)
    kept = [at for at, error in enumerate(errors) if error is None]
    spec = encoder.spec
    facts = {
        "encoder": spec.address,
        "fingerprint": spec.fingerprint,
        "identity": json.dumps(spec.identity, sort_keys=True),
        "shard": str(number),
    }
    pictures = [Picture(looks[at].entry, looks[at].sha256, looks[at].size) for at in kept]
    rows = vectors[[looks[at].first for at in kept]].astype(work.dtype)
    write_shard(named(work.folder, SHARDS, number), pictures, rows, facts)
