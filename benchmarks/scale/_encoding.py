"""Runs of ``nearsight encode`` in which those who encode are killed, and what came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._results import ROOT
from nearsight.core.artefact import MANIFEST
from nearsight.core.events import outcome
from nearsight.encode import create
from nearsight.search.bulk import Options, encode
from nearsight.search.bulk.encode import read_run
from nearsight.search.bulk.files import SHARDS, TRIES, numbers, read_shard
from nearsight.search.collection import Collection

_MOST_SECONDS = 1800.0
_ACTOR = "ray::MapWorker"
"""What Ray calls the processes that hold the encoder."""
_TOWER = "colour"


@dataclass(frozen=True, slots=True)
class Told:
    """Kills of actors that were at work; pictures that are missing, there twice, or not as one process alone makes
    them, in the shards and in a collection of them; the runs it took, and seconds."""

    kills: int
    lost: int
    doubled: int
    wrong: int
    runs: int
    seconds: float


def killed(base: Path, kills: int, *, pictures: int, rows: int, on: str = "ray", seed: int = 0) -> Told:
    """SIGKILL who encodes at random moments of their work, `kills` times; then let the run end. On Ray that is the
    actor, and the run goes on by itself; ``local`` it is the run, which is begun again."""
    _draw(base / "pictures", pictures)
    draw, begun, done, runs = np.random.default_rng(seed), time.monotonic(), 0, 0
    out = base / "out"
    while not _whole(out):
        process = _start(base, out, rows, on)
        runs += 1
        while process.poll() is None:
            if time.monotonic() - begun > _MOST_SECONDS:
                process.kill()
                raise RuntimeError(f"the run did not end: {done} kills")
            if done < kills and _kill(process.pid, out, float(draw.uniform(0, 0.3)), on):
                done += 1
                if on == "local":
                    process.wait()  # one that is still dying is not killed a second time
            time.sleep(0.02)
        if process.returncode not in (0, -signal.SIGKILL if on == "local" else 0):
            raise RuntimeError(f"encode left with {process.returncode}")
    return Told(done, *_counted(base, out, rows), runs, time.monotonic() - begun)


def _draw(folder: Path, many: int) -> None:
    """Pictures that are all different."""
    draw = np.random.default_rng(0)
    for number in range(many):
        place = folder / f"{number // 100:03d}" / f"{number:05d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        small = draw.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC).save(place, quality=90)


def _start(base: Path, out: Path, rows: int, on: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "nearsight", "--quiet", "encode", str(base / "pictures"), "-e", _TOWER]
    command += ["-o", str(out), "--rows", str(rows), "--on", on]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _whole(out: Path) -> bool:
    return (out / MANIFEST).is_file() and len(numbers(out, SHARDS)) == read_run(out)["shards"]


def _kill(driver: int, out: Path, after: float, on: str) -> bool:
    """An actor that has begun a shard dies `after` seconds later. False where there was none."""
    import psutil

    if not any((out / TRIES).glob("*")):
        return False
    time.sleep(after)
    try:
        here = psutil.Process(driver)
        for one in [here] if on == "local" else here.children(recursive=True):
            if on == "local" or one.cmdline()[0].startswith(_ACTOR):
                working = any((out / TRIES).glob("*"))
                one.send_signal(signal.SIGKILL)
                if one is not here:
                    one.wait(30)
                return working
    except (psutil.Error, IndexError, OSError):  # it ended by itself
        return False
    return False


def _counted(base: Path, out: Path, rows: int) -> tuple[int, int, int]:
    list(encode(str(base / "pictures"), create(_TOWER), base / "alone", Options(rows=rows)))
    alone, found = _content(base / "alone"), _content(out)
    lost = len(alone.keys() - found.keys())
    doubled = sum(len(vectors) - 1 for vectors in found.values())
    wrong = sum(vectors != alone.get(path) for path, vectors in found.items())
    with Collection.create(base / "taken.ns", create(_TOWER)) as kept:
        counts = outcome(kept.take_in(out))
        there = Counter(os.path.relpath(item.path, base / "pictures") for item in kept.items())
        lost += len(alone.keys() - there.keys())
        doubled += sum(there.values()) - len(there) + counts["repeated"]
    return lost, doubled, wrong


def _content(out: Path) -> dict[str, list[bytes]]:
    """Path -> the vectors that the shards have of it."""
    found: dict[str, list[bytes]] = {}
    for number in numbers(out, SHARDS):
        for pictures, vectors in read_shard(out / SHARDS / f"{number:06d}.parquet"):
            for one, vector in zip(pictures, vectors, strict=True):
                found.setdefault(os.fsdecode(one.entry.path), []).append(vector.tobytes())
    return found
