"""Which answers a query gets: the best, those that score enough, and nearly the same ones as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Vectors
from nearsight.search.query import Query

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

_MORE = 4
"""Times as many candidates in each further look for k that differ."""
_ROUNDING = 1e-6
"""Two copies of one vector may have a cosine of 0.9999999 in float32."""


def ranking(collection: Collection, vector: Vectors, query: Query, k: int) -> list[tuple[int, float, tuple[int, ...]]]:
    """The k best answers to a query, whose vector (dim,) is given: (key, score, keys that are folded under it).

    With `fold`, answers are gone through from the best, until k differ and another one that differs would come next:
    what is folded does not depend on how many were looked at. Raises QueryError for k < 1, Damaged.
    """
    fetch, limit = k if query.fold is None or k < 1 else k + 1, max(1, len(collection))
    while True:
        fetch = min(fetch, limit)
        hits = collection.search_vectors(vector[None], fetch, where=query.where)
        enough = hits.scores[0] >= (-np.inf if query.min_score is None else query.min_score)
        keys, scores = (found[0][enough & (hits.keys[0] != NO_KEY)] for found in (hits.keys, hits.scores))
        if query.fold is None:
            return [(key, score, ()) for key, score in zip(keys.tolist(), scores.tolist(), strict=True)]
        snapshot = collection.store.verified()
        rows = snapshot.rows_of(keys)
        keys, scores, rows = keys[rows >= 0], scores[rows >= 0], rows[rows >= 0]  # a writer may just have deleted some
        groups = folded(snapshot.vectors(rows), query.fold, k + 1)
        if len(groups) > k or len(keys) < fetch or fetch == limit:
            return [(int(keys[g[0]]), float(scores[g[0]]), tuple(keys[g[1:]].tolist())) for g in groups[:k]]
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
