"""The shapes that everything passes around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import InputError

Vectors = NDArray[np.float32]
"""(n, d), rows of unit length."""

Keys = NDArray[np.int64]
"""(n,) or (q, k); an item's identity: never a row number, never reused."""

Scores = NDArray[np.float32]
"""(n,) or (q, k); larger is always more similar."""

NO_KEY = -1


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Rows scaled to unit length: (n, d) -> (n, d) float32. Norms are taken in float64.

    Raises InputError (code ``vectors``) for a row that is NaN, infinite or zero: it has no direction.
    """
    if vectors.ndim != 2:
        raise InputError(f"expected vectors of shape (n, d), got {vectors.shape}", code="vectors")
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    bad = np.flatnonzero(~np.isfinite(norms) | (norms < 1e-30))
    if bad.size:
        raise InputError(f"row {bad[0]} is NaN, infinite or zero and has no direction", code="vectors")
    return np.ascontiguousarray(wide / norms[:, None], dtype=np.float32)


def require_unit(vectors: NDArray[np.floating], dim: int) -> Vectors:
    """`vectors` as contiguous float32 (n, dim), or InputError (code ``vectors``) naming the row that is not
    finite or not of unit length (tolerance 1e-3, which float16 storage keeps)."""
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise InputError(f"expected vectors of shape (n, {dim}), got {vectors.shape}", code="vectors")
    out = np.ascontiguousarray(vectors, dtype=np.float32)
    norms = np.sqrt(np.einsum("nd,nd->n", out, out, dtype=np.float64))
    bad = np.flatnonzero(~(np.abs(norms - 1.0) < 1e-3))  # written so that NaN is bad
    if bad.size:
        raise InputError(f"row {bad[0]} is not a finite vector of unit length (norm {norms[bad[0]]})", code="vectors")
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What a search found: q queries, k places each.

    keys    (q, k) int64, best first; -1 where fewer than k were found
    scores  (q, k) float32, falling; -inf beside -1; larger is always more similar
    """

    keys: Keys
    scores: Scores

    def __post_init__(self) -> None:
        if self.keys.ndim != 2 or self.keys.shape != self.scores.shape:
            raise InputError(f"keys {self.keys.shape} and scores {self.scores.shape} must both be (q, k)", code="hits")
        if self.keys.dtype != np.int64 or self.scores.dtype != np.float32:
            raise InputError(
                f"keys must be int64 and scores float32, got {self.keys.dtype}, {self.scores.dtype}", code="hits"
            )
        if bool(np.any((self.keys == NO_KEY) != np.isneginf(self.scores))):
            raise InputError("an empty place is key -1 beside score -inf, and nothing else is", code="hits")
        if bool(np.any(self.scores[:, 1:] > self.scores[:, :-1])):
            raise InputError("scores must fall from left to right", code="hits")

    @property
    def k(self) -> int:
        """Places for each query."""
        return int(self.keys.shape[1])

    def without(self, own: Keys) -> Hits:
        """The same hits with each query's own item, ``own`` (q,), removed by identity: (q, k) -> (q, k).

        Never by rank: a duplicate of the query may stand before the query itself. The freed place becomes empty;
        -1 in ``own`` removes nothing.
        """
        mine = (self.keys == own[:, None]) & (self.keys != NO_KEY)
        order = np.argsort(mine, axis=1, kind="stable")
        keys = np.take_along_axis(np.where(mine, NO_KEY, self.keys), order, axis=1)
        scores = np.take_along_axis(np.where(mine, np.float32(-np.inf), self.scores), order, axis=1)
        return Hits(keys, scores)

    def first(self, k: int) -> Hits:
        """The best k places of each query, padded with empty ones: (q, k') -> (q, k)."""
        if k == self.k:
            return self
        if k < self.k:
            return _as_they_are(self.keys[:, :k], self.scores[:, :k])
        room = ((0, 0), (0, k - self.k))
        return Hits(
            np.pad(self.keys, room, constant_values=NO_KEY),
            np.pad(self.scores, room, constant_values=-np.inf),
        )


def ranked(keys: Keys, scores: NDArray[np.floating], k: int) -> Hits:
    """Candidates in any order, (q, m) each, -> the best k by score, then by smaller key (the declared tie order)."""
    scores = np.where(keys == NO_KEY, np.float32(-np.inf), scores).astype(np.float32, copy=False)
    keys = np.where(scores == -np.inf, NO_KEY, keys).astype(np.int64, copy=False)
    order = np.lexsort((keys, -scores), axis=1)[:, :k]
    own = np.arange(len(keys))[:, None]
    return _as_they_are(keys[own, order], scores[own, order]).first(k)


def _as_they_are(keys: Keys, scores: Scores) -> Hits:
    """Hits of what is known to be in order: to look again would take longer than many a search."""
    hits = object.__new__(Hits)
    object.__setattr__(hits, "keys", keys)
    object.__setattr__(hits, "scores", scores)
    return hits
