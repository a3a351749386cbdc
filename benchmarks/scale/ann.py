"""Approximate engines on real descriptors: recall, time, build and memory; and what the collection adds to the library.

Queries are descriptors that are not in the collection. How widely an engine searches is what half of the queries need
for a recall of .95; the other half are the figures. The bare library searches the very index that the collection holds,
one query at a time, with the same width and k; the two take turns, each with all queries, so that neither finds the
other's rows in the processor's caches.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
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

DIM, K, RECALL = 512, 10, 0.95
ENGINES = (
    "faiss/HNSW32", "faiss/HNSW32,SQ8", "faiss/IVF,SQ8", "faiss/IVF,PQ128x4fs", "faiss/IVF,RaBitQ", "faiss/IVF,Flat",
)  # fmt: skip
JUDGED = ("faiss/HNSW32", "faiss/IVF,Flat")
_QUERIES = 400
_WIDTHS = {"ef": (32, 48, 64, 96, 128, 192, 256, 384, 512), "nprobe": (8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512)}
_TURNS = 5
_SECONDS = "benchmark/build"
"""What a collection remembers of how long its index took."""


class Seen(NamedTuple):
    """One engine: how widely it searches, recall@10, median ms of ours and of the bare library, least, median and
    largest ratio of these over the turns, seconds to build, MB on disk."""

    width: str
    recall: float
    ours: float
    bare: float
    ratio: tuple[float, float, float]
    build: float
    megabytes: float


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    n = 40_000 if quick else 1_000_000
    vectors = descriptors(runs, n + _QUERIES, DIM)
    if vectors is None:
        return
    vectors, queries = vectors[:-_QUERIES], vectors[-_QUERIES:].astype(np.float32)
    with collected(runs / "scale" / f"exact-{n}", vectors, engine="faiss/Flat") as collection:
        truth = collection.search_vectors(queries, K)
    low = False
    for address in ENGINES:
        with _indexed(runs, vectors, address) as collection:
            seen = _seen(collection, queries, truth)
        note = (
            f"{seen.width}, recall@10 {seen.recall:.3f}; median {seen.ours:.2f} ms, bare faiss {seen.bare:.2f} ms "
            f"on the same index; built in {seen.build:.0f} s, {seen.megabytes:.0f} MB"
        )
        what = f"{address}, one query of {n:,} x {DIM} real descriptors, k=10, Collection.search_vectors / bare faiss"
        results.add(Row(_id(address), what, seen.ratio[1], "times", "none", seen.ratio[0], seen.ratio[2], note))
        if address in JUDGED and seen.recall < RECALL - 0.01:
            print(f"{address}: recall@10 {seen.recall:.3f}: no figure for ann_vs_bare", flush=True)
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
    return "ann_" + address.removeprefix("faiss/").lower().replace(",", "_")


def _indexed(runs: Path, vectors: NDArray[Any], address: str) -> Collection:
    """A collection of `vectors` whose engine has its index; made once, as a copy of the one without."""
    folder = runs / "scale" / f"ann-{len(vectors)}-{address.removeprefix('faiss/')}"
    if not (folder / "manifest.json").exists():
        with collected(runs / "scale" / f"exact-{len(vectors)}", vectors, engine="faiss/Flat") as plain:
            list(plain.backup(folder))
    collection = Collection.open(folder)
    if collection.recall(_SECONDS) is None:
        if collection.engine != address:
            collection.change_engine(address)
        begun = time.perf_counter()
        collection.build_engine()
        collection.remember(_SECONDS, str(time.perf_counter() - begun))
    return collection


def _seen(collection: Collection, queries: NDArray[np.float32], truth: Hits) -> Seen:
    collection.search_vectors(queries[:1], K)
    half = len(queries) // 2
    option = "ef" if "HNSW" in collection.engine else "nprobe"
    for width in _WIDTHS[option]:
        _widen(collection, option, width)
        if _recall(collection.search_vectors(queries[:half], K), truth.keys[:half]) >= RECALL:
            break
    asked, bare = queries[half:], _bare(collection)
    found = collection.search_vectors(asked, K)
    times = [
        (_median(lambda query: collection.search_vectors(query, K), asked), _median(bare, asked)) for _ in range(_TURNS)
    ]
    ratios = sorted(ours / theirs for ours, theirs in times)
    size = sum(path.stat().st_size for path in (collection.folder / "engine").iterdir()) / 2**20
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = (ratios[0], statistics.median(ratios), ratios[-1])
    build = float(collection.recall(_SECONDS) or "nan")
    return Seen(f"{option}={width}", _recall(found, truth.keys[half:]), ours, theirs, ratio, build, size)


def _recall(found: Hits, truth: NDArray[np.int64]) -> float:
    return float(np.mean([np.isin(mine, true).mean() for mine, true in zip(found.keys, truth, strict=True)]))


def _median(search: Callable[[NDArray[np.float32]], object], queries: NDArray[np.float32]) -> float:
    """Milliseconds of one query at a time."""
    times = []
    for query in queries:
        begun = time.perf_counter()
        search(query[None])
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def _widen(collection: Collection, option: str, width: int) -> None:
    """As if the address had said so, without building the index again."""
    engine: Any = collection._looks.searcher._main
    engine._plan = dataclasses.replace(engine._plan, **{option: width})


def _bare(collection: Collection) -> Callable[[NDArray[np.float32]], object]:
    """FAISS's own search of k on the index of a collection, as wide as the collection searches it."""
    import faiss

    engine: Any = collection._looks.searcher._main
    core = faiss.extract_index_ivf(engine._index) if "IVF" in collection.engine else engine._index
    width, _ = engine._width(core, K, 1.0)
    parameters = engine._parameters(core, None, width)
    return lambda query: engine._index.search(query, K, params=parameters)


def _growth(results: Results, runs: Path, vectors: NDArray[Any], queries: NDArray[np.float32]) -> None:
    """Median ms of IVF,Flat over the number of vectors, as wide as it searches unless told."""
    sizes, times = [], []
    for part in (30, 10, 3, 1):
        with _indexed(runs, vectors[: len(vectors) // part], "faiss/IVF,Flat") as collection:
            collection.search_vectors(queries[:1], K)
            times.append(_median(lambda query: collection.search_vectors(query, K), queries))
            sizes.append(len(collection))
    note = "median ms: " + ", ".join(f"{n:,}: {time:.2f}" for n, time in zip(sizes, times, strict=True))
    results.add(
        Row("slope_ann", "faiss/IVF,Flat, log-log slope over the number of vectors", slope(sizes, times), note=note)
    )
