"""One search from the query to items, all of it of one generation: nobody gets a label from after a change beside a
score from before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearsight.core.arrays import Hits, Keys
from nearsight.core.errors import QueryError
from nearsight.core.items import Match
from nearsight.search.aim import Aim
from nearsight.search.folding import ranking
from nearsight.search.listing import at_once
from nearsight.search.query import Query
from nearsight.search.store.snapshot import Snapshot

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

_LOOKS = 4
"""Times that a writer may commit in the middle of a search before it has to wait for the next one."""


@dataclass(frozen=True, slots=True)
class Found:
    """Matches, best first, and the generation of the collection that they are from."""

    matches: tuple[Match, ...]
    generation: int


class _Moved(Exception):
    """A writer committed between two looks."""


def find(collection: Collection, query: Query, aim: Aim, k: int, offset: int) -> Found:
    """The k best answers to a query that looks for `aim`, behind the first `offset`. Raises as `Collection.search`."""
    if k < 1:
        raise QueryError(f"k must be at least 1, not {k}")
    if offset < 0:
        raise QueryError(f"offset must be at least 0, not {offset}")
    if query.verdict is not None:
        query = aim.bars.required(query)
    for _ in range(_LOOKS):
        try:
            return _look(collection, aim, query, k, offset)
        except _Moved:
            continue
    with collection.store.still():
        return _look(collection, aim, query, k, offset, alone=True)


def _look(collection: Collection, aim: Aim, query: Query, k: int, offset: int, *, alone: bool = False) -> Found:
    """`alone`: not together with other threads, who could wait for what this one holds. Raises _Moved."""
    generation: int | None = None
    among: Keys | None = None
    if query.where.conditions:
        among, generation = collection.admitted(query.where)

    def candidates(fetch: int) -> tuple[Hits, Snapshot]:
        nonlocal generation
        hits, snapshot = collection.candidates(aim.vector, fetch, among, alone=alone)
        if generation is not None and snapshot.generation != generation:
            raise _Moved
        generation = snapshot.generation
        return hits, snapshot

    best, generation = ranking(candidates, query, offset + k)
    best = best[offset:]
    items, now = at_once(collection.store, [key for key, _, _ in best])
    if now != generation:
        raise _Moved
    matches = [
        Match(items[key], score, rank, under, aim.bars.verdict(score))
        for rank, (key, score, under) in enumerate(best, start=offset + 1)
    ]
    return Found(tuple(matches), generation)
