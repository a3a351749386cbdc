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
from collections.abc import Generator
from pathlib import Path
from typing import cast

import numpy as np

from nearsight.core.arrays import NO_KEY, Hits, Keys, Vectors, ranked
from nearsight.core.errors import Damaged, EngineAway, EngineError, FormatError, NotACollection, QueryError
from nearsight.core.events import Step
from nearsight.search.building import grow, learn, outgrown
from nearsight.search.engines import ENGINES, Elsewhere, Engine
from nearsight.search.saved import TABLE, Covered, SavedIndex, beyond, extent, living_runs
from nearsight.search.store.snapshot import Snapshot

_SPARE = 16
"""Fetched beyond k, whatever the engine asks for: its scores are rounded, and a near-tie may cross the cut."""
_GATHER = 64 << 20
"""Bytes of vectors gathered at once when scoring again."""
_LONG = 20_000
"""Rows looked at exactly beside an index, from which on a newer one is worth loading."""
_PAUSE = 30.0
"""Seconds after which an engine that was away is asked again."""
_FEW = 4096
"""Rows that are sooner looked at than a database is asked about them."""
_NARROW = 10_000
"""Rows that are sooner looked at than an index is searched for them: it would meet few of them, and miss some."""
_UNFIT = (NotACollection, Damaged, FormatError, EngineError, OSError)  # OSError: a writer may just replace it


class Searcher:
    """Searches one collection's snapshots through one engine. `name`: the collection's id, by which a database knows
    its table."""

    def __init__(self, folder: Path, address: str, dim: int, fingerprint: str, name: str = "") -> None:
        self.address = address
        self.dim = dim
        self.name = name
        self._saved = SavedIndex(folder / "engine", address, dim, fingerprint)
        self._snapshot: Snapshot | None = None
        self._main = self._build(address)
        self._tail: Engine | None = None
        self._covered: Covered = {}
        self._built: tuple[Engine, Snapshot, Covered] | None = None
        self._seen = (0, 0, 0)  # which saved index was looked at last, and when
        self.state = "ready"
        """``ready``, or why the exact scan answers instead of the engine's saved index."""
        self._ask_at = math.inf  # when to ask again an engine that is away
        self._aside: EngineAway | None = None
        self._asking = threading.Lock()
        self._back = False

    def _build(self, address: str) -> Engine:
        engine = cast(Engine, ENGINES.build(address, dim=self.dim))
        if isinstance(engine, Elsewhere) and self.name:
            engine.settle(self._saved.folder / TABLE, f"nearsight_{self.name}")
        return engine

    def _afresh(self) -> None:
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
                engine.load(self._saved.path())
                self._ask_at, self._back = math.inf, True
            except _UNFIT as error:
                self._ask_at, self.state = time.monotonic() + _PAUSE, getattr(error, "message", str(error))
            finally:
                cast(Elsewhere, engine).close()
        finally:
            self._asking.release()

    # keeping up

    def renew(self, snapshot: Snapshot) -> None:
        """Where much is looked at exactly and somebody has saved an index since, load it: one thread does, and the
        others go on meanwhile."""
        tail = self._tail  # others may change it meanwhile
        if tail is None or len(tail) < _LONG or self.elsewhere:
            return
        there = (*self._saved.version(), snapshot.generation)  # one just saved may be of a generation not seen yet
        if there == self._seen or not self._asking.acquire(blocking=False):
            return
        try:
            engine, self._seen = self._build(self.address), there
            with contextlib.suppress(*_UNFIT):
                covered = self._saved.covered(snapshot)
                if beyond(snapshot, covered) < len(tail):
                    self._built = engine, snapshot, self._saved.load(engine, snapshot)
        finally:
            self._asking.release()

    def stands_at(self, snapshot: Snapshot) -> bool:
        """Whether `search` finds nothing to follow: then any number of threads may search at once."""
        return self._snapshot is snapshot and not self._back and self._built is None

    def follow(self, snapshot: Snapshot) -> bool:
        """Bring the engines to `snapshot`: new rows are added, dead ones removed, moved ones start afresh.

        False where they are further already, and stay there. Called by one thread alone.
        """
        if self._back:
            self._back, self._aside, self._snapshot = False, None, None
        self.take_over()
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
            for keys, rows in living_runs(snapshot, extent(before)):
                fresh.add(keys, rows)
            lost = before.keys[before.alive & ~snapshot.alive[: before.alive.size]]
            if fresh is not self._main:
                self._main.remove(lost)
            fresh.remove(lost[snapshot.rows_of(lost) < 0])  # the others live on in a row just added
        self._snapshot = snapshot
        return True

    def _start(self, snapshot: Snapshot) -> None:
        self._afresh()
        self._tail, self._covered, self.state = None, {}, "ready"
        if self._main.derived:
            try:
                if self._aside is not None:
                    raise self._aside
                self._covered = self._saved.load(self._main, snapshot)
            except _UNFIT as error:
                self._afresh()
                unbuilt = isinstance(error, NotACollection)
                self.state = "its index was not built yet" if unbuilt else getattr(error, "message", str(error))
                if isinstance(self._main, Elsewhere):
                    self._ask_at = time.monotonic() + _PAUSE
            self._tail = self._build("exact")
        for keys, rows in living_runs(snapshot, self._covered):
            (self._tail if self._tail is not None else self._main).add(keys, rows)

    # the saved index

    def build(self, snapshot: Snapshot) -> Generator[Step, None, bool]:
        """Bring the saved index up to `snapshot` with an engine of its own: others may search meanwhile. Returns True
        where there was something to do; `take_over` then lets it search. Called by the writer, for an engine here.

        Closed early, it keeps what it has got; the next build goes on from there.
        """
        if not self._main.derived or not len(snapshot):
            return False
        engine = self._build(self.address)
        covered: Covered = {}
        with contextlib.suppress(*_UNFIT):
            covered = self._saved.covered(snapshot)
            self._saved.path()
            if not beyond(snapshot, covered):
                return False
            covered = self._saved.load(engine, snapshot)
        if outgrown(engine, snapshot):
            engine = self._build(self.address)
        if not len(engine):
            covered = {}
            learn(engine, snapshot)
        covered = yield from grow(engine, snapshot, covered, lambda so_far: self._saved.write(engine, snapshot, so_far))
        self._saved.write(engine, snapshot, covered)
        self._built = engine, snapshot, covered
        return True

    def unindexed(self, snapshot: Snapshot) -> int:
        """How many living items the saved index lacks; 0 for an engine without one, or one that stands elsewhere."""
        if not self._main.derived or self.elsewhere:
            return 0
        covered: Covered = {}
        with contextlib.suppress(*_UNFIT):
            covered = self._saved.covered(snapshot)
        return beyond(snapshot, covered)

    def take_over(self) -> None:
        """Search with what `build` or `renew` has made. Called by one thread alone."""
        if self._built is not None:
            self._main, self._snapshot, self._covered = self._built
            self._tail, self.state, self._built = self._build("exact"), "ready", None

    def tell(self, snapshot: Snapshot) -> Generator[Step, None, bool]:
        """The same for an engine that stands elsewhere, which has one table for all. Called by one thread alone.

        One that is away is told the next time: False then, and `state` says why.
        """
        try:
            return (yield from self._tell(snapshot))
        except EngineAway as error:
            self.set_aside(error)
            if error.code != "engine/count" or not self._saved.exists():
                return False
        except BaseException:
            self._snapshot = None  # engines half moved over lack items or know them twice: the next look starts afresh
            raise
        self._saved.forget()  # the receipt led astray: without it, the table is compared row by row
        self._snapshot = None
        return (yield from self.tell(snapshot))

    def _tell(self, snapshot: Snapshot) -> Generator[Step, None, bool]:
        self.follow(snapshot)
        main = cast(Elsewhere, self._main)
        if self._tail is None or not (len(self._tail) or self.state != "ready" or main.owes):
            return False  # what was only deleted here is told, too: a database keeps what it is not told to drop
        self._covered = yield from grow(main, snapshot, self._covered, lambda so_far: None)
        self._saved.write(main, snapshot, self._covered)
        self._tail, self.state, self._aside, self._ask_at = self._build("exact"), "ready", None, math.inf
        return True

    @property
    def elsewhere(self) -> bool:
        """Whether the engine is a database that others use too."""
        return isinstance(self._main, Elsewhere)

    def forget(self, *, drop: bool = False) -> None:
        """Remove the saved index: the next search scans exactly, the next sync builds it again. `drop`: for good, a
        database's table, too, unless it is away."""
        if isinstance(self._main, Elsewhere) and drop:
            with contextlib.suppress(EngineAway):
                self._main.drop()
            self._main.close()
            shutil.rmtree(self._saved.folder / TABLE, ignore_errors=True)
        self._saved.forget()
        self._snapshot = None

    def verify(self) -> None:
        """Raise Damaged, FormatError or NotACollection where the saved index is not what was written; EngineError where
        a database is away, or does not hold what it was told."""
        path = self._saved.path()
        if isinstance(self._main, Elsewhere):
            try:
                self._main.load(path)
            finally:
                self.close()

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
        if among is not None:
            distinct = np.unique(among)
            everything = np.broadcast_to(distinct, (len(queries), len(distinct)))
            if len(distinct) <= (_FEW if self.elsewhere else _NARROW):
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


def _nothing(q: int, k: int) -> Hits:
    return Hits(np.full((q, k), NO_KEY, dtype=np.int64), np.full((q, k), -np.inf, dtype=np.float32))
