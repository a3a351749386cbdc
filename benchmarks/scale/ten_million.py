"""Ten million vectors on one machine: filled, built, reopened, searched, filtered; times, memory, recall.

The vectors are real descriptors (benchmarks/scale/_descriptors.py, their first 256 of 512 principal components), each
several times with noise, so that there are ten million: neighbourhoods as dense and as thin as real ones. Queries are
descriptors whose rows are not in it, neither as they are nor with noise. Each stage is a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._results import Results, Row
from benchmarks.scale._descriptors import descriptors
from nearsight.core.arrays import unit
from nearsight.encode import EncoderSpec
from nearsight.search.collection import Collection
from nearsight.search.filters import Filter
from nearsight.search.store.store import Record

DIM, K, ENGINE = 256, 10, "faiss/IVF,SQ8"
_QUERIES = 200
_CHUNK = 50_000
_NOISE = 0.3
"""Length of the noise beside a vector of length 1: its cosine with what it comes from is .958."""
_LABELS = 1000
"""An item has one of so many: a filter by label leaves 10,000 of ten million."""


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    n = 300_000 if quick else 10_000_000
    real = descriptors(runs, 1_200_000, 2 * DIM)
    if real is None:
        return
    folder = runs / "scale" / f"many-{n}"
    filled = _stage("fill", runs, folder, n)
    built = _stage("build", runs, folder, n)
    seen = _stage("look", runs, folder, n)
    what = f"{n:,} x {DIM} float16, {ENGINE}"
    pace = f"{filled['rows'] / filled['seconds']:,.0f} rows a second" if filled["rows"] else "they were there"
    size = f"{built['gigabytes']:.1f} GB in all, {built['index']:.1f} GB of it the index"
    told = f"peak {built['mb']:,.0f} MB; filling the collection before: {pace}, peak {filled['mb']:,.0f} MB; {size}"
    results.add(Row("ten_million_build_s", f"{what}: building the index", built["seconds"], "s", note=told))
    told = f"every checksum and the index read, from disk; with the files in memory {seen['again']:.1f} s"
    name = f"{what}: a new process, from opening to its first answer"
    results.add(Row("ten_million_reopen_s", name, seen["reopen"], "s", note=told))
    told = (
        f"{seen['own']:,.0f} MB of it its own, the rest mapped files; one query p50 {seen['p50']:.1f} ms, p95 "
        f"{seen['p95']:.1f} ms; with a filter that leaves {seen['admitted']:,} items p50 {seen['filtered']:.1f} ms"
    )
    name = f"{what}: peak memory of a process that reopens, searches and filters"
    results.add(Row("ten_million_rss_mb", name, seen["mb"], "MB", note=told))
    name = f"{what}: recall@{K} of {_QUERIES} queries against brute force"
    told = f"with the filter {seen['filtered_recall']:.3f}"
    results.add(Row("ten_million_recall", name, seen["recall"], "", note=told))


def _stage(name: str, runs: Path, folder: Path, n: int) -> dict[str, Any]:
    """What one stage measured, in a process of its own. What was filled and built is kept, with what it took."""
    kept = folder.with_name(f"{folder.name}-{name}.json")
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    command = [sys.executable, "-m", "benchmarks.scale.ten_million", name, str(runs), str(folder), str(n)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {name}: {found}", flush=True)
    if name != "look":
        kept.write_text(json.dumps(found))
    return found


def _chunks(real: NDArray[np.float16], n: int, begin: int) -> Iterator[NDArray[np.float32]]:
    """Rows from `begin` on, the same whenever they are asked for; the last real rows are kept for queries."""
    base = real[: len(real) - _QUERIES, :DIM]
    for start in range(begin, n, _CHUNK):
        at = np.arange(start, min(start + _CHUNK, n))
        rows = unit(base[at % len(base)].astype(np.float32))
        noise = np.random.default_rng(start).standard_normal(rows.shape, np.float32) * (_NOISE / DIM**0.5)
        yield unit(rows + noise * (at >= len(base))[:, None])


def _fill(real: NDArray[np.float16], folder: Path, n: int) -> dict[str, Any]:
    if not (folder / "manifest.json").exists():
        spec = EncoderSpec("elsewhere", DIM, (), "ab" * 32, {})
        Collection.create(folder, spec, engine=ENGINE, dtype="float16").close()
    begun = time.perf_counter()
    with Collection.open(folder) as collection:
        there = len(collection)
        if there % _CHUNK:
            raise RuntimeError(f"{folder} has {there:,} rows, not whole chunks: remove it")
        for rows in _chunks(real, n, there):
            start = len(collection)
            collection.add(rows, [Record(f"{i:08d}.jpg".encode(), label=str(i % _LABELS))
                                  for i in range(start, start + len(rows))])  # fmt: skip
    return {"rows": n - there, "seconds": time.perf_counter() - begun, "mb": _peak()}


def _build(folder: Path) -> dict[str, Any]:
    with Collection.open(folder) as collection:
        begun = time.perf_counter()
        if not collection.build_engine():
            raise RuntimeError(f"{folder} has its index already: remove it")
        seconds, peak = time.perf_counter() - begun, _peak()
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    index = sum(size for path, size in sizes.items() if path.parent.name == "engine")
    return {"seconds": seconds, "mb": peak, "gigabytes": sum(sizes.values()) / 1e9, "index": index / 1e9}


def _look(real: NDArray[np.float16], folder: Path) -> dict[str, Any]:
    import psutil

    queries = unit(real[-_QUERIES:, :DIM].astype(np.float32))
    _forget(folder)
    collection, cold = _reopened(folder, queries)
    collection.close()
    collection, warm = _reopened(folder, queries)
    if collection.engine_state != "ready":
        raise RuntimeError(collection.engine_state)
    where = Filter.of({"label": "7"})
    admitted = collection.keys(where)
    plain, narrow = _timed(collection, queries, None), _timed(collection, queries, where)
    info, peak = psutil.Process().memory_info(), _peak()
    truth, filtered = _truth(collection, queries, None), _truth(collection, queries, admitted)
    return {
        "reopen": cold,
        "again": warm,
        "mb": peak,
        "own": (info.rss - info.shared) / 2**20,
        "p50": float(np.percentile(plain[1], 50)),
        "p95": float(np.percentile(plain[1], 95)),
        "filtered": float(np.percentile(narrow[1], 50)),
        "admitted": len(admitted),
        "recall": _recall(plain[0], truth),
        "filtered_recall": _recall(narrow[0], filtered),
    }


def _reopened(folder: Path, queries: NDArray[np.float32]) -> tuple[Collection, float]:
    """It, and seconds to its first answer."""
    begun = time.perf_counter()
    collection = Collection.open(folder, read_only=True)
    collection.search_vectors(queries[:1], K)
    return collection, time.perf_counter() - begun


def _forget(folder: Path) -> None:
    """Let the system drop what it keeps of the files in memory."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _timed(
    collection: Collection, queries: NDArray[np.float32], where: Filter | None
) -> tuple[NDArray[np.int64], list[float]]:
    """(q, k) keys, and milliseconds of each query asked alone."""
    keys, times = [], []
    for query in queries:
        begun = time.perf_counter()
        keys.append(collection.search_vectors(query[None], K, where=where).keys[0])
        times.append(1000 * (time.perf_counter() - begun))
    return np.array(keys), times


def _truth(collection: Collection, queries: NDArray[np.float32], among: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """(q, k) keys by brute force over the stored rows."""
    best, keys = np.full((len(queries), K), -2, np.float32), np.full((len(queries), K), -1, np.int64)
    for part in collection.store.verified().parts:
        for start in range(0, len(part.keys), _CHUNK):
            own, rows = part.keys[start : start + _CHUNK], part.rows[start : start + _CHUNK]
            if among is not None:
                kept = np.isin(own, among)
                own, rows = own[kept], rows[kept]
            scores = np.concatenate([best, queries @ rows.astype(np.float32).T], axis=1)
            names = np.concatenate([keys, np.broadcast_to(own, (len(queries), len(own)))], axis=1)
            first = np.argpartition(-scores, K - 1, axis=1)[:, :K]
            best, keys = np.take_along_axis(scores, first, 1), np.take_along_axis(names, first, 1)
    return keys


def _recall(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    return float(np.mean([np.isin(mine, true).mean() for mine, true in zip(found, truth, strict=True)]))


def _peak() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _main(stage: str, runs: str, folder: str, n: str) -> None:
    real = descriptors(Path(runs), 1_200_000, 2 * DIM)
    if real is None:
        raise RuntimeError("the pictures are absent")
    if stage == "fill":
        found = _fill(real, Path(folder), int(n))
    elif stage == "build":
        found = _build(Path(folder))
    else:
        found = _look(real, Path(folder))
    print(json.dumps(found))


if __name__ == "__main__":
    _main(*sys.argv[1:])
