"""Exact rankings by inner product, a block of queries at a time: never a queries x gallery matrix in memory.

The order is score, then smaller key. A gallery is put in the order of its keys first, so that shuffling it changes not
one bit; and gallery rows of equal content are scored once, because a BLAS kernel may give two equal columns different
last bits, which would break a true tie by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Hits, Keys, Scores, Vectors, ranked, require_unit
from nearsight.core.errors import MeasureError
from nearsight.core.relevance import KeyLists, require_keys

Correction = Callable[[Scores], Scores]
"""(b, n) scores of some queries -> (b, n) finite scores to rank by; each row is judged by itself."""

BLOCK = 1 << 25
"""Scores of one matrix product, 128 MB: a product of few queries spends its time on fetching the gallery."""
PIECE = 1 << 22
"""Scores looked at together: what is made of them takes up to 200 MB."""

_LOW = np.uint64(0xFFFFFFFF)
_SIGN = np.uint32(0x80000000)
_DEEP = 64
"""Columns in a group of `_reaching` at most: more would only make the groups that must be looked into larger."""
_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
"""No place: sorted behind all scores."""


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Vectors and keys in the order of the keys, made ready to be ranked. Made by ``Gallery.of``."""

    keys: Keys  # (n,) rising
    vectors: Vectors  # (n, d)
    twins: NDArray[np.int64]  # (t,) rows that repeat an earlier row
    models: NDArray[np.int64]  # (t,) the row that each repeats

    @classmethod
    def of(cls, keys: Keys, vectors: Vectors) -> Gallery:
        """(n,) keys and (n, d) unit vectors, in any order.

        Raises InputError for rows that are not unit vectors, DatasetError for repeated keys, MeasureError where the
        numbers of keys and vectors differ.
        """
        if vectors.ndim != 2 or len(keys) != len(vectors):
            raise MeasureError(f"{len(keys)} keys for vectors of shape {vectors.shape}", code="measure/shape")
        rising, order = require_keys(keys)
        if not np.array_equal(rising, keys):
            vectors = vectors[order]
        vectors = require_unit(vectors, vectors.shape[1])
        return cls(rising, vectors, *_twins(vectors))

    def score(self, queries: Vectors, out: Scores | None = None) -> Scores:
        """(q, d) -> (q, n) inner products, in `out` if given; equal rows of the gallery have exactly equal scores."""
        scores: Scores = np.matmul(queries, self.vectors.T, out=out)
        scores[:, self.twins] = scores[:, self.models]
        return scores

    def blocks(self, queries: Vectors, size: int = BLOCK) -> Iterator[tuple[slice, Scores]]:
        """Slices of the queries with their scores (b, n), b * n <= `PIECE` unless one row is longer.

        `size` scores are made by one product. They are the taker's to write into, until the next are taken: memory that
        is used again needs no fetching of fresh pages, which cost as much as a third of a product.
        """
        queries = require_unit(queries, self.vectors.shape[1])
        n = max(1, len(self.keys))
        rows, piece = max(1, size // n), max(1, min(size, PIECE) // n)
        room = np.empty((min(rows, len(queries)), len(self.keys)), dtype=np.float32)
        for begin in range(0, len(queries), rows):
            some = queries[begin : begin + rows]
            scores = self.score(some, room[: len(some)])
            for at in range(0, len(some), piece):
                yield slice(begin + at, begin + min(at + piece, len(some))), scores[at : at + piece]


def rank(
    queries: Vectors,
    gallery: Gallery,
    *,
    k: int | None = None,
    without: KeyLists | None = None,
    correct: Correction | None = None,
    size: int = BLOCK,
) -> Iterator[tuple[slice, Hits]]:
    """The exact ranking of the gallery for (q, d) queries, block by block: (slice of the queries, their Hits).

    `without` names what is left out of each query's ranking (``Relevance.removed()``: its own item, junk), before
    anything is cut. With k=None the whole gallery is ranked. With k, at least k places come back, **and the cut goes
    on to the end of a tie** that straddles it (a row that ends earlier is filled with empty places), so that a measure
    at k can average over the orders of the tied items instead of meeting one of them.

    `correct` makes other scores of the inner products, a block at a time, before anything is left out (hubness
    correction); items of equal content stay tied whatever it does.
    """
    if k is not None and k < 1:
        raise MeasureError(f"k must be 1 or more, got {k}", code="measure/k")
    for part, scores in gallery.blocks(queries, size):
        if correct is not None:
            scores = correct(scores)
            scores[:, gallery.twins] = scores[:, gallery.models]
        if without is not None:
            rows, keys = without.rows(part).pairs()
            at = np.searchsorted(gallery.keys, keys)
            scores[rows, at] = -np.inf
        yield part, _order(scores, gallery.keys, k)


def rescore(queries: Vectors, gallery: Gallery, hits: Hits, *, size: int = BLOCK) -> Hits:
    """An engine's answer with exact scores, ordered by them: the engine chooses the items, the ranking scores them.

    Bit for bit the scores of `rank` with the same `size`: an engine that found the right items gets the same ranking.
    """
    keys, scores = np.empty_like(hits.keys), np.empty_like(hits.scores)
    for part, exact in gallery.blocks(queries, size):
        found = hits.keys[part]
        at = np.minimum(np.searchsorted(gallery.keys, found), len(gallery.keys) - 1)
        strange = (found != NO_KEY) & (gallery.keys[at] != found)
        if strange.any():
            raise MeasureError(f"key {found[strange][0]} was answered and is not in the gallery", code="measure/hits")
        best = ranked(found, np.take_along_axis(exact, at, axis=1), hits.k)
        keys[part], scores[part] = best.keys, best.scores
    return Hits(keys, scores)


def _order(scores: Scores, keys: Keys, k: int | None) -> Hits:
    """(b, n) scores -> Hits (b, n), or (b, k and what is tied with place k). Ties: smaller key first.

    Score and column are packed into one integer that rises as the score falls: one plain sort orders by both, several
    times faster than an argsort. With k, little more than what reaches the score of place k is packed and sorted.
    """
    n = scores.shape[1]
    if k is None or k >= n:
        packed = _packed(scores, np.arange(n))
        packed.sort(axis=1)
    else:
        rows, columns = _reaching(scores, k)
        many = np.bincount(rows, minlength=len(scores))
        places = np.arange(rows.size) - np.repeat(np.cumsum(many) - many, many)
        packed = np.full((len(scores), int(many.max(initial=k))), _EMPTY)
        packed[rows, places] = _packed(scores[rows, columns], columns)
        packed.sort(axis=1)
        beyond = packed > (packed[:, k - 1, None] | _LOW)  # below the score of place k
        packed[beyond] = _EMPTY
        packed = packed[:, : int((~beyond).sum(axis=1).max(initial=k))]
    high = (packed >> np.uint64(32)).astype(np.uint32)
    best = np.where(
        packed == _EMPTY, np.float32(-np.inf), np.where(high & _SIGN, high, ~high & ~_SIGN).view(np.float32)
    )
    none = np.isneginf(best)
    return Hits(np.where(none, NO_KEY, keys[np.where(none, 0, packed & _LOW).astype(np.int64)]), best)


def _reaching(scores: Scores, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(b, n) scores, k < n -> rows (m,), rising, and columns (m,) of all that reaches place k, and of little else.

    Columns are dealt into groups. The k-th best of the groups' maxima is reached by k scores or more, so place k
    reaches it too, and only groups whose maximum does need be looked into: one pass for the maxima, at the speed of
    memory, instead of a selection among all n. With 4k groups or more the bound is seldom far below place k.
    """
    b, n = scores.shape
    deep = max(1, min(_DEEP, n // (4 * k)))
    groups = n // deep
    dealt = scores[:, : deep * groups].reshape(b, deep, groups)  # column = layer * groups + group
    tops = dealt.max(axis=1)
    bound = np.partition(tops, groups - k, axis=1)[:, groups - k]
    row, group = np.divmod(np.flatnonzero(tops >= bound[:, None]), groups)
    inside, layer = np.nonzero(dealt[row, :, group] >= bound[row, None])
    left, rest = np.nonzero(scores[:, deep * groups :] >= bound[:, None])  # the columns that fill no layer
    rows = np.concatenate([row[inside], left])
    columns = np.concatenate([layer * groups + group[inside], rest + deep * groups])
    order = np.argsort(rows, kind="stable")
    return rows[order], columns[order]


def _packed(scores: Scores, columns: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One integer each that rises as the score falls, and where scores are equal, with the column."""
    bits = (scores + np.float32(0)).view(np.uint32)  # + 0 makes -0.0 the same as 0.0
    falling = np.where(bits & _SIGN, bits, ~bits & ~_SIGN)
    return falling.astype(np.uint64) << np.uint64(32) | columns.astype(np.uint64)


def _twins(vectors: Vectors) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (t,) whose content stands in an earlier row, and (t,) the first such row."""
    n, d = vectors.shape
    weights = np.random.default_rng(0).integers(1, 1 << 63, size=d, dtype=np.uint64) | np.uint64(1)
    sums = np.empty(n, dtype=np.uint64)
    step = max(1, (1 << 20) // max(1, d))
    for begin in range(0, n, step):
        chunk = (vectors[begin : begin + step] + np.float32(0)).view(np.uint32)
        sums[begin : begin + step] = chunk.astype(np.uint64) @ weights
    order = np.argsort(sums, kind="stable")
    candidates = np.flatnonzero(sums[order][1:] == sums[order][:-1]) + 1
    model = np.arange(n, dtype=np.int64)
    for at in candidates:  # in the order of rows within equal sums, so a model is final when it is taken
        row, before = order[at], order[at - 1]
        if np.array_equal(vectors[row], vectors[before]):
            model[row] = model[before]
    twins = np.flatnonzero(model != np.arange(n))
    return twins, model[twins]
