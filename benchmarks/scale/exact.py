"""Exact search of a million float16 vectors against the time in which memory gives them once; and how it grows."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks._results import Results, Row
from benchmarks.scale._collections import collected
from benchmarks.scale._descriptors import descriptors
from benchmarks.scale._slopes import slope
from nearsight.search.collection import Collection

DIM = 512
_REPEATS = 41


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    vectors = descriptors(runs, 20_000 if quick else 1_000_000, DIM)
    if vectors is None:
        return
    sizes, times = [], []
    for part in (100, 30, 10, 3, 1):
        n = len(vectors) // part
        with collected(runs / "scale" / f"exact-{n}", vectors[:n], engine="faiss/Flat") as collection:
            queries = vectors[:: max(1, n // _REPEATS)].astype(np.float32)[:_REPEATS]
            scans, reads = _in_turn(collection, queries)
        sizes.append(n)
        times.append(1000 * statistics.median(scans))
    ratios = [scan / read for scan, read in zip(scans, reads, strict=True)]
    reading = statistics.median(reads)
    note = (
        f"median of {len(scans)} pairs in turn: Collection.search_vectors {times[-1]:.1f} ms, reading "
        f"{1000 * reading:.1f} ms ({vectors.nbytes / reading / 1e9:.1f} GB/s on all cores)"
    )
    what = f"exact search of one query, {len(vectors):,} x {DIM} float16, k=10 / reading these bytes once"
    low, high = np.percentile(ratios, [25, 75])
    results.add(
        Row("exact_vs_bandwidth", what, statistics.median(ratios), "times", "<=1.3", float(low), float(high), note)
    )
    note = "median ms: " + ", ".join(f"{n:,}: {time:.2f}" for n, time in zip(sizes, times, strict=True))
    results.add(
        Row("slope_exact", "exact search, log-log slope over the number of vectors", slope(sizes, times), "", note=note)
    )


def _in_turn(collection: Collection, queries: NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Seconds of each search, and of reading all its vectors right after it."""
    parts = [part.rows for part in collection.store.verified().parts]
    scans, reads = [], []
    collection.search_vectors(queries[:1], 10)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for query in queries:
            scans.append(_timed(lambda: collection.search_vectors(query[None], 10)))  # noqa: B023
            reads.append(_timed(lambda: list(pool.map(_read, _pieces(parts)))))
    return scans, reads


def _pieces(parts: list[NDArray[np.floating]]) -> list[NDArray[np.floating]]:
    return [piece for rows in parts for piece in np.array_split(rows, os.cpu_count() or 1)]


def _read(rows: NDArray[np.floating]) -> np.uint64:
    """Every byte goes into one number, by vector instructions."""
    found: np.uint64 = np.bitwise_xor.reduce(rows.reshape(-1).view(np.uint64))
    return found


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
