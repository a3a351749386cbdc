"""Beside its teacher, the packed MobileNetV2, and the classical descriptors: scenes, drawings, kinds it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from training.bundled.pictures import gathered

from benchmarks._results import Results, Row
from benchmarks.foundation._data import data, mobilenet
from nearsight.core.items import Benchmark
from nearsight.data.datasets import Dataset, load
from nearsight.encode import Encoder, create
from nearsight.study.fitting import fit_on
from nearsight.study.report import Report
from nearsight.study.run import finish, run

METRICS = ("average_precision", "precision@1")
WORST = 0.85
"""Of the teacher's P@1, on kinds of pictures that were left out of training."""
CLASSICAL = ("colour", "hog", "bovw?words=300")


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    weights, root = data("weights", "mobilenet_v2_imagenet1001_fp16.pth"), data("mit_split")
    if weights is None or root is None:
        return
    own, teacher = create("bundled"), mobilenet(weights)
    mit, whole = load("mit_split", root.parent), (">=1.0", ">=0.97")
    drawn = load(f"drawn?n={80 if quick else 800}&size=224&seed=7", runs)
    sets = [
        ("mit", f"{mit.name} test->train", mit, "test->train", whole),
        ("mit_loo", f"{mit.name} test-loo", mit, "test-loo", whole),
        ("drawn", "drawn scenes test->train", drawn, "test->train", whole),
    ]
    for kind, items in sorted(gathered(root.parent, runs).judging.items()):
        numbered = tuple(replace(item, key=key) for key, item in enumerate(items[:: 8 if quick else 1]))
        left = f"{kind}, left out of training, loo"
        sets.append((f"{kind}_left", left, Dataset(kind, numbered), "loo", ("none", f">={WORST}")))
    behind = []
    for short, where, dataset, protocol, targets in sets:
        benchmark = dataset.benchmark(protocol)
        mine, its = _study(benchmark, own), _study(benchmark, teacher)
        others = [_study(benchmark, _fitted(name, dataset)) for name in CLASSICAL]
        _beside(results, short, where, mine, its, others, targets)
        behind += [short for a, *rest in zip(mine.measures, *(other.measures for other in others), strict=True)
                   if a.value <= max(one.value for one in rest)]  # fmt: skip
        if short == "mit":
            row = mine.measures[0]
            results.add(Row("mit_map", f"mAP {protocol}, bundled, exact", row.value, "mAP", "none", row.low, row.high))
    results.add(Row("behind_classical", f"sets of {len(sets)}, mAP and P@1, on which {', '.join(CLASSICAL)} do as well",
                    len(behind), "", "=0", note=", ".join(behind)))  # fmt: skip


def _fitted(name: str, dataset: Dataset) -> Encoder:
    encoder = create(name)
    fit_on(encoder, dataset)
    return encoder


def _study(benchmark: Benchmark, encoder: Encoder) -> Report:
    return finish(run(benchmark, encoder.use(expect=len(benchmark.gallery)), metrics=METRICS))


def _beside(
    results: Results,
    short: str,
    where: str,
    mine: Report,
    its: Report,
    others: Sequence[Report],
    targets: tuple[str, str],
) -> None:
    """Two rows: mAP and P@1 as shares of the teacher's."""
    for at, (id_, target) in enumerate(zip(("map", "p1"), targets, strict=True)):
        row, other, best = mine.measures[at], its.measures[at], max(one.measures[at].value for one in others)
        told = f"{row.value:.4f} [{row.low:.4f}, {row.high:.4f}], teacher {other.value:.4f}, classical at most " \
               f"{best:.4f}, chance {row.floor:.3f}"  # fmt: skip
        what = f"{row.label} as a share of the packed MobileNetV2's, {where}"
        results.add(Row(f"{short}_{id_}_vs_teacher", what, row.value / other.value, "", target, note=told))
