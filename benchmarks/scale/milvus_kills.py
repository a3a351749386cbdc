"""A Milvus server, killed in mid-write."""

from __future__ import annotations

from pathlib import Path

from benchmarks._results import Results
from benchmarks.scale import _kills
from benchmarks.scale._servers import Milvus


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    server = Milvus()
    try:
        engine = f"milvus?uri={server.where}"
        _kills.measure(results, "milvus", "Milvus", server, engine, 3 if quick else 20)
    finally:
        server.stop()
