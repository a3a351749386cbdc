"""What the collection adds to a search, and what a million items cost to open."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

from benchmarks._results import Results, Row
from nearsight.core.arrays import unit
from nearsight.encode import EncoderSpec
from nearsight.search.collection import Collection
from nearsight.search.store.store import Record

DIM = 512
_REOPEN = """
import json, sys, time
import numpy as np, psutil
from pathlib import Path
from nearsight.search.collection import Collection
query = np.load(sys.argv[2])
start = time.perf_counter()
collection = Collection.open(Path(sys.argv[1]), read_only=True)
count = len(collection)
opened = time.perf_counter() - start
rss = psutil.Process().memory_info().rss
found = collection.search(query, 10)
first = time.perf_counter() - start
print(json.dumps({"opened": opened, "first": first, "rss": rss, "n": count, "key": found[0].item.key}))
"""


def measure(results: Results, *, quick: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        _overhead(results, Path(name), 5_000 if quick else 100_000)
        _reopen(results, Path(name), 20_000 if quick else 1_000_000)


def fill(folder: Path, n: int, engine: str = "faiss/Flat") -> tuple[Collection, np.ndarray]:
    """A collection of n random unit vectors, committed in batches; returns it and the first vectors."""
    spec = EncoderSpec("elsewhere", DIM, (), "ab" * 32, {})
    collection = Collection.create(folder, spec, engine=engine)
    rng, first = np.random.default_rng(0), np.empty((0, DIM), np.float32)
    for start in range(0, n, 20_000):
        count = min(20_000, n - start)
        vectors = unit(rng.standard_normal((count, DIM), dtype=np.float32))
        first = vectors[:1000].copy() if not start else first
        collection.add(
            vectors,
            [Record(f"pictures/{i:07d}.jpg".encode(), label=f"class {i % 100}") for i in range(start, start + count)],
        )
    return collection, first


def _overhead(results: Results, place: Path, n: int) -> None:
    """`Collection.search` beside a bare IndexFlatIP over the same vectors, in turn, query by query."""
    collection, queries = fill(place / "overhead", n)
    with collection:
        snapshot = collection.store.verified()
        bare = faiss.IndexFlatIP(DIM)
        bare.add(snapshot.vectors(np.arange(n)))
        ours, theirs = [], []
        for query in queries[:210]:
            start = time.perf_counter()
            collection.search(query, 10)
            middle = time.perf_counter()
            bare.search(query[None], 10)
            ours.append(middle - start)
            theirs.append(time.perf_counter() - middle)
        extra = [1000 * (a - b) for a, b in zip(ours[10:], theirs[10:], strict=True)]
    p50 = [1000 * statistics.median(times) for times in (ours, theirs)]
    note = f"p50 of 200 in turn: {p50[0]:.2f} ms against {p50[1]:.2f} ms bare"
    low, high = np.percentile(extra, [25, 75])
    what = f"Collection.search minus bare IndexFlatIP.search, {n:,} x {DIM}, k=10, one query"
    results.add(Row("search_overhead_ms", what, statistics.median(extra), "ms", "<=1", float(low), float(high), note))


def _reopen(results: Results, place: Path, n: int) -> None:
    """A fresh process opens a collection whose files are in the page cache and answers once."""
    collection, queries = fill(place / "million", n)
    collection.close()
    np.save(place / "query.npy", queries[7])
    runs = []
    for _ in range(6):
        command = [sys.executable, "-c", _REOPEN, str(place / "million"), str(place / "query.npy")]
        runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    runs = runs[1:]  # the first one warms the page cache
    if any(run["n"] != n or run["key"] != 8 for run in runs):
        raise RuntimeError("the reopened collection does not answer rightly")
    first = [run["first"] for run in runs]
    rss = [run["rss"] / 2**20 for run in runs]
    opened = statistics.median(run["opened"] for run in runs)
    note = (
        f"median of 5 processes, files in the page cache; of it opening {opened:.2f} s; every vector checksummed first"
    )
    what = f"open and first answer, {n:,} x {DIM} float32, faiss/Flat"
    results.add(Row("reopen_1m_s", what, statistics.median(first), "s", "<=1", min(first), max(first), note))
    what = "resident memory of that process before its first search"
    results.add(Row("reopen_1m_rss_mb", what, statistics.median(rss), "MB", "<=500", min(rss), max(rss)))
