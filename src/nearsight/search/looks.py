"""Threads look through one engine at once, each at the newest generation; what an engine that is away cannot answer is
answered without it. Which engine that is may be left to a budget of memory."""

from __future__ import annotations

from collections.abc import Generator

from nearsight.core.arrays import Hits, Keys, Vectors
from nearsight.core.errors import EngineAway
from nearsight.core.events import Step
from nearsight.search.budget import Choice, choose
from nearsight.search.candidates import Searcher
from nearsight.search.store.snapshot import Snapshot
from nearsight.search.store.store import Store
from nearsight.search.turns import Turns


class Looks:
    """One collection's store and its searcher, for many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.searcher = self._searcher(store.manifest["engine"])
        self._turns = Turns()

    def _searcher(self, address: str) -> Searcher:
        known = self._store.manifest
        return Searcher(self._store.folder, address, known["dim"], known["fingerprint"], known["id"])

    def search(self, queries: Vectors, k: int, among: Keys | None) -> tuple[Hits, Snapshot]:
        """(q, dim) unit queries -> Hits (q, k), no wider than there are items, and the snapshot they are from."""
        self.searcher.ask_again()
        away: EngineAway | None = None
        while True:
            snapshot = self._store.verified()
            self.searcher.renew(snapshot)
            with self._turns.shared():
                if self.searcher.stands_at(snapshot):
                    most = min(k, max(1, len(snapshot)))
                    try:
                        return self.searcher.search(snapshot, queries, most, among), snapshot
                    except EngineAway as error:
                        away = error
            with self._turns.alone():
                if away is not None:
                    self.searcher.set_aside(away)
                    away = None
                self.searcher.follow(snapshot)

    def change(self, address: str, memory: int | None = None) -> None:
        """Search with another engine, and remember the budget that chose it. Raises as `Collection.change_engine`."""
        known = self._store.manifest
        if (address, memory) == (known["engine"], known.get("memory")):
            return
        fresh = self._searcher(address)
        self._store.describe(engine=address, memory=memory)
        if address == self.searcher.address:
            return
        with self._turns.alone():
            self.searcher.forget(drop=True)
            self.searcher = fresh

    def allow(self, memory: int) -> None:
        """From the next build on, whichever engine suits so many bytes."""
        self._store.describe(memory=memory)

    @property
    def choice(self) -> Choice | None:
        """The engine that suits the budget and what there is now; None without a budget."""
        memory, shape = self._store.manifest.get("memory"), self._store.shape
        if memory is None:
            return None
        return choose(len(self._store.snapshot()), shape.dim, shape.dtype.itemsize, memory)

    @property
    def unindexed(self) -> int:
        """How many living items a search looks at beside what the engine has saved, or would, with the engine that the
        budget asks for; 0 for an engine that stands elsewhere."""
        choice, snapshot = self.choice, self._store.snapshot()
        if choice is not None and choice.engine != self.searcher.address:
            return len(snapshot)
        return self.searcher.unindexed(snapshot)

    def build(self) -> Generator[Step, None, bool]:
        """Bring the engine's saved index up to date, its progress as events; True where there was something to do.

        Searches go on meanwhile, but for those through an engine that stands elsewhere: they wait. Closed early, it
        keeps what it has got.
        """
        choice = self.choice
        if choice is not None and choice.engine != self.searcher.address:
            self.change(choice.engine, self._store.manifest["memory"])
        if not self.searcher.elsewhere:
            built = yield from self.searcher.build(self._store.verified())
            if built:
                with self._turns.alone():
                    self.searcher.take_over()
            return built
        while True:
            snapshot = self._store.verified()
            with self._turns.alone():
                if self.searcher.follow(snapshot):
                    return (yield from self.searcher.tell(snapshot))
