"""Exact search over rows that stay where they are: arrays and memory maps, float32 or float16, block by block.

A kernel finds candidates in float32, which rounds differently for every shape of block and batch. So the best k + SLACK
candidates are scored again, each by itself, in float64 rounded to float32; if a row outside could still be among the
best k, more candidates are taken. Thus every kernel gives the same ranking for every batch size: score, then key.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Hits, Keys, Scores, Vectors, ranked
from nearsight.core.errors import EngineError
from nearsight.search.engines._kernels import ROWS, Chunk, Kernel, multiply, narrowed, nothing, scan
from nearsight.search.engines._keys import KeyMap, Positions, require_queries, require_rows

SLACK = 16
"""Candidates beyond k, so that a handful of ties or near ties at the cut costs no second pass."""
_SCAN_SLACK = 240
"""The same for a scan, which knows scores to about 0.0002 only."""
_SCANNED = 32
"""Queries up to which reading float16 rows for each is faster than widening them for all, which takes as long as forty
scans."""
_SCAN_ROWS = 8 * ROWS
_QUERIES = 64
_GATHER_BELOW = 0.05  # share of rows from which reading only the allowed ones is faster than reading all


class Blocks:
    """The engine that looks at the vectors it was given. ``exact`` and ``faiss/Flat`` differ in the kernel only."""

    exact = True
    oversample = 1.0
    derived = False

    def __init__(self, address: str, dim: int, kernel: Kernel = multiply) -> None:
        self.address = address
        self.dim = dim
        self._kernel = kernel
        self._keys = KeyMap()
        self._blocks: list[NDArray[Any]] = []
        self._starts = np.zeros(1, np.int64)

    def __len__(self) -> int:
        return self._keys.living

    def add(self, keys: Keys, vectors: NDArray[Any]) -> None:
        require_rows(keys, vectors, self.dim)
        if not len(keys):
            return
        self._keys.add(keys)
        blocks = [*self._blocks, vectors]
        while len(blocks) > 1 and _joinable(*blocks[-2:]):  # as a binary counter: each row is copied a few times
            blocks[-2:] = [np.concatenate(blocks[-2:])]
        self._blocks = blocks
        self._starts = np.cumsum([0, *map(len, blocks)])

    def remove(self, keys: Keys) -> int:
        return self._keys.remove(keys)

    def search(self, queries: NDArray[Any], k: int, *, among: Keys | None = None) -> Hits:
        queries = require_queries(queries, k, self.dim)
        allowed = None if among is None else self._keys.positions(among)
        count = len(self) if allowed is None else len(allowed)
        found = [
            self._search(queries[i : i + _QUERIES], min(k, count), allowed, count)
            for i in range(0, len(queries), _QUERIES)
        ]
        keys = np.concatenate([np.empty((0, min(k, count)), np.int64), *(hits.keys for hits in found)])
        scores = np.concatenate([np.empty((0, min(k, count)), np.float32), *(hits.scores for hits in found)])
        return Hits(keys, scores).first(k)

    def save(self, path: Path) -> NoReturn:
        raise self._nothing_to_keep()

    def load(self, path: Path) -> NoReturn:
        raise self._nothing_to_keep()

    def living(self) -> Iterator[tuple[Keys, NDArray[Any]]]:
        """Living keys with their rows, up to ROWS at a time."""
        positions = self.positions()
        for i in range(0, len(positions), ROWS):
            part = positions[i : i + ROWS]
            yield self._keys.keys[part], self.rows(part)

    def positions(self) -> Positions:
        """Living positions, ascending."""
        return np.flatnonzero(self._keys.alive)

    def rows(self, positions: Positions) -> Vectors:
        """(n,) positions -> (n, dim) float32, copied."""
        out = np.empty((len(positions), self.dim), np.float32)
        block = np.searchsorted(self._starts, positions, side="right") - 1
        for b in np.unique(block):
            mine = block == b
            out[mine] = self._blocks[b][positions[mine] - self._starts[b]]
        return out

    def _nothing_to_keep(self) -> EngineError:
        return EngineError(f"{self.address} keeps nothing of its own", hint="add the vectors again", code="engine/file")

    def _search(self, queries: Vectors, k: int, allowed: Positions | None, count: int) -> Hits:
        if not k:
            return Hits(*nothing(len(queries), 0)[::-1])
        scans = len(queries) <= _SCANNED and all(block.dtype == np.float16 for block in self._blocks)
        m = min(k + (_SCAN_SLACK if scans else SLACK), count)
        if scans:
            rough, where = scan(queries, self._chunks(allowed, _SCAN_ROWS), m)
        else:
            rough, where = self._kernel(queries, self._chunks(allowed, ROWS), m)
        scores = self._scores(queries, where)
        hits = ranked(np.where(where == NO_KEY, NO_KEY, self._keys.keys[where]), scores, k)
        if m == count:
            return hits
        # 4 sqrt(d) half-ulps: far above the error of a float32 sum of d products, whatever its order
        error = 4 * np.sqrt(self.dim) * 2.0**-23 * np.linalg.norm(queries, axis=1)
        if scans:
            error += np.linalg.norm(queries - narrowed(queries), axis=1)
        for i in np.flatnonzero(rough.min(axis=1) + error >= hits.scores[:, -1]):
            wider = self._search(queries[i : i + 1], min(4 * m, count), allowed, count)
            hits.keys[i], hits.scores[i] = wider.keys[0, :k], wider.scores[0, :k]
        return hits

    def _chunks(self, allowed: Positions | None, size: int) -> Iterator[Chunk]:
        if allowed is not None and len(allowed) < _GATHER_BELOW * len(self._keys):
            for i in range(0, len(allowed), size):
                yield self.rows(allowed[i : i + size]), allowed[i : i + size], None
            return
        counts = self._keys.alive
        if allowed is not None:
            counts = np.zeros(len(self._keys), bool)
            counts[allowed] = True
        whole = bool(counts.all())
        for start, block in zip(self._starts.tolist(), self._blocks, strict=False):
            for i in range(0, len(block), size):
                rows = block[i : i + size]
                mine = None if whole else counts[start + i : start + i + len(rows)]
                if mine is None or mine.any():
                    yield rows, start + i, mine

    def _scores(self, queries: Vectors, where: Positions) -> Scores:
        """(q, m) inner products that depend on nothing but the two vectors; -inf at empty places."""
        wide = queries.astype(np.float64)
        out = np.empty(where.shape, np.float32)
        for i in range(len(queries)):
            for j in range(0, where.shape[1], ROWS):
                rows = self.rows(np.maximum(where[i, j : j + ROWS], 0)).astype(np.float64)
                out[i, j : j + ROWS] = np.einsum("md,d->m", rows, wide[i])
        out[where == NO_KEY] = -np.inf
        return out


def _joinable(left: NDArray[Any], right: NDArray[Any]) -> bool:
    return len(left) <= 2 * len(right) and len(left) + len(right) <= ROWS and left.dtype == right.dtype
