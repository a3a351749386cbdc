"""The engine proposes, the store disposes.

A `Searcher` keeps an engine in step with the store's snapshots: rows that its saved index covers are searched there,
newer rows exactly, and every candidate is scored again exactly on the stored vectors before the cut to k.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import faiss
import numpy as np
from crc32c import crc32c
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Hits, Keys, Vectors, ranked
from nearsight.core.artefact import read_manifest, sync_file, write_manifest
from nearsight.core.errors import Damaged, EngineError, FormatError, NotACollection, QueryError
from nearsight.search.engines import ENGINES, Engine
from nearsight.search.store import disk
from nearsight.search.store.segments import BLOCK, checksum
from nearsight.search.store.snapshot import Snapshot

_STAMP, _FORMAT = "stamp.json", "nearsight-engine"
_SPARE = 16
"""Fetched beyond k, whatever the engine asks for: its scores are rounded, and a near-tie may cross the cut."""
_ADD = 8192
"""Rows copied at once into an engine that keeps its own."""
_TRAIN = 65_536
"""Rows that a derived engine sees first, and trains on."""
_RUNS = 256
"""More runs of living rows than this in a segment are copied instead of viewed."""
_GATHER = 64 << 20
"""Bytes of vectors gathered at once when scoring again."""


class Searcher:
    """Searches one collection's snapshots through one engine."""

    def __init__(self, folder: Path, address: str, dim: int, fingerprint: str) -> None:
        self.folder = folder / "engine"
        self.address = address
        self.dim = dim
        self.fingerprint = fingerprint
        self._snapshot: Snapshot | None = None
        self._main = self._build(address)
        self._tail: Engine | None = None
        self._covered: dict[int, int] = {}
        self.state = "ready"
        """``ready``, or why the exact scan answers instead of the engine's saved index."""

    def _build(self, address: str) -> Engine:
        return cast(Engine, ENGINES.build(address, dim=self.dim))

    # keeping up

    def stands_at(self, snapshot: Snapshot) -> bool:
        """Whether `search` finds nothing to follow: then any number of threads may search at once."""
        return self._snapshot is snapshot

    def follow(self, snapshot: Snapshot) -> bool:
        """Bring the engines to `snapshot`: new rows are added, dead ones removed, moved ones start afresh.

        False where they are further already, and stay there.
        """
        before = self._snapshot
        if before is snapshot:
            return True
        if before is not None and before.generation > snapshot.generation:
            return False
        self._snapshot = None  # broken off half-way, the next look starts afresh
        if before is None or before.epoch != snapshot.epoch:
            self._start(snapshot)
        else:
            fresh = self._tail if self._tail is not None else self._main
            for keys, rows in living_runs(snapshot, _extent(before)):
                fresh.add(keys, rows)
            lost = before.keys[before.alive & ~snapshot.alive[: before.alive.size]]
            if fresh is not self._main:
                self._main.remove(lost)
            fresh.remove(lost[snapshot.rows_of(lost) < 0])  # the others live on in a row just added
        self._snapshot = snapshot
        return True

    def _start(self, snapshot: Snapshot) -> None:
        self._main, self._tail, self._covered, self.state = self._build(self.address), None, {}, "ready"
        if self._main.derived:
            try:
                self._covered = self._load(snapshot)
            except (
                NotACollection,
                Damaged,
                FormatError,
                EngineError,
                OSError,
            ) as error:  # a writer may just replace it
                self._main, self.state = self._build(self.address), getattr(error, "message", str(error))
            self._tail = self._build("exact")
        for keys, rows in living_runs(snapshot, self._covered):
            (self._tail if self._tail is not None else self._main).add(keys, rows)

    # the saved index

    def save(self, snapshot: Snapshot) -> bool:
        """Bring the saved index up to `snapshot`; True where there was something to do. Called by the writer."""
        try:
            return self._save(snapshot)
        except BaseException:
            self._snapshot = None  # engines half moved over lack items or know them twice: the next look starts afresh
            raise

    def _save(self, snapshot: Snapshot) -> bool:
        self.follow(snapshot)
        if self._tail is None or not len(snapshot) or (not len(self._tail) and self.state == "ready"):
            return False  # deletions alone are worked out again when it is loaded
        if len(self._tail) * 2 > len(self._main):  # mostly new: train on all of it
            self._main, self._covered = self._build(self.address), {}
        keys = np.concatenate([k for k, _ in living_runs(snapshot, self._covered)])
        if not len(self._main):  # what comes first trains the index, so it must be a fair sample of all
            first = np.random.default_rng(0).permutation(keys)[:_TRAIN]
            self._main.add(first, snapshot.vectors(snapshot.rows_of(first)))
            keys = np.setdiff1d(keys, first, assume_unique=True)
        for start in range(0, len(keys), _ADD):
            part = keys[start : start + _ADD]
            self._main.add(part, snapshot.vectors(snapshot.rows_of(part)))
        self._covered = _extent(snapshot)
        self.folder.mkdir(exist_ok=True)
        target = self.folder / f"{snapshot.generation:012d}.index"
        temporary = target.with_suffix(".tmp")
        with disk.step("engine"):
            self._main.save(temporary)
            sync_file(temporary)
        with disk.step("engine-rename"):
            temporary.replace(target)
        meta = {
            "file": target.name,
            "crc": _file_sum(target),
            "generation": snapshot.generation,
            "epoch": snapshot.epoch,
            "covered": {str(number): rows for number, rows in self._covered.items()},
            "sum": _covered_sum(snapshot, self._covered),
            **self._conditions(),
        }
        write_manifest(self.folder / _STAMP, _FORMAT, 1, meta, {})
        for path in self.folder.iterdir():
            if path.name not in (target.name, _STAMP):
                disk.remove(path)
        self._tail, self.state = self._build("exact"), "ready"
        return True

    def forget(self) -> None:
        """Remove the saved index: the next search scans exactly, the next sync builds it again."""
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                disk.remove(path)
        self._snapshot = None

    def verify(self) -> None:
        """Raise Damaged, FormatError or NotACollection where the saved index is not what was written."""
        stamp = read_manifest(self.folder / _STAMP, _FORMAT, 1)["meta"]
        path = self.folder / stamp["file"]
        if not path.is_file() or _file_sum(path) != stamp["crc"]:
            raise Damaged(f"{path} is not the index that was written", hint="it is rebuilt by the next sync")

    def _conditions(self) -> dict[str, str | int]:
        return {"address": self.address, "dim": self.dim, "fingerprint": self.fingerprint, "faiss": faiss.__version__}

    def _load(self, snapshot: Snapshot) -> dict[int, int]:
        stamp = read_manifest(self.folder / _STAMP, _FORMAT, 1)["meta"]
        for name, wanted in self._conditions().items():
            if stamp[name] != wanted:
                raise FormatError(f"the saved index was made with {name} {stamp[name]}, not {wanted}")
        if stamp["epoch"] != snapshot.epoch or stamp["generation"] > snapshot.generation:
            raise FormatError("the saved index is of another arrangement of the rows")
        covered = {int(number): rows for number, rows in stamp["covered"].items()}
        if stamp["sum"] != _covered_sum(snapshot, covered):
            raise FormatError("the saved index is of other vectors")
        self.verify()
        if NO_KEY in snapshot.keys[~snapshot.alive]:
            raise Damaged("dead rows have lost their keys, so the saved index cannot be told to forget them")
        self._main.load(self.folder / stamp["file"])
        self._main.remove(_dead_keys(snapshot, covered))
        if len(self._main) != int(snapshot.alive[_inside(snapshot, covered)].sum()):
            raise FormatError("the saved index lacks items, or knows others")
        return covered

    # searching

    def search(self, snapshot: Snapshot, queries: Vectors, k: int, among: Keys | None = None) -> Hits:
        """(q, dim) unit queries -> Hits (q, k) with true cosines, ties by smaller key.

        Exactly min(k, living items, living `among`) places are filled. Raises QueryError for k < 1.
        """
        if k < 1:
            raise QueryError(f"k must be at least 1, not {k}")
        self.follow(snapshot)
        allowed = len(snapshot) if among is None else int((snapshot.rows_of(np.unique(among)) >= 0).sum())
        wanted = min(k, allowed)
        if wanted == 0 or not len(queries):
            return _nothing(len(queries), k)
        if self._tail is None and self._main.exact:  # ranks by the same float64 cosines as `_score`
            return self._main.search(queries, wanted, among=among).first(k)
        fetch = min(int(wanted * self._main.oversample) + _SPARE, allowed)
        found = [e.search(queries, fetch, among=among) for e in (self._main, self._tail) if e is not None and len(e)]
        return self._score(snapshot, queries, np.concatenate([h.keys for h in found], axis=1), wanted).first(k)

    def _score(self, snapshot: Snapshot, queries: Vectors, keys: Keys, k: int) -> Hits:
        """Candidates (q, m) -> the best k by the cosine of the stored vectors, in float64, rounded to float32."""
        rows = snapshot.rows_of(keys)
        scores = np.full(keys.shape, -np.inf, dtype=np.float64)
        step = max(1, _GATHER // (self.dim * 8))
        for q in range(len(queries)):
            query = queries[q].astype(np.float64)
            there = np.flatnonzero(rows[q] >= 0)
            for start in range(0, there.size, step):
                part = there[start : start + step]
                wide = snapshot.vectors(rows[q, part]).astype(np.float64)
                scores[q, part] = np.einsum("md,d->m", wide, query)
        return ranked(np.where(rows >= 0, keys, NO_KEY), scores, k)


def living_runs(snapshot: Snapshot, covered: Mapping[int, int]) -> Iterator[tuple[Keys, NDArray[np.floating]]]:
    """Keys and vectors of the living rows beyond `covered` (segment -> rows): views of the mapped files, or copies
    where the living lie so scattered that views would be confetti."""
    for part in snapshot.parts:
        first = covered.get(part.number, 0)
        alive = snapshot.alive[part.start + first : part.start + len(part.keys)]
        edges = np.flatnonzero(np.diff(np.concatenate(([False], alive, [False])).astype(np.int8))) + first
        if edges.size <= 2 * _RUNS:
            for start, stop in edges.reshape(-1, 2):
                yield part.keys[start:stop], part.rows[start:stop]
        else:
            rows = np.flatnonzero(alive) + first
            for some in np.array_split(rows, -(-rows.size // _ADD)):
                yield part.keys[some], np.asarray(part.rows[some])


def _extent(snapshot: Snapshot) -> dict[int, int]:
    return {part.number: len(part.keys) for part in snapshot.parts}


def _dead_keys(snapshot: Snapshot, covered: Mapping[int, int]) -> Keys:
    """Keys that a saved index holds although the row it saw is dead (deleted, or replaced by a later row)."""
    inside = _inside(snapshot, covered)
    return np.setdiff1d(snapshot.keys[inside & ~snapshot.alive], snapshot.keys[inside & snapshot.alive])


def _inside(snapshot: Snapshot, covered: Mapping[int, int]) -> NDArray[np.bool_]:
    inside = np.zeros(snapshot.alive.size, dtype=np.bool_)
    for part in snapshot.parts:
        inside[part.start : part.start + covered.get(part.number, 0)] = True
    return inside


def _covered_sum(snapshot: Snapshot, covered: Mapping[int, int]) -> int:
    """A checksum of the covered rows and their keys, so that the index of a copy that went its own way, or of another
    collection, is never taken for this one's. Whole blocks count by the checksums that the catalogue has of them."""
    total = 0
    for part in snapshot.parts:
        whole, rest = divmod(covered.get(part.number, 0), BLOCK)
        for block in range(whole):
            total = crc32c(repr((part.number, snapshot.blocks.get((part.number, block)))).encode(), total)
        if rest:
            some = slice(whole * BLOCK, whole * BLOCK + rest)
            total = checksum(part.rows[some], checksum(part.keys[some], total))
    return total


def _nothing(q: int, k: int) -> Hits:
    return Hits(np.full((q, k), NO_KEY, dtype=np.int64), np.full((q, k), -np.inf, dtype=np.float32))


def _file_sum(path: Path) -> int:
    total = 0
    with open(path, "rb") as file:
        while part := file.read(1 << 22):
            total = crc32c(part, total)
    return total
