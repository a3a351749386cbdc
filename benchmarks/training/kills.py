"""SIGKILL at random moments of a training: it goes on, and ends in the weights of a run that was never broken."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._results import ROOT, Results, Row

CHILD = """
import hashlib, sys
from pathlib import Path
from nearsight.data.datasets import load
from nearsight.encode.trainable import trainable
from nearsight.learn.fit import fit
from nearsight.learn.from_pictures import FromPictures
from nearsight.learn.pictures import proven
from nearsight.learn.recipe import Goal, Loop, Recipe

def drain(work):
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value

place = Path(sys.argv[1])
loop = Loop(epochs=int(sys.argv[3]), batch=32, lr=1e-3, ema=0.9, checkpoint_s=0.2)
recipe = Recipe(objective=Goal(loss="triplet", miner="semi_hard", sampler="pk?k=4"), loop=loop)
network = trainable("small_cnn/modern?size=32&dropout=0.1", "", 0)
items = load("drawn?n=160&size=64", Path(sys.argv[2])).items
pictures = drain(proven(items, side=32, cache_mb=100, workers=2))
print("on" if place.exists() else "new", flush=True)
source = FromPictures(pictures, network.preprocess, recipe.augment, recipe.loop.workers)
found = drain(fit(network.module, network.dim, source, recipe, folder=place))
digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in found.network.state_dict().values())).hexdigest()
print(digest, len(found.history), flush=True)
"""


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    kills, epochs = (2, 10) if quick else (24, 60)
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        _, whole, _ = _end(base / "whole", base, epochs)
        broken, resumed, done, ended = 0, 0, 0, []
        while broken < kills or not ended:
            place = base / f"run{len(ended)}"
            while True:
                process = _start(place, base, epochs)
                assert process.stdout is not None
                first = process.stdout.readline().split()[0]
                resumed += first == "on"
                if broken >= kills:
                    break
                if not _kill(process, place, float(draw.uniform(0, 1.5))):
                    break
                broken += 1
            digest, length = process.communicate()[0].split()
            ended.append(digest)
            done += int(length)
    differ = sum(digest != whole for digest in ended)
    note = f"{broken} kills, {len(ended)} trainings of {epochs} epochs; triplet, semi-hard, dropout, averaged weights"
    results.add(
        Row("resumes", "trainings that went on after a SIGKILL at a random moment", resumed, "", ">=20", note=note)
    )
    results.add(Row("resumes_differ", "of these, whose final weights differ in any bit", differ, "", "=0", note=note))


def _start(place: Path, base: Path, epochs: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(place), str(base / "drawn"), str(epochs)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _end(place: Path, base: Path, epochs: int) -> tuple[str, str, str]:
    first, digest, length = _start(place, base, epochs).communicate()[0].split()
    return first, digest, length


def _kill(process: subprocess.Popen[str], place: Path, after: float) -> bool:
    """Killed `after` seconds of work, once there is a checkpoint; False where it was over before."""
    while not (place / "manifest.json").exists() and process.poll() is None:
        time.sleep(0.01)
    end = time.monotonic() + after
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    process.kill()
    process.wait()
    return True
