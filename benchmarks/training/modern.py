"""The same rows as we would train them."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.training._rows import QUICK, rows, told

ROWS = {
    "finetuned": ("modern/finetuned", "fine-tuned, ours", ">=0.955", ">=0.945"),
    "siamese": ("modern/siamese", "siamese, ours", ">=0.82", "none"),
    "triplet": ("modern/triplet", "triplet, ours", ">=0.82", "none"),
    "small": ("modern/small", "small network, any loss", ">=0.87", "none"),
}


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    for name, (recipe, title, target, loo_target) in ROWS.items():
        fresh = not (runs / f"{recipe.replace('/', '-')}-seed0" / "encoder").exists()
        begun = time.monotonic()
        found = rows([recipe], runs, overrides=QUICK if quick else ())
        minutes = (time.monotonic() - begun) / 60
        if not found:
            return
        cell, loo = found[title, "test->train"], found[title, "test-loo"]
        add = results.add
        add(
            Row(f"{name}_map", f"mAP test->train, {recipe}", cell.value, "mAP", target, cell.low, cell.high, told(cell))
        )
        add(
            Row(
                f"{name}_loo_map", f"mAP test-loo, {recipe}", loo.value, "mAP", loo_target, loo.low, loo.high, told(loo)
            )
        )
        if name == "finetuned":
            add(Row("finetuned_p1", f"P@1 test->train, {recipe}", cell.first, "", ">=0.97", note="of 807 queries"))
        if name == "finetuned" and fresh:  # one that is there already takes no time, and tells of none
            add(
                Row(
                    "finetuned_minutes", f"{recipe}: reading, measuring, training, exporting, measuring, the page",
                    minutes, "min", "<=12", note=f"of these {cell.minutes:.1f} of training",
                )
            )  # fmt: skip
