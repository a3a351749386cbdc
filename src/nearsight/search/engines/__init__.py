"""Engines propose candidates; the collection scores them again exactly.

To add one, write ``engines/NAME.py`` with a docstring and ``build(variant=None, *, dim: int, option=default, ...) ->
Engine`` (`dim` is given by the collection). tests/contracts/test_engines.py finds it and judges it by brute force.
One that keeps its vectors in a database is `Elsewhere`; ``_remote.py`` makes it out of a table with six calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from nearsight.core.arrays import Hits, Keys, Vectors
from nearsight.core.registry import Catalogue

ENGINES = Catalogue("nearsight.search.engines", "engine")


class Engine(Protocol):
    """Vectors by key, searched by inner product (cosine: all vectors are unit). Any int64 is a key but -1.

    Every engine replaces known keys on `add`, forgets on `remove`, and restricts to `among`, whatever its index can do
    by itself (tombstones and over-fetching where it cannot). Not thread-safe for writing; many threads may search.
    """

    address: str
    """The component address that builds it again."""
    exact: bool
    """True where the best k are always found."""
    oversample: float
    """How many times k the collection should fetch before exact re-scoring (1.0 where scores are already exact)."""
    derived: bool
    """True where `save` writes something worth keeping; False where it only looks at the vectors it was given."""

    def __len__(self) -> int:
        """Living keys."""
        ...

    def add(self, keys: Keys, vectors: Vectors) -> None:
        """Add (n,) keys with (n, dim) float32 or float16 rows; a known key is replaced, and of a key that comes twice
        the last row lives. An engine that learns and was not told to does so by itself, once it has enough vectors.

        An engine with ``derived = False`` may keep a reference to `vectors` (a memory map): they never change. Large
        arrays stay where they are; those below some thousands of rows may be joined by copying. Raises EngineError
        (code ``engine/rows``) for other shapes or types, or the key -1, and then has added nothing.
        """
        ...

    def remove(self, keys: Keys) -> int:
        """Forget keys; unknown ones are ignored. Returns how many were known."""
        ...

    def search(self, queries: Vectors, k: int, *, among: Keys | None = None) -> Hits:
        """(q, dim) -> Hits (q, k). With `among`, only those keys are found (unknown ones ignored; empty: nothing).

        Each query gets min(k, living keys allowed) hits, from an approximate engine too. Ties: smaller key first where
        the engine sees the tie; an exact engine sees every tie of scores in float64 rounded to float32, and ranks the
        same for every batch size. Raises EngineError (code ``engine/query``) for k < 1 or queries of another dimension
        or not finite.
        """
        ...

    def save(self, path: Path) -> None:
        """Write one file at `path` (the caller fsyncs, checksums and renames it).

        Raises EngineError (code ``engine/file``) where `derived` is False.
        """
        ...

    def load(self, path: Path) -> None:
        """Take back what `save` wrote, on an engine just built with the same address and dim.

        Raises EngineError (code ``engine/file``) for anything else, and is then as it was.
        """
        ...


@runtime_checkable
class Learns(Engine, Protocol):
    """An engine that suits the vectors it holds by what it learned from some of them."""

    def expect(self, n: int) -> int:
        """Say that about n vectors are to be held. Returns how many of them it should learn from, drawn fairly, before
        they are added; 0 where that changes nothing, or where what was learned suits n well enough."""
        ...

    def learn(self, vectors: Vectors) -> None:
        """Learn from (m, dim) float32 rows, and hold none of them, on an engine that holds nothing."""
        ...


@runtime_checkable
class Elsewhere(Engine, Protocol):
    """An engine whose vectors lie in a database that other processes use too, and that may be away.

    The store stays the truth, and what it holds beyond what the engine was told is the outbox. `add` tells the database
    at once, by key, what it does not hold in just this form; `remove` hides keys here and owes their removal; `save`
    pays what is owed, compares counts, seals the table and writes the receipt that `load` takes back. While somebody
    writes, and after a kill, there is no seal: then nobody trusts the table, and the next `add` compares it row by row.

    Nothing is reached before the first call that needs it. All of them raise EngineAway.
    """

    @property
    def owes(self) -> bool:
        """Whether the database holds what was removed here, or is unsealed: `save` has something to do."""
        ...

    def settle(self, folder: Path, name: str) -> None:
        """Say whose table it is: `name` (letters, digits, _); `folder` is for a database that is files. Without it, the
        engine has a table of its own for as long as it lives."""
        ...

    def close(self) -> None:
        """Let go of connections; of a table that was never settled, too. Harmless when repeated."""
        ...

    def drop(self) -> None:
        """Remove the table, with everything in it."""
        ...


@contextmanager
def passing(address: str, dim: int) -> Iterator[Engine]:
    """The engine of an address for as long as it is used: a database keeps nothing of it."""
    engine: Engine = ENGINES.build(address, dim=dim)
    try:
        yield engine
    finally:
        if isinstance(engine, Elsewhere):
            engine.close()
