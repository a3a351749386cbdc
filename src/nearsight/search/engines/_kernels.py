"""Where an exact search spends its time: inner products of queries with blocks of rows, and the best of each query.

Many queries are bound by arithmetic: one matrix product a block. One query is bound by memory: `scan` reads each
float16 row once and widens it in registers (numkong), where a matrix product has to write it out as float32 before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numkong
import numpy as np
from numpy.typing import NDArray

from nearsight.core.ahead import ahead
from nearsight.core.arrays import NO_KEY, Scores, Vectors
from nearsight.search.engines._keys import Positions

ROWS = 8192
"""Rows multiplied at once; smaller blocks are joined up to this size."""
_THREADS = min(8, os.cpu_count() or 1)
"""Of a scan: some processors need several to use all of their memory's speed."""

Chunk = tuple[NDArray[Any], Positions | int, NDArray[np.bool_] | None]
"""(n, d) rows as they lie, float32 or float16; their positions, or that of the first; which count (None: all)."""
Kernel = Callable[[Vectors, Iterable[Chunk], int], tuple[Scores, Positions]]
"""Queries (q, d), chunks, m -> scores and positions (q, m) in any order; -inf beside -1 where there are fewer."""


def multiply(queries: Vectors, chunks: Iterable[Chunk], m: int) -> tuple[Scores, Positions]:
    """The kernel in numpy: one matrix product a chunk, keeping the best m. Memory: q x (ROWS + m)."""
    return _best((((queries @ widened(chunk[0]).T), chunk) for chunk in chunks), len(queries), m)


def scan(queries: Vectors, chunks: Iterable[Chunk], m: int) -> tuple[Scores, Positions]:
    """The kernel for few queries and float16 rows. Scores are those of `narrowed` queries: off by the length of what
    narrowing took away, at most, for rows of unit length."""
    largest = _largest(queries)
    narrow = (queries / largest).astype(np.float16)
    wide = narrow.astype(np.float32)

    def products(rows: NDArray[Any]) -> Scores:
        found = np.empty((len(queries), len(rows)))  # into float32, numkong 7.8 is seventeen times as slow
        numkong.cdist(narrow if rows.dtype == np.float16 else wide, rows, "dot", out=found)
        return (found * largest).astype(np.float32)

    return _best(_ahead(products, chunks), len(queries), m)


def narrowed(queries: Vectors) -> Vectors:
    """(q, d) rounded to the float16 numbers that `scan` multiplies with, whatever their length."""
    largest = _largest(queries)
    return (queries / largest).astype(np.float16).astype(np.float32) * largest


def widened(rows: NDArray[Any]) -> Vectors:
    """(n, d) float32, in order."""
    return np.ascontiguousarray(rows, np.float32)


def nothing(queries: int, m: int) -> tuple[Scores, Positions]:
    """(q, m) empty places to start from."""
    return np.full((queries, m), -np.inf, np.float32), np.full((queries, m), NO_KEY, np.int64)


def keep_best(best: Scores, where: Positions, scores: Scores, positions: Positions, m: int) -> tuple[Scores, Positions]:
    """The best m of (q, m) and (q, n) together, in any order; `positions` is (n,) or (q, n)."""
    scores = np.concatenate([best, scores], axis=1)
    positions = np.concatenate([where, np.broadcast_to(positions, (len(where), scores.shape[1] - m))], axis=1)
    # -inf is an empty place whatever row it came from; NaN (a row nobody should have added) is never found
    positions[~(scores > -np.inf)] = NO_KEY
    scores[positions == NO_KEY] = -np.inf
    top = np.argpartition(scores, scores.shape[1] - m, axis=1)[:, -m:]
    return np.take_along_axis(scores, top, axis=1), np.take_along_axis(positions, top, axis=1)


def _best(products: Iterable[tuple[Scores, Chunk]], queries: int, m: int) -> tuple[Scores, Positions]:
    best, where = nothing(queries, m)
    for scores, (_, at, counts) in products:
        if counts is not None:
            scores += np.where(counts, np.float32(0), np.float32(-np.inf))
        # after the first chunks hardly any row beats anybody's m-th best: the costly selection sees those few only
        beats = np.flatnonzero((scores > best.min(axis=1, keepdims=True)).any(axis=0))
        if len(beats):
            positions = at + beats if isinstance(at, int) else at[beats]
            best, where = keep_best(best, where, scores[:, beats], positions, m)
    return best, where


def _ahead(work: Callable[[NDArray[Any]], Scores], chunks: Iterable[Chunk]) -> Iterator[tuple[Scores, Chunk]]:
    """`work` of each chunk, in order; a few threads look into the next ones meanwhile, where there are several."""
    coming = iter(chunks)
    first = list(islice(coming, 2))
    threads = _THREADS if len(first) > 1 else 1
    if threads == 1:
        yield from ((work(chunk[0]), chunk) for chunk in chain(first, coming))
        return
    done = ahead(
        chain(first, coming),
        lambda chunk: (work(chunk[0]), chunk),
        threads=threads,
        most=2 * threads,
        name="nearsight-scan",
    )
    yield from done


def _largest(queries: Vectors) -> NDArray[np.float32]:
    """(q, 1) a power of 2 near the largest number of each query, so that float16 holds it and scaling is exact."""
    largest = np.maximum(np.abs(queries).max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    found: NDArray[np.float32] = np.exp2(np.ceil(np.log2(largest)))
    return found
