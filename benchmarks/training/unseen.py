"""Four classes trained, four never seen: does fine-tuning help where the classes are new?"""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.foundation._data import data
from benchmarks.training._rows import QUICK
from nearsight.core.settings import override
from nearsight.learn.history import Epoch
from nearsight.study import recipes
from nearsight.study.report import compare
from nearsight.study.training.run import train

HALVES = (0, 1, 2)
"""Seeds of the data: which four of the eight classes are trained."""


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    root = data("mit_split")
    if root is None:
        return
    os.environ.setdefault("NEARSIGHT_DATA", str(root.parent))
    for half in HALVES[:1] if quick else HALVES:
        changed = [f"data.seed={half}", *(QUICK if quick else ())]
        recipe = override(recipes.of_pictures(recipes.read("modern/unseen")), changed)
        work = train(recipe, runs / f"unseen-{half}", maps=False)
        while True:
            try:
                event = next(work)
            except StopIteration as end:
                done = end.value
                break
            if isinstance(event, Epoch):
                print(f"   epoch {event.epoch} of {event.of}  loss {event.loss:.4f}  {event.seconds:.0f} s", flush=True)
        before, after = done.before[0], done.after[0]
        change = compare(before, after, varying=("encoder",))[0]
        classes = ", ".join(row.name for row in after.classes)
        verdict = "clear" if change.clear else "could be chance"
        note = (
            f"{change.before:.3f} -> {change.after:.3f} on {classes}; chance {after.measures[0].floor:.3f}; {verdict}"
        )
        what = "mAP after - before on four classes that were not trained, leave one out, modern/unseen"
        id_ = "unseen_gain" if half == 0 else f"unseen_gain_{half}"
        span = change.difference
        results.add(Row(id_, what, span.value, "mAP", "none", span.low, span.high, note))
