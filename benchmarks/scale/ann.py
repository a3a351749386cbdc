"""Approximate engines on real descriptors: recall, time, build and memory; and what the collection adds to the library.

Queries are descriptors that are not in the collection. The bare library searches the very index that the collection
holds, query by query in turn, with the same width of search and k.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks._results import Results, Row
from benchmarks.scale._collections import collected
from benchmarks.scale._descriptors import descriptors
from benchmarks.scale._slopes import slope
from nearsight.core.arrays import Hits
from nearsight.search.collection import Collection

DIM, K = 512, 10
ENGINES = (
    "faiss/HNSW32?ef=64", "faiss/HNSW32,SQ8?ef=64", "faiss/IVF,Flat", "faiss/IVF,SQ8", "faiss/IVF,PQ64x4fs",
    "faiss/IVF,RaBitQ",
)  # fmt: skip
JUDGED = ("faiss/HNSW32?ef=64", "faiss/IVF,Flat")
_QUERIES = 400


class Seen(NamedTuple):
    """One engine: recall@10, median ms of ours and of the bare library, quartiles of their ratio, seconds, MB."""

    recall: float
    ours: float
    bare: float
    ratio: tuple[float, float, float]
    build: float
    megabytes: float


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    n = 20_000 if quick else 200_000
    vectors = descriptors(runs, n + _QUERIES, DIM)
    if vectors is None:
        return
    queries = vectors[-_QUERIES:].astype(np.float32)
    with collected(
        runs / "scale" / f"exact-{len(vectors) - _QUERIES}", vectors[:-_QUERIES], engine="faiss/Flat"
    ) as flat:
        truth = flat.search_vectors(queries, K)
    low = False
    for address in ENGINES:
        seen = _seen(runs, vectors[:-_QUERIES], queries, truth, address)
        note = (
            f"recall@10 {seen.recall:.3f}; median {seen.ours:.2f} ms, bare faiss {seen.bare:.2f} ms on the same index; "
            f"built in {seen.build:.0f} s, {seen.megabytes:.0f} MB"
        )
        what = f"{address}, one query of {n:,} x {DIM} real descriptors, k=10, Collection.search_vectors / bare faiss"
        results.add(Row(_id(address), what, seen.ratio[1], "times", "none", seen.ratio[0], seen.ratio[2], note))
        if address in JUDGED and seen.recall < 0.95:
            print(f"{address}: recall@10 {seen.recall:.3f} is below 0.95: no figure for ann_vs_bare", flush=True)
            low = True
    if not low:
        _judged(results)
    _growth(results, runs, vectors, queries)


def _judged(results: Results) -> None:
    judged = [results.rows[_id(address)] for address in JUDGED]
    worst = max(judged, key=lambda row: row["value"])
    what = f"the larger of {' and '.join(JUDGED)}: median time of Collection.search_vectors / of the bare library"
    results.add(Row("ann_vs_bare", what, worst["value"], "times", "<=1.2", worst["low"], worst["high"], worst["note"]))


def _id(address: str) -> str:
    return "ann_" + address.removeprefix("faiss/").lower().translate(str.maketrans(",?=", "___"))


def _seen(runs: Path, vectors: NDArray[Any], queries: NDArray[np.float32], truth: Hits, address: str) -> Seen:
    folder = runs / "scale" / f"ann-{len(vectors)}-{address.replace('/', '-')}"
    with collected(folder, vectors, engine=address) as collection:
        begun = time.perf_counter()
        collection.build_engine()
        build = time.perf_counter() - begun
        index = _index(collection)
        found, ours, bare = [], [], []
        for query in queries:
            start = time.perf_counter()
            hits = collection.search_vectors(query[None], K)
            middle = time.perf_counter()
            index(query[None])
            ours.append(middle - start)
            bare.append(time.perf_counter() - middle)
            found.append(hits.keys[0])
    recall = float(np.mean([np.isin(mine, true).mean() for mine, true in zip(found, truth.keys, strict=True)]))
    low, half, high = np.percentile(np.array(ours[20:]) / np.array(bare[20:]), [25, 50, 75])
    size = sum(path.stat().st_size for path in (folder / "engine").iterdir()) / 2**20
    middle_ms = [1000 * statistics.median(times[20:]) for times in (ours, bare)]
    return Seen(recall, middle_ms[0], middle_ms[1], (float(low), float(half), float(high)), build, size)


def _index(collection: Collection) -> Any:
    """FAISS's own search of k on the index of a collection, as wide as the collection searches it."""
    import faiss

    engine: Any = collection._searcher._main
    core = faiss.extract_index_ivf(engine._index) if "IVF" in collection.engine else engine._index
    collection.search_vectors(np.eye(1, collection.dim, dtype=np.float32), K)
    width, widest = engine._width(core, K, 1.0)
    parameters = engine._parameters(core, None, width) if widest else None
    return lambda query: engine._index.search(query, K, params=parameters)


def _growth(results: Results, runs: Path, vectors: NDArray[Any], queries: NDArray[np.float32]) -> None:
    """Median ms of IVF,Flat over the number of vectors."""
    sizes, times = [], []
    for part in (10, 4, 2, 1):
        n = (len(vectors) - _QUERIES) // part
        with collected(runs / "scale" / f"ann-{n}-faiss-IVF,Flat", vectors[:n], engine="faiss/IVF,Flat") as collection:
            collection.build_engine()
            collection.search_vectors(queries[:1], K)
            taken = []
            for query in queries[:100]:
                start = time.perf_counter()
                collection.search_vectors(query[None], K)
                taken.append(1000 * (time.perf_counter() - start))
        sizes.append(n)
        times.append(statistics.median(taken))
    note = "median ms: " + ", ".join(f"{n:,}: {time:.2f}" for n, time in zip(sizes, times, strict=True))
    results.add(
        Row("slope_ann", "faiss/IVF,Flat, log-log slope over the number of vectors", slope(sizes, times), note=note)
    )
