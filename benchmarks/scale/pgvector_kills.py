"""Postgres with pgvector, killed in mid-write."""

from __future__ import annotations

from pathlib import Path

from benchmarks._results import Results
from benchmarks.scale import _kills
from benchmarks.scale._servers import Postgres


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    server = Postgres()
    try:
        engine = f"pgvector?dsn={server.where}"
        _kills.measure(results, "pgvector", "Postgres", server, engine, 3 if quick else 20)
    finally:
        server.stop()
