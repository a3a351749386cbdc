"""A database in this process that can be down, forgetful and incomplete, behind the engine `memory`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np

from nearsight.core.arrays import NO_KEY
from nearsight.core.errors import EngineAway
from nearsight.search.engines._remote import OPEN, Remote

TABLES: dict[str, dict[int, tuple[int, np.ndarray]]] = {}
"""Table -> key -> sum and vector: what a server keeps whatever becomes of its clients."""


class Memory:
    """What is wrong with the database, and what was asked of it."""

    down = False
    lacks = 0
    """How many of the best it leaves out of its answers."""
    twice = False
    """Whether it finds each row twice."""
    breaks_after = -1
    """Writes until it goes down in the middle of one."""
    writes = searches = 0
    connected: ClassVar[set[Table]] = set()


class Table:
    most = 1000

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def settle(self, folder: Path | None, name: str) -> None:
        self.name = name

    def _rows(self) -> dict[int, tuple[int, np.ndarray]]:
        if Memory.down:
            raise EngineAway("the memory is down")
        Memory.connected.add(self)
        return TABLES.setdefault(self.name, {})

    def make(self) -> None:
        self._rows()

    def finish(self) -> None:
        self._rows()

    def write(self, keys, sums, vectors) -> None:
        rows = self._rows()
        for key, total, vector in zip(keys.tolist(), sums.tolist(), vectors, strict=True):
            if Memory.breaks_after == Memory.writes:
                Memory.down = True
                raise EngineAway("the memory went down")
            Memory.writes += key != NO_KEY
            rows[key] = total, np.array(vector, np.float32)

    def erase(self, keys) -> None:
        for key in keys.tolist():
            self._rows().pop(key, None)

    def listing(self):
        rows = self._rows()
        return np.array([*rows], np.int64), np.array([total for total, _ in rows.values()], np.int64)

    def state(self):
        rows = self._rows()
        return len(rows), rows[NO_KEY][0] if NO_KEY in rows else OPEN

    def nearest(self, queries, k, among):
        rows = {key: row for key, row in self._rows().items() if among is None or key in among}
        Memory.searches += 1
        keys, scores = np.full((len(queries), k), NO_KEY), np.full((len(queries), k), -np.inf, np.float32)
        known = np.array([*rows], np.int64)
        for i, query in enumerate(queries):
            found = np.array([vector @ query for _, vector in rows.values()], np.float32)
            best = np.repeat(np.argsort(-found, kind="stable")[Memory.lacks :], 1 + Memory.twice)[:k]
            keys[i, : len(best)], scores[i, : len(best)] = known[best], found[best]
        return keys, scores

    def drop(self) -> None:
        self._rows()
        del TABLES[self.name]

    def close(self) -> None:
        Memory.connected.discard(self)


def build(*, dim: int) -> Remote:
    return Remote("memory", dim, Table(dim))


MODULE = SimpleNamespace(build=build)
