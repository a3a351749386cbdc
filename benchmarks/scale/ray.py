"""Actors of Ray are killed while they encode: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.scale._encoding import killed

KILLS, PICTURES, ROWS = 24, 4000, 50


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = killed(Path(folder), 2 if quick else KILLS, pictures=500 if quick else PICTURES, rows=ROWS)
    note = (
        f"{PICTURES:,} pictures in shards of {ROWS}, {told.runs} run(s) of nearsight encode --on ray, "
        f"{told.seconds:.0f} s; {told.wrong} vectors differ from those of one process alone"
    )
    results.add(Row("ray_kills", "actors killed (SIGKILL) in mid-shard", told.kills, "", ">=20", note=note))
    what = "pictures lost, doubled or wrong after them, in the shards and in a collection of them"
    results.add(Row("ray_lost", what, told.lost + told.doubled + told.wrong, "pictures", "=0", note=note))
