"""Search beside what people would take instead: recall against time on real descriptors, one query at a time.

Queries are descriptors that are not among those searched. Each peer builds and answers in a process of its own, on all
cores; what was measured is kept in ``RUNS/scale/peers-N`` and not repeated. Recall@10 is the share of answers that
score no less than the tenth best, so that rows that are equal do not count against anybody.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import _plots
from benchmarks._peers import Absent, python, told
from benchmarks._results import RESULTS, Results, Row
from benchmarks.scale._descriptors import descriptors
from benchmarks.scale._searchers import PEERS, K, Peer

DIM = 512
ENOUGH = 0.95
_SHARES = (0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0)
_QUERIES = 400
_TIE = 1e-5
"""Scores of float16 rows differ by as much from one kernel to the next."""


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    n, asked = (10_000, 50) if quick else (100_000, _QUERIES)
    rows = descriptors(runs, n + asked, DIM)
    if rows is None:
        return
    folder = runs / "scale" / f"peers-{n}"
    folder.mkdir(parents=True, exist_ok=True)
    vectors, queries = rows[:n].astype(np.float32), rows[n:].astype(np.float32)
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "queries.npy", queries)
    tenth = _tenth(vectors, queries)
    curves, absent = [], []
    for name, peer in PEERS.items():
        try:
            seen = _seen(runs, folder, name, peer)
        except Absent as reason:
            absent.append(f"{name} ({reason})")
            print(f"left out: {absent[-1]}", flush=True)
            continue
        recalls = [
            _recall(keys[:answered], tenth, vectors, queries)
            for keys, (_, answered, *_) in zip(np.load(folder / f"{name}.npy"), seen["points"], strict=True)
        ]
        curves.append(_rows(results, name, peer, seen, recalls, f"{n:,} x {DIM}"))
    note = "; ".join(absent) or "none is missing"
    results.add(Row("search_peers_absent", "peers of the search that did not run", len(absent), "peers", note=note))
    if not quick:
        title = f"One query of {n:,} x {DIM} real descriptors, k={K}; down and right is better"
        told = {"across": "recall@10", "up": "median ms", "shares": _SHARES}
        _plots.curves(RESULTS / "search-peers.svg", curves, title=title, **told)


def _seen(runs: Path, folder: Path, name: str, peer: Peer) -> dict[str, Any]:
    kept = folder / f"{name}.json"
    if not kept.exists():
        print(f"  {name}", flush=True)
        interpreter = python(runs, name.removesuffix("_flat"), peer.packages)
        seen = told(interpreter, "benchmarks.scale._searchers", name, str(folder))
        (folder / "found.npy").replace(folder / f"{name}.npy")
        kept.write_text(json.dumps(seen))
    answer: dict[str, Any] = json.loads(kept.read_text())
    return answer


def _tenth(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """(q,) the K-th best score of each query."""
    parts = np.array_split(queries, max(1, len(queries) // 50))
    return np.concatenate([np.partition(part @ vectors.T, -K, axis=1)[:, -K] for part in parts])


def _recall(
    keys: NDArray[np.int64],
    tenth: NDArray[np.float32],
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
) -> float:
    """Of the first queries, as many as `keys` (n, K) has rows."""
    right = 0
    for query, found, least in zip(queries, keys, tenth, strict=False):
        right += np.count_nonzero(vectors[np.unique(found[found >= 0])] @ query >= least - _TIE)
    return right / keys.size


def _rows(
    results: Results, name: str, peer: Peer, seen: dict[str, Any], recalls: list[float], size: str
) -> _plots.Curve:
    """The row of a peer at its smallest width with enough recall, and those of its curve."""
    shown = name.replace("ours", "nearsight").replace("_", " ")
    enough = [i for i, recall in enumerate(recalls) if recall >= ENOUGH]
    chosen = enough[0] if enough else len(recalls) - 1
    width, _, middle, low, high = seen["points"][chosen]
    versions = f"; {seen['versions']}" if seen["versions"] else ""
    at = f" at {peer.width}={width:g}" if peer.width else ""
    short = "" if enough else f", its widest: below {ENOUGH} everywhere"
    note = (
        f"recall@10 {recalls[chosen]:.3f}{at}{short}; built in {seen['build']:.1f} s; {seen['private_mb']:.0f} MB of "
        f"its process's own memory, {seen['disk_mb']:.0f} MB of files{versions}"
    )
    what = f"{shown}: {peer.what}; one query of {size}, k={K}"
    results.add(Row(f"search_peer_{name}", what, middle, "ms", "none", low, high, note))
    milliseconds = [point[2] for point in seen["points"]]
    if peer.width:
        swept = f"{peer.width} " + ", ".join(f"{point[0]:g}" for point in seen["points"])
        results.add(Row(f"search_recall_{name}", f"{shown}: recall@10 by width", recalls, note=swept))
        results.add(Row(f"search_ms_{name}", f"{shown}: median by width", milliseconds, "ms"))
    return _plots.Curve(shown, recalls, milliseconds, name.startswith("ours"))
