"""The engine proposes, the store disposes.

A `Searcher` keeps an engine in step with the store's snapshots: rows that its saved index covers are searched there,
newer rows exactly, and every candidate is scored again exactly on the stored vectors before the cut to k. An engine
that stands elsewhere and is away is left aside for a while: then all rows are searched exactly.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import faiss
import numpy as np
from crc32c import crc32c
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Hits, Keys, Vectors, ranked
from nearsight.core.artefact import read_manifest, sync_file, write_manifest
from nearsight.core.errors import Damaged, EngineAway, EngineError, FormatError, NotACollection, QueryError
from nearsight.search.engines import ENGINES, Elsewhere, Engine
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
_PAUSE = 30.0
"""Seconds after which an engine that was away is asked again."""
_FEW = 4096
"""Rows that are sooner looked at here than a database is asked about them."""
_TABLE = "table"
_UNFIT = (NotACollection, Damaged, FormatError, EngineError, OSError)  # OSError: a writer may just replace it


class Searcher:
    """Searches one collection's snapshots through one engine. `name`: the collection's id, by which a database knows
    its table."""

    def __init__(self, folder: Path, address: str, dim: int, fingerprint: str, name: str = "") -> None:
        self.folder = folder / "engine"
        self.address = address
        self.dim = dim
        self.fingerprint = fingerprint
        self.name = name
        self._snapshot: Snapshot | None = None
        self._main = self._build(address)
        self._tail: Engine | None = None
        self._covered: dict[int, int] = {}
        self.state = "ready"
        """``ready``, or why the exact scan answers instead of the engine's saved index."""
        self._ask_at = math.inf  # when to ask again an engine that is away
        self._aside: EngineAway | None = None
        self._asking = threading.Lock()
        self._back = False

    def _build(self, address: str) -> Engine:
        engine = cast(Engine, ENGINES.build(address, dim=self.dim))
        if isinstance(engine, Elsewhere) and self.name:
            engine.settle(self.folder / _TABLE, f"nearsight_{self.name}")
        return engine

    def _renew(self) -> None:
        self.close()
        self._main = self._build(self.address)

    def close(self) -> None:
        """Let go of what the engine holds open elsewhere."""
        if isinstance(self._main, Elsewhere):
            self._main.close()

    # an engine that stands elsewhere

    def set_aside(self, error: EngineAway) -> None:
        """It did not do what it was asked: search exactly, without it, for a while. Called by one thread alone."""
        if self._aside is None:
            self._aside, self._snapshot = error, None
        self._ask_at, self.state = time.monotonic() + _PAUSE, error.message

    def ask_again(self) -> None:
        """Where it was away for long enough: whether it is back. One thread asks, and the others go on meanwhile."""
        if time.monotonic() < self._ask_at or not self._asking.acquire(blocking=False):
            return
        try:
            engine = self._build(self.address)
            try:
                engine.load(self._saved())
                self._ask_at, self._back = math.inf, True
            except _UNFIT as error:
                self._ask_at, self.state = time.monotonic() + _PAUSE, getattr(error, "message", str(error))
            finally:
                cast(Elsewhere, engine).close()
        finally:
            self._asking.release()

    # keeping up

    def stands_at(self, snapshot: Snapshot) -> bool:
        """Whether `search` finds nothing to follow: then any number of threads may search at once."""
        return self._snapshot is snapshot and not self._back

    def follow(self, snapshot: Snapshot) -> bool:
        """Bring the engines to `snapshot`: new rows are added, dead ones removed, moved ones start afresh.

        False where they are further already, and stay there. Called by one thread alone.
        """
        if self._back:
            self._back, self._aside, self._snapshot = False, None, None
        return self._follow(snapshot)

    def _follow(self, snapshot: Snapshot) -> bool:
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
        self._renew()
        self._tail, self._covered, self.state = None, {}, "ready"
        if self._main.derived:
            try:
                if self._aside is not None:
                    raise self._aside
                self._covered = self._load(snapshot)
            except _UNFIT as error:
                self._renew()
                unbuilt = isinstance(error, NotACollection)
                self.state = "its index was not built yet" if unbuilt else getattr(error, "message", str(error))
                if isinstance(self._main, Elsewhere):
                    self._ask_at = time.monotonic() + _PAUSE
            self._tail = self._build("exact")
        for keys, rows in living_runs(snapshot, self._covered):
            (self._tail if self._tail is not None else self._main).add(keys, rows)

    # the saved index

    def save(self, snapshot: Snapshot) -> bool:
        """Bring the saved index up to `snapshot`; True where there was something to do. Called by the writer.

        An engine that is away is told the next time: False then, and `state` says why.
        """
        try:
            return self._save(snapshot)
        except EngineAway as error:
            self.set_aside(error)
            if error.code != "engine/count" or not (self.folder / _STAMP).exists():
                return False
            self.forget()  # the receipt led astray: without it, the table is compared row by row
            return self.save(snapshot)
        except BaseException:
            self._snapshot = None  # engines half moved over lack items or know them twice: the next look starts afresh
            raise

    def _save(self, snapshot: Snapshot) -> bool:
        self.follow(snapshot)
        if self._tail is None or not self._has_news(snapshot, self._tail):
            return False
        if len(self._tail) * 2 > len(self._main):  # mostly new: train on all of it
            self._renew()
            self._covered = {}
        keys = np.concatenate([np.empty(0, np.int64), *(k for k, _ in living_runs(snapshot, self._covered))])
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
            if path.name not in (target.name, _STAMP, _TABLE):
                disk.remove(path)
        self._tail, self.state, self._aside, self._ask_at = self._build("exact"), "ready", None, math.inf
        return True

    def _has_news(self, snapshot: Snapshot, tail: Engine) -> bool:
        """Deletions alone are worked out when an index is loaded; a database keeps what it is not told to drop."""
        if isinstance(self._main, Elsewhere):
            return len(tail) > 0 or self.state != "ready" or self._main.owes
        return len(snapshot) > 0 and (len(tail) > 0 or self.state != "ready")

    def forget(self, *, drop: bool = False) -> None:
        """Remove the saved index: the next search scans exactly, the next sync builds it again. `drop`: for good, a
        database's table, too, unless it is away."""
        if isinstance(self._main, Elsewhere) and drop:
            with contextlib.suppress(EngineAway):
                self._main.drop()
            self._main.close()
            shutil.rmtree(self.folder / _TABLE, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if path.name != _TABLE:
                    disk.remove(path)
        self._snapshot = None

    def verify(self) -> None:
        """Raise Damaged, FormatError or NotACollection where the saved index is not what was written; EngineError where
        a database is away, or does not hold what it was told."""
        path = self._saved()
        if isinstance(self._main, Elsewhere):
            try:
                self._main.load(path)
            finally:
                self.close()

    def _saved(self) -> Path:
        """The saved index, checked."""
        stamp = read_manifest(self.folder / _STAMP, _FORMAT, 1)["meta"]
        path = self.folder / str(stamp["file"])
        if not path.is_file() or _file_sum(path) != stamp["crc"]:
            raise Damaged(f"{path} is not the index that was written", hint="it is rebuilt by the next sync")
        return path

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
        path = self._saved()
        if NO_KEY in snapshot.keys[~snapshot.alive]:
            raise Damaged("dead rows have lost their keys, so the saved index cannot be told to forget them")
        self._main.load(path)
        self._main.remove(_dead_keys(snapshot, covered))
        if len(self._main) != int(snapshot.alive[_inside(snapshot, covered)].sum()):
            raise FormatError("the saved index lacks items, or knows others")
        return covered

    # searching

    def search(self, snapshot: Snapshot, queries: Vectors, k: int, among: Keys | None = None) -> Hits:
        """(q, dim) unit queries -> Hits (q, k) with true cosines, ties by smaller key.

        Exactly min(k, living items, living `among`) places are filled. Raises QueryError for k < 1, and EngineAway:
        `set_aside` then, `follow`, and search again.
        """
        if k < 1:
            raise QueryError(f"k must be at least 1, not {k}")
        self._follow(snapshot)
        allowed = len(snapshot) if among is None else int((snapshot.rows_of(np.unique(among)) >= 0).sum())
        wanted = min(k, allowed)
        if wanted == 0 or not len(queries):
            return _nothing(len(queries), k)
        if self._tail is None and self._main.exact:  # ranks by the same float64 cosines as `_score`
            return self._main.search(queries, wanted, among=among).first(k)
        candidates = self._candidates(queries, min(int(wanted * self._main.oversample) + _SPARE, allowed), among)
        return self._score(snapshot, queries, candidates, wanted).first(k)

    def _candidates(self, queries: Vectors, fetch: int, among: Keys | None) -> Keys:
        """(q, m) keys, each once a query; all of `among` where it is small, or where a database finds too few of it."""
        everything = None
        if among is not None and isinstance(self._main, Elsewhere):
            distinct = np.unique(among)
            everything = np.broadcast_to(distinct, (len(queries), len(distinct)))
            if len(distinct) <= _FEW:
                return everything
        try:
            found = [
                e.search(queries, fetch, among=among) for e in (self._main, self._tail) if e is not None and len(e)
            ]
        except EngineAway as error:
            if everything is None or error.code != "engine/partial":
                raise
            return everything
        return np.concatenate([hits.keys for hits in found], axis=1)

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
