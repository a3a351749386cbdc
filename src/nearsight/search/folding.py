"""Which answers a query gets: the best, those that score enough, and nearly the same ones as one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Hits, Vectors
from nearsight.search.query import Query
from nearsight.search.store.snapshot import Snapshot

_MORE = 4
"""Times as many candidates in each further look for k that differ."""
_ROUNDING = 1e-6
"""Two copies of one vector may have a cosine of 0.9999999 in float32."""


Look = Callable[[int], tuple[Hits, Snapshot]]
"""How many candidates -> Hits (1, k), no wider than there are items, and the snapshot they are from."""


def ranking(look: Look, query: Query, k: int) -> tuple[list[tuple[int, float, tuple[int, ...]]], int]:
    """The k best answers to a query: (key, score, keys that are folded under it), and their one generation.

    `look` finds candidates. What was judged away is no answer. With `fold`, answers are gone through from the best,
    until k differ and another one that differs would come next: what is folded does not depend on how many were looked
    at. Raises what `look` raises.
    """
    away = np.array(sorted(query.away), dtype=np.int64)
    fetch = (k if query.fold is None or k < 1 else k + 1) + len(away)
    while True:
        hits, snapshot = look(fetch)
        enough = hits.scores[0] >= (-np.inf if query.min_score is None else query.min_score)
        enough &= hits.keys[0] != NO_KEY
        ended = int(enough.sum()) < fetch
        if len(away):
            enough &= ~np.isin(hits.keys[0], away)
        keys, scores = hits.keys[0][enough], hits.scores[0][enough]
        if query.fold is None:
            best = zip(keys[:k].tolist(), scores[:k].tolist(), strict=True)
            return [(key, score, ()) for key, score in best], snapshot.generation
        groups = folded(snapshot.vectors(snapshot.rows_of(keys)), query.fold, k + 1)
        if len(groups) > k or ended:
            led = [(int(keys[g[0]]), float(scores[g[0]]), tuple(keys[g[1:]].tolist())) for g in groups[:k]]
            return led, snapshot.generation
        fetch *= _MORE


def folded(vectors: Vectors, fold: float, most: int) -> list[list[int]]:
    """Rows (n, d) of unit vectors, best first -> groups of their places, of which the first stands for the others.

    A row joins the first group whose leader it has at least the cosine `fold` to, or leads a group of its own. Ends
    at the group number `most`.
    """
    groups: list[list[int]] = []
    leaders: NDArray[np.float32] = np.empty((min(most, len(vectors)), vectors.shape[1]), dtype=np.float32)
    for place, row in enumerate(vectors):
        near = np.flatnonzero(leaders[: len(groups)] @ row >= fold - _ROUNDING)
        if near.size:
            groups[int(near[0])].append(place)
            continue
        leaders[len(groups)] = row
        groups.append([place])
        if len(groups) == most:
            break
    return groups
