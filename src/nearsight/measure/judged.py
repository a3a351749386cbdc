"""A ranking after it was judged: where relevant items stand, in expectation over the orders of tied items.

All metrics are sums over *places where a relevant item may stand*. Without ties these are the places of the relevant
items. Within a run of t equal scores that begins behind c items, s of them relevant, and holds r relevant ones, every
order is equally likely, and for the run's m-th place (c + m overall):

* a relevant item stands there with probability r/t (``gain``);
* given that, s + 1 + (m-1)(r-1)/(t-1) relevant items are expected up to and including it (``found``);
* the first relevant item of the ranking stands there with probability prod_{j<m-1} (t-r-j)/(t-j) * r/(t-m+1) where
  s = 0 (``first``).

These are the closed forms of McSherry and Najork, "Computing Information Retrieval Performance Measures Efficiently in
the Presence of Tied Scores" (ECIR 2008). A random ranking is one run over the whole gallery, which gives chance floors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Hits
from nearsight.core.errors import MeasureError
from nearsight.core.relevance import Relevance

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """q queries' rankings, as the m places where a relevant item may stand, ordered by query and place.

    counts  (q,) R, relevant items in the gallery
    sizes   (q,) N, items ranked
    row     (m,) query
    place   (m,) from 1
    gain    (m,) probability that a relevant item stands here
    found   (m,) relevant items up to and including this place, expected where one stands here
    first   (m,) probability that the first relevant item of the ranking stands here
    """

    counts: Ints
    sizes: Ints
    row: Ints
    place: Ints
    gain: Floats
    found: Floats
    first: Floats

    def total(self, values: Floats) -> Floats:
        """(m,) values of places -> (q,) their sums by query."""
        return np.bincount(self.row, weights=values, minlength=len(self.counts)).astype(np.float64, copy=False)

    def within(self, depth: int | Ints) -> NDArray[np.bool_]:
        """(m,) whether a place is among the first `depth`: one depth, or (q,) one a query."""
        if isinstance(depth, int):
            return self.place <= depth
        return self.place <= depth[self.row]

    @classmethod
    def random(cls, counts: Ints, sizes: Ints) -> Judged:
        """Random rankings: R of N items are relevant and all orders are equally likely. (q,) and (q,)."""
        return _expand(
            counts, sizes, np.arange(len(counts)), np.zeros_like(counts), sizes, counts, np.zeros_like(counts)
        )


def judge(hits: Hits, relevance: Relevance) -> Judged:
    """Hits (q, k) held against a relevance of q queries.

    Raises MeasureError (code ``measure/own``) where a query's own item, or junk, still stands in its ranking, and
    ``measure/hits`` where an item stands there twice or the numbers of queries differ.
    """
    if len(hits.keys) != len(relevance):
        raise MeasureError(f"hits of {len(hits.keys)} queries, relevance of {len(relevance)}", code="measure/hits")
    if relevance.removed().contains(hits.keys).any():
        raise MeasureError(
            "a query's own item (or junk) stands in its ranking",
            code="measure/own",
            hint="relevance.strip(hits) removes it by identity",
        )
    right = relevance.relevant(hits.keys)
    counts, sizes = relevance.counts, relevance.sizes
    if bool(np.any(right.sum(axis=1) > counts)):
        raise MeasureError("an item stands twice in a ranking", code="measure/hits")
    equal = hits.scores[:, 1:] == hits.scores[:, :-1]
    # Only a tie between a relevant and an irrelevant item leaves anything open.
    mixed = np.any(equal & (right[:, 1:] != right[:, :-1]), axis=1)
    if not mixed.any():
        return _certain(counts, sizes, right)
    new = np.ones(right.shape, dtype=np.bool_)
    new[:, 1:] = ~equal | ~mixed[:, None]  # rows without an open tie: every place is a run of its own
    run = np.cumsum(new.ravel()) - 1
    begins = np.flatnonzero(new.ravel())
    row, before = np.divmod(begins, hits.k)
    tied = np.bincount(run)
    relevant = np.bincount(run, weights=right.ravel()).astype(np.int64)
    until = np.append(0, np.cumsum(relevant))[:-1]
    seen = until - until[np.searchsorted(row, row)]  # relevant items of the same query in earlier runs
    some = relevant > 0
    return _expand(counts, sizes, row[some], before[some], tied[some], relevant[some], seen[some])


def _certain(counts: Ints, sizes: Ints, right: NDArray[np.bool_]) -> Judged:
    """No open ties: the places of the relevant items."""
    row, column = np.nonzero(right)
    number = np.arange(len(row)) - np.searchsorted(row, row) + 1
    return Judged(
        counts, sizes, row, column + 1, np.ones(len(row)), number.astype(np.float64), (number == 1).astype(np.float64)
    )


def _expand(counts: Ints, sizes: Ints, row: Ints, before: Ints, tied: Ints, relevant: Ints, seen: Ints) -> Judged:
    """Runs, in the order of the ranking (query, items before, t, r, relevant items before), -> their places."""
    begin = np.cumsum(tied) - tied
    inside = np.arange(int(tied.sum())) - np.repeat(begin, tied)  # m - 1
    t, r = np.repeat(tied, tied), np.repeat(relevant, tied)
    gain = r / t
    found = np.repeat(seen, tied) + 1 + inside * (r - 1) / np.maximum(t - 1, 1)
    first = np.zeros(len(inside))
    leading = (seen == 0) & (relevant > 0)
    sure = leading & (relevant == tied)
    first[begin[sure]] = 1.0
    for at in np.flatnonzero(leading & ~sure):
        n, m = int(tied[at]), int(relevant[at])
        left = n - np.arange(n)
        unseen = np.cumprod(np.maximum(left - m, 0) / left)
        first[begin[at] : begin[at] + n] = np.append(1.0, unseen[:-1]) * np.minimum(m / left, 1.0)
    place = np.repeat(before, tied) + inside + 1
    return Judged(counts, sizes, np.repeat(row, tied), place, gain, found, first)
