"""What it costs: bytes in the wheel and on disk, milliseconds to open, seconds of a search, pictures a second."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from benchmarks._indexing import forward_rate
from benchmarks._results import ROOT, Results, Row
from benchmarks.foundation._data import data, mobilenet
from nearsight.data.datasets import load
from nearsight.encode import Encoder, create
from nearsight.encode.images.bundled import FOLDER

OPEN = """
import time
from nearsight import create
from PIL import Image
picture = Image.new("RGB", (64, 64))
begun = time.perf_counter()
encoder = create("bundled").use(expect=1)
encoder.encode_images([picture]); encoder.encode_texts(["a red car"])
print(1000 * (time.perf_counter() - begun))
"""


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        _wheel(results, place)
        runs_, command, env = 3 if quick else 8, [sys.executable, "-c", OPEN], _installed(place)
        times = [float(subprocess.check_output(command, env=env)) for _ in range(runs_)][1:]
        results.add(Row("load_ms", "both towers opened and used once, in a process that has imported nearsight",
                        statistics.median(times), "ms", "<=150", min(times), max(times),
                        f"median of {len(times)} processes, onnxruntime"))  # fmt: skip
        _search(results, place, 3 if quick else 8)
        _rates(results, place, quick=quick)


def _installed(place: Path) -> dict[str, str]:
    """The environment of a process that finds its modules compiled, as pip leaves them, whatever this one is told."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(place / "compiled")}


def _wheel(results: Results, place: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(place)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (wheel,) = place.glob("nearsight-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        inside = sum(one.compress_size for one in packed.infolist() if f"/{FOLDER.name}/" in one.filename)
    whole = wheel.stat().st_size / 1e6
    note = f"of a wheel of {whole:.1f} MB; {sum(f.stat().st_size for f in FOLDER.iterdir()) / 1e6:.1f} MB unpacked"
    results.add(Row("wheel_mb", "both towers in the wheel", inside / 1e6, "MB", "<=12", note=note))


def _search(results: Results, place: Path, repeats: int) -> None:
    pictures, kept = place / "pictures", place / "kept"
    load("drawn?n=80", pictures)
    nearsight = [sys.executable, "-m", "nearsight", "--quiet"]
    subprocess.run([*nearsight, "index", str(pictures), "-e", "bundled", "-c", str(kept)], check=True, cwd=place)
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        search = [*nearsight, "search", "--text", "a red car by the sea", "-c", str(kept), "--json"]
        subprocess.run(search, check=True, capture_output=True, cwd=place, env=_installed(place))
        times.append(time.perf_counter() - begun)
    times = times[1:]
    results.add(Row("text_search_process_s", "nearsight search by words, whole process", statistics.median(times), "s",
                    "<=0.7", min(times), max(times), f"median of {len(times)} processes; 80 pictures"))  # fmt: skip


def _rates(results: Results, place: Path, *, quick: bool) -> None:
    """Networks alone, on the runtime that is fastest here for each, in turn."""
    root, weights = data("mit_split", "train"), data("weights", "mobilenet_v2_imagenet1001_fp16.pth")
    if root is None or weights is None:
        return
    files = sorted(root.rglob("*.jpg"))[: 100 if quick else 1000]
    mobilenet(weights).save(place / "teacher")
    for runtime, short in (("onnxruntime", ""), ("auto", "_auto")):
        own, teacher = (Encoder.load(folder, runtime=runtime, expect=10_000) for folder in (FOLDER, place / "teacher"))
        pairs = [(forward_rate(files, own), forward_rate(files, teacher)) for _ in range(2 if quick else 5)]
        shares = [a / b for a, b in pairs]
        size = own.tower.side
        note = f"pictures a second: {statistics.median(a for a, _ in pairs):.0f} at {size} px, " \
               f"{statistics.median(b for _, b in pairs):.0f} at 224 px"  # fmt: skip
        what = f"rate of the network as a share of the packed MobileNetV2's, runtime {runtime}"
        target = ">=1.0" if not short else "none"
        results.add(Row(f"rate_vs_teacher{short}", what, statistics.median(shares), "", target, min(shares),
                        max(shares), note))  # fmt: skip
    for side in (160, 224):
        create(f"compact?size={side}&norm=false").save(place / f"{side}")  # random weights take as long
        rates = [forward_rate(files, Encoder.load(place / f"{side}", runtime="auto", expect=10_000)) for _ in range(3)]
        what = f"its network at {side} px, runtime auto"
        results.add(Row(f"rate_{side}", what, statistics.median(rates), "pictures/s", low=min(rates), high=max(rates)))
