"""Pictures and words in one space as we would train them: three seeds, and one encoder folder."""

from __future__ import annotations

from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.crossmodal._trials import done, place, recipe, there
from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS
from nearsight.study.crossmodal.train import train_pairs
from nearsight.study.crossmodal.trials import Summary, Trials

SEEDS = (0, 1, 2)
ROWS = (
    ("i2t_r1", f"{TO_TEXTS} R@1", "image-to-text R@1, %", 100, ">=26"),
    ("t2i_r1", f"{TO_IMAGES} R@1", "text-to-image R@1, %", 100, ">=20"),
    ("rsum", "rSum", "rSum: R@1, 5 and 10 both ways, %", 1, ">=275"),
)


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    if not there():
        return
    ours, trials = recipe("modern/words", quick=quick), Trials(place(runs))
    found = done(trials.seeds(ours, SEEDS[: 1 if quick else None]))[0]
    for corrected in (True, False):
        summary = Summary.of(found, corrected=corrected)
        for name, label, what, unit, target in ROWS:
            figure = summary.figures[label]
            how = f"corrected by {ours.hubness}, bank: the training split" if corrected else "vectors as they are"
            note = (
                f"modern/words on the test split, {how}; mean and spread of {len(found)} seeds; chance "
                f"{unit * figure.floor:.2f}; epoch chosen on val; {summary.seconds:.0f} s of training each"
            )
            results.add(
                Row(
                    f"f8k_{name}" + ("" if corrected else "_plain"), f"Flickr8k {what}", unit * figure.value, "%",
                    target, unit * figure.low, unit * figure.high, note,
                )
            )  # fmt: skip
    done(train_pairs(ours, runs / "modern-words-seed0"))
