"""From the report's recipe to ours, one change a row, from features that are there."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.crossmodal._trials import QUICK, done, there
from nearsight.study.crossmodal.waterfall import waterfall

SEEDS = (0, 1, 2)


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    if not there():
        return
    folder = runs / "waterfall"  # its own: what other sections have trained would make it look faster
    overrides = ["data.source=karpathy/flickr8k", *(QUICK if quick else ())]
    begun = time.monotonic()
    found = done(waterfall(folder, seeds=SEEDS[: 1 if quick else None], overrides=overrides))
    minutes = (time.monotonic() - begun) / 60
    values = [round(stage.measured.rsum.value, 1) for stage in found.stages if stage.measured.rsum is not None]
    spread = "; ".join(
        f"{stage.title} {stage.measured.told('rSum')} ({stage.measured.interval()})" for stage in found.stages
    )
    results.add(
        Row("f8k_waterfall_rsum", "Flickr8k rSum from the report's recipe to ours, one change a stage", values, "%",
            note=f"mean and spread of {len(found.stages[0].measured.seeds)} seeds on the test split: {spread}")
    )  # fmt: skip
    seeds = len(found.stages[0].measured.seeds)
    note = f"{len(found.stages)} stages, {seeds} seeds each; of these {found.seconds / 60:.1f} min"
    results.add(
        Row("waterfall_minutes", "the whole waterfall from features that are there", minutes, "min", "<=20",
            note=f"{note} of training")
    )  # fmt: skip
