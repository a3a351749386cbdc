"""How reopening a collection and looking for near-duplicates grow with the number of items.

The collections of descriptors are those of the section ``exact``; those of pictures are parts of the one that
``python -m benchmarks.server --only dedup`` leaves in ``RUNS/dedup``, each original with its planted copies.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.scale._collections import collected
from benchmarks.scale._descriptors import descriptors
from benchmarks.scale._slopes import slope
from benchmarks.server.dedup import PROBE, some, told
from nearsight.core.events import outcome
from nearsight.search.collection import Collection

_DIM = 512
_REPEATS = 15


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    _reopening(results, runs, (1_000, 4_000) if quick else (10_000, 33_333, 100_000, 333_333, 1_000_000))
    _dedup(results, runs, (500, 1_000) if quick else (5_000, 10_000, 20_000, 40_000))


def _reopening(results: Results, runs: Path, sizes: tuple[int, ...]) -> None:
    """The median time of opening, and of the first answer after it, with its files in the system's cache."""
    vectors = descriptors(runs, sizes[-1], _DIM)
    if vectors is None:
        return
    opening, answering = [], []
    for n in sizes:
        folder = runs / "scale" / f"exact-{n}"
        collected(folder, vectors[:n], engine="faiss/Flat").close()
        opened, answered = [], []
        for query in vectors[:_REPEATS].astype("float32"):
            start = time.perf_counter()
            with Collection.open(folder, read_only=True) as collection:
                middle = time.perf_counter()
                collection.search_vectors(query[None], 10)
                answered.append(1000 * (time.perf_counter() - middle))
            opened.append(1000 * (middle - start))
        opening.append(statistics.median(opened))
        answering.append(statistics.median(answered))
    note = "median ms to open, and then to the first answer of an exact search: " + ", ".join(
        f"{n:,}: {one:.1f} and {other:.1f}" for n, one, other in zip(sizes, opening, answering, strict=True)
    )
    what = "reopening a collection, log-log slope over the number of vectors"
    results.add(Row("slope_reopen", what, slope(sizes, opening), note=note))


def _dedup(results: Results, runs: Path, sizes: tuple[int, ...]) -> None:
    whole = runs / "dedup" / "kept.ns"
    if not whole.exists():
        print("left out: slope_dedup (python -m benchmarks.server --only dedup makes what it needs)", flush=True)
        return
    seconds = []
    for n in sizes:
        folder = runs / "scale" / f"dedup-{n}"
        _part(whole, folder, n)
        found = told(sys.executable, PROBE, folder)
        seconds.append(found["seconds"])
        shutil.rmtree(folder)
    note = ", ".join(f"{n:,}: {taken:.1f} s" for n, taken in zip(sizes, seconds, strict=True))
    what = "looking for near-duplicates the first time, log-log slope over the number of pictures"
    results.add(Row("slope_dedup", what, slope(sizes, seconds), note=note))


def _part(whole: Path, folder: Path, n: int) -> None:
    """About n items of a collection with planted copies, in one of its own, without what earlier looks have kept."""
    shutil.rmtree(folder, ignore_errors=True)
    copies = json.loads((whole.parent / "planted.json").read_text())["copies"]
    with Collection.open(whole, read_only=True) as collection:
        outcome(collection.backup(folder))
        keys = {item.path.name: item.key for item in collection.items()}
    kept = some(keys, copies, n)
    with Collection.open(folder) as collection:
        collection.delete([key for name, key in keys.items() if name not in kept])
        collection.compact()
    shutil.rmtree(folder / "signatures", ignore_errors=True)
