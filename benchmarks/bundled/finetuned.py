"""Trained on from, on the MIT split, by the recipe that fine-tunes the packed MobileNetV2."""

from __future__ import annotations

from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.training._rows import QUICK, rows, told

RECIPE, TITLE = "modern/finetuned", "fine-tuned, ours"


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    found = rows([RECIPE], runs / "bundled", overrides=("network.tower=bundled", *(QUICK if quick else ())))
    for protocol, short in (("test->train", "finetuned_map"), ("test-loo", "finetuned_loo_map")) if found else ():
        cell = found[TITLE, protocol]
        what = f"mAP {protocol}, {RECIPE} on bundled's network (on MobileNetV2: docs/results/training.md, {short})"
        results.add(Row(short, what, cell.value, "mAP", "none", cell.low, cell.high, told(cell)))
