"""Evaluating 100,000 queries against 100,000 items: memory and time, beside the peers that can.

Everyone gets the same vectors and labels (5,000 classes of 20, around random centres), measures MAP@R and precision@1
over the queries themselves, each left out of its own answer, in a process of its own with a limit on memory and time.
OML (open-metric-learning) asks for an older numpy: its own code runs here on the torch and numpy of everyone else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._results import Results, Row
from nearsight.core.arrays import unit

_OURS = """
import numpy as np
from nearsight.core.relevance import ByGroup, Grouped
from nearsight.measure.evaluate import evaluate
from nearsight.measure.metrics import METRICS
from nearsight.measure.ranking import Gallery

def measured(vectors, labels):
    keys = np.arange(len(labels))
    relevance = ByGroup(labels, keys, Grouped.of(keys, labels))
    metrics = [METRICS.build("average_precision_at_r"), METRICS.build("precision@1")]
    found = evaluate(vectors, Gallery.of(keys, vectors), relevance, metrics)
    return {row.metric.label: row.interval.value for row in found.rows}
"""
_PML = """
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

def measured(vectors, labels):
    wanted = ("mean_average_precision_at_r", "precision_at_1")
    calculator = AccuracyCalculator(include=wanted, k="max_bin_count", device=torch.device("cpu"))
    return calculator.get_accuracy(torch.from_numpy(vectors), torch.from_numpy(labels))
"""
_TORCHMETRICS = """
import torch
from torchmetrics.retrieval import RetrievalMAP, RetrievalPrecision

def measured(vectors, labels):
    vectors, labels = torch.from_numpy(vectors), torch.from_numpy(labels)
    first, best = RetrievalPrecision(top_k=1), RetrievalMAP()
    for begin in range(0, len(vectors), 100):
        scores = vectors[begin : begin + 100] @ vectors.T
        same = labels[begin : begin + 100, None] == labels[None]
        rows = torch.arange(begin, begin + len(scores))
        keep = torch.ones_like(same)
        keep[torch.arange(len(scores)), rows] = False
        at = rows[:, None].expand_as(scores)[keep]
        for metric in (first, best):
            metric.update(scores[keep], same[keep], at)
    return {"MAP of the whole ranking": float(best.compute()), "P@1": float(first.compute())}
"""
_OML = """
import torch
from oml.interfaces.datasets import IQueryGalleryLabeledDataset
from oml.metrics.embeddings import calc_retrieval_metrics_rr
from oml.retrieval import RetrievalResults

class Items(IQueryGalleryLabeledDataset):
    extra_data = {}

    def __init__(self, labels):
        self.labels = torch.from_numpy(labels)

    def __len__(self):
        return len(self.labels)

    def get_labels(self):
        return self.labels

    def get_query_ids(self):
        return torch.arange(len(self))

    get_gallery_ids = get_query_ids

def measured(vectors, labels):
    most = int((labels == labels[0]).sum()) - 1
    found = RetrievalResults.from_embeddings(torch.from_numpy(vectors), Items(labels), n_items=most)
    told = calc_retrieval_metrics_rr(found, cmc_top_k=(), precision_top_k=(1,), map_top_k=(most,), verbose=False)
    return {f"mAP@{most} by hits found": told["map"][most], "P@1": told["precision"][1]}
"""
_OML_PACKAGES = (
    "open-metric-learning==4.0.0", "omegaconf==2.3.0", "antlr4-python3-runtime==4.9.3", "albumentations==2.0.8",
    "albucore==0.0.24", "stringzilla", "simsimd", "gdown", "validators", "beautifulsoup4", "soupsieve", "PySocks",
)  # fmt: skip
_RUN = """
import json, resource, sys, time
import numpy as np
given = np.load(sys.argv[1])
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
begun = time.perf_counter()
try:
    found = measured(given["vectors"], given["labels"])
except (MemoryError, RuntimeError) as error:
    print(json.dumps({"failed": str(error).splitlines()[0][:80]}))
    sys.exit()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
found = {name: float(value) for name, value in found.items()}
print(json.dumps({"seconds": time.perf_counter() - begun, "mb": peak, "found": found}))
"""
_LIMIT = 16 << 30
_SECONDS = 1800
_PEERS = {"pytorch_metric_learning": _PML, "torchmetrics": _TORCHMETRICS}
DIM, CLASS = 256, 20


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    n = 5_000 if quick else 100_000
    with tempfile.TemporaryDirectory() as name:
        given = Path(name) / "given.npz"
        rng = np.random.default_rng(0)
        labels = np.repeat(np.arange(n // CLASS), CLASS)
        centres = rng.standard_normal((n // CLASS, DIM), dtype=np.float32)
        vectors = unit(centres[labels] + 2 * rng.standard_normal((n, DIM), dtype=np.float32))
        np.savez(given, vectors=vectors, labels=labels)
        ours = _run(_OURS, given)
        peers = {peer: _run(code, given) for peer, code in _PEERS.items() if find_spec(peer)}
        peers["open_metric_learning"] = _oml(runs, given)
    told = "; ".join(f"{peer.replace('_', '-')} {_told(seen)}" for peer, seen in peers.items())
    what = f"MAP@R and P@1 of {n:,} queries against {n:,} items, {DIM} numbers"
    note = f"ours {_told(ours)}; {told}"
    results.add(Row("eval_100k_rss_mb", f"{what}: peak memory of the process", ours["mb"], "MB", "<=2048", note=note))
    results.add(Row("eval_100k_s", f"{what}: seconds", ours["seconds"], "s", note=told))
    if "seconds" in (pml := peers.get("pytorch_metric_learning", {})):
        ratio = ours["seconds"] / pml["seconds"]
        note = f"{ours['seconds']:.1f} s and {pml['seconds']:.1f} s"
        results.add(Row("eval_100k_vs_pml", f"{what}: time against pytorch-metric-learning", ratio, "x", note=note))


def _oml(runs: Path, given: Path) -> dict[str, Any]:
    folder = runs / "peers" / "oml"
    done = folder / "installed"
    if not done.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        installed = subprocess.run([*command, *_OML_PACKAGES], capture_output=True, text=True)
        if installed.returncode:
            return {"failed": f"not installed: {_last(installed.stderr)}"}
        done.write_text("\n".join(_OML_PACKAGES))
    return _run(_OML, given, folder)


def _run(code: str, given: Path, beside: Path | None = None) -> dict[str, Any]:
    """`beside`: a folder with further packages."""
    command = [sys.executable, "-c", code + _RUN, str(given), str(_LIMIT)]
    path = os.pathsep.join(str(part) for part in (os.environ.get("PYTHONPATH"), beside) if part)
    environment = {**os.environ, "PYTHONPATH": path}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {_SECONDS // 60} minutes"}
    if done.returncode:
        return {"failed": _last(done.stderr) or f"exit {done.returncode}"}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _last(told: str) -> str:
    return (told.strip().splitlines() or [""])[-1][:80]


def _told(seen: dict[str, Any]) -> str:
    if "failed" in seen:
        return f"fails within {_LIMIT >> 30} GiB: {seen['failed']}"
    found = ", ".join(f"{name} {value:.4f}" for name, value in seen["found"].items())
    return f"{seen['seconds']:.0f} s, {seen['mb']:.0f} MB ({found})"
