"""How long a process takes to be of use, and what installing costs."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from benchmarks._results import ROOT, Results, Row
from nearsight.data.datasets import load
from nearsight.encode import create
from nearsight.search.collection import Collection


def measure(results: Results, *, quick: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        _spread(results, "help_s", "nearsight --help, whole process", ["--help"], "<=0.3", place)
        pictures = place / "pictures"
        load("drawn?n=16", pictures)
        count = _ten_thousand(place, pictures, 500 if quick else 10_000)
        picture = str(next(pictures.rglob("*.jpg")))
        _spread(
            results, "search_process_s", f"nearsight search PICTURE in a collection of {count:,}, whole process",
            ["search", picture, "--collection", str(place / "c"), "--json"], "<=1", place,
        )  # fmt: skip
        if not quick:
            _install(results, place)


NEARSIGHT = [sys.executable, "-m", "nearsight"]


def _spread(results: Results, id_: str, what: str, arguments: list[str], target: str, place: Path) -> None:
    times = []
    for _ in range(8):
        start = time.perf_counter()
        subprocess.run([*NEARSIGHT, *arguments], check=True, capture_output=True, cwd=place)
        times.append(time.perf_counter() - start)
    times = times[1:]
    results.add(Row(id_, what, statistics.median(times), "s", target, min(times), max(times), "median of 7 processes"))


def _ten_thousand(place: Path, pictures: Path, n: int) -> int:
    """A collection of n by the colour encoder: the drawn pictures, then random vectors up to n."""
    import numpy as np

    from nearsight.core.arrays import unit
    from nearsight.search.store.store import Record

    with Collection.create(place / "c", create("colour")) as collection:
        for _ in collection.sync(pictures):
            pass
        more = n - len(collection)
        vectors = unit(np.abs(np.random.default_rng(0).standard_normal((more, collection.dim))))
        collection.add(vectors, [Record(f"{i}.jpg".encode()) for i in range(more)])
        return len(collection)


def _install(results: Results, place: Path) -> None:
    """pip install into an empty environment: the size of what came, and the demo in a second one."""
    light = place / "light"
    venv.create(light, with_pip=True)
    empty = megabytes(light)
    pip = [str(light / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(ROOT)], check=True, capture_output=True)
    size = megabytes(light) - empty
    note = "pip install . into an empty environment, less the empty environment; no extras, no torch"
    results.add(Row("light_install_mb", "installed size of nearsight and all it needs", size, "MB", "<=500", note=note))
    subprocess.run([*pip, f"{ROOT}[classic]"], check=True, capture_output=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {
        "NEARSIGHT_CACHE": str(place / "cache")
    }
    start = time.perf_counter()
    run = [str(light / "bin" / "nearsight"), "demo", "--folder", str(place / "demo")]
    done = subprocess.run(run, check=True, capture_output=True, text=True, cwd=place, env=environment)
    seconds = time.perf_counter() - start
    sheet = re.search(r"\S+\.png", done.stdout + done.stderr)
    note = f"after installing '.[classic]'; wrote {Path(sheet[0]).name if sheet else 'nothing'}"
    results.add(Row("demo_s", "nearsight demo on a fresh machine", seconds, "s", "<=180", note=note))


def megabytes(folder: Path) -> float:
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file() and not p.is_symlink()) / 2**20
