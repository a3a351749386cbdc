"""From the report's recipe to ours, one change a row, from features that are there."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.crossmodal._trials import QUICK, done, place, there
from nearsight.study.crossmodal.trials import Trials
from nearsight.study.crossmodal.waterfall import waterfall

SEEDS = (0, 1, 2)


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    if not there():
        return
    trials = Trials(place(runs))
    overrides = ["data.source=karpathy/flickr8k", *(QUICK if quick else ())]
    begun = time.monotonic()
    found = done(waterfall(place(runs), seeds=SEEDS[: 1 if quick else None], overrides=overrides, trials=trials))
    minutes = (time.monotonic() - begun) / 60
    values = [round(stage.figures["rSum"].value, 1) for stage in found.stages]
    spread = "; ".join(
        f"{stage.title} {stage.figures['rSum'].value:.1f} ({stage.figures['rSum'].low:.1f} to "
        f"{stage.figures['rSum'].high:.1f})" for stage in found.stages
    )  # fmt: skip
    results.add(
        Row("f8k_waterfall_rsum", "Flickr8k rSum from the report's recipe to ours, one change a stage", values, "%",
            note=f"mean and spread of {len(found.stages[0].seeds)} seeds on the test split: {spread}")
    )  # fmt: skip
    note = f"{len(found.stages)} stages, {len(found.stages[0].seeds)} seeds each; of these {found.seconds / 60:.1f} min"
    results.add(
        Row("waterfall_minutes", "the whole waterfall from features that are there", minutes, "min", "<=20",
            note=f"{note} of training")
    )  # fmt: skip
