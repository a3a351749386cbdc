"""Threads look through one engine at once, each at the newest generation; what an engine that is away cannot answer is
answered without it."""

from __future__ import annotations

from collections.abc import Generator

from nearsight.core.arrays import Hits, Keys, Vectors
from nearsight.core.errors import EngineAway
from nearsight.core.events import Step
from nearsight.search.candidates import Searcher
from nearsight.search.store.snapshot import Snapshot
from nearsight.search.store.store import Store
from nearsight.search.turns import Turns


class Looks:
    """One collection's store and searcher, for many threads."""

    def __init__(self, store: Store, searcher: Searcher) -> None:
        self._store = store
        self._searcher = searcher
        self._turns = Turns()

    def search(self, queries: Vectors, k: int, among: Keys | None) -> tuple[Hits, Snapshot]:
        """(q, dim) unit queries -> Hits (q, k), no wider than there are items, and the snapshot they are from."""
        self._searcher.ask_again()
        away: EngineAway | None = None
        while True:
            snapshot = self._store.verified()
            with self._turns.shared():
                if self._searcher.stands_at(snapshot):
                    most = min(k, max(1, len(snapshot)))
                    try:
                        return self._searcher.search(snapshot, queries, most, among), snapshot
                    except EngineAway as error:
                        away = error
            with self._turns.alone():
                if away is not None:
                    self._searcher.set_aside(away)
                    away = None
                self._searcher.follow(snapshot)

    def build(self) -> Generator[Step, None, bool]:
        """Bring the engine's saved index up to date, its progress as events; True where there was something to do.

        Searches go on meanwhile, but for those through an engine that stands elsewhere: they wait. Closed early, it
        keeps what it has got.
        """
        if not self._searcher.elsewhere:
            built = yield from self._searcher.build(self._store.verified())
            if built:
                with self._turns.alone():
                    self._searcher.take_over()
            return built
        while True:
            snapshot = self._store.verified()
            with self._turns.alone():
                if self._searcher.follow(snapshot):
                    return (yield from self._searcher.tell(snapshot))
