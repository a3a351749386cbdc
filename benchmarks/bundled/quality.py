"""Beside its teacher, the packed MobileNetV2, and the classical descriptors: scenes, drawings, kinds it never saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from training.bundled.pictures import gathered

from benchmarks._results import Results, Row
from benchmarks.foundation._data import data, mobilenet
from nearsight.core.items import Benchmark
from nearsight.data.datasets import Dataset, load
from nearsight.encode import Encoder, create
from nearsight.study.report import Report
from nearsight.study.run import finish, run

METRICS = ("average_precision", "precision@1")
WORST = 0.85
"""Of the teacher's P@1, on kinds of pictures that were left out of training."""


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    weights, root = data("weights", "mobilenet_v2_imagenet1001_fp16.pth"), data("mit_split")
    if weights is None or root is None:
        return
    own, teacher = create("bundled"), mobilenet(weights)
    split = load("mit_split", root.parent)
    for protocol, short in (("test->train", "mit"), ("test-loo", "mit_loo")):
        benchmark = split.benchmark(protocol)
        mine, its = _study(benchmark, own), _study(benchmark, teacher)
        _beside(results, short, f"MIT split {protocol}", mine, its, targets=(">=1.0", ">=0.97"))
    drawn = load(f"drawn?n={80 if quick else 800}&size=224&seed=7", runs).benchmark("test->train")
    _beside(results, "drawn", "drawn scenes test->train", _study(drawn, own), _study(drawn, teacher),
            targets=(">=1.0", ">=0.97"))  # fmt: skip
    classical = [create(name) for name in ("colour", "hog")]
    for kind, items in sorted(gathered(root.parent, runs).judging.items()):
        numbered = tuple(replace(item, key=key) for key, item in enumerate(items[:: 8 if quick else 1]))
        benchmark = Dataset(kind, numbered).benchmark("loo")
        mine, its = _study(benchmark, own), _study(benchmark, teacher)
        others = max(_study(benchmark, encoder).measures[1].value for encoder in classical)
        _beside(results, kind, f"{kind}, left out of training, loo", mine, its, targets=("none", f">={WORST}"),
                note=f"; colour and hog at most {others:.3f}")  # fmt: skip


def _study(benchmark: Benchmark, encoder: Encoder) -> Report:
    return finish(run(benchmark, encoder.use(expect=len(benchmark.gallery)), metrics=METRICS))


def _beside(
    results: Results, short: str, where: str, mine: Report, its: Report, *, targets: tuple[str, str], note: str = ""
) -> None:
    """Two rows: mAP and P@1 as shares of the teacher's."""
    for id_, row, other, target in zip(("map", "p1"), mine.measures, its.measures, targets, strict=True):
        told = (
            f"{row.value:.4f} [{row.low:.4f}, {row.high:.4f}], teacher {other.value:.4f}, chance {row.floor:.3f}{note}"
        )
        what = f"{row.label} as a share of the packed MobileNetV2's, {where}"
        results.add(Row(f"{short}_{id_}_vs_teacher", what, row.value / other.value, "", target, note=told))
