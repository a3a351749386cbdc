"""The report's recipe: three sizes, sums and means, fastText and MiniLM, trained each way, measured both ways."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.crossmodal._trials import done, place, recipe, there
from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS
from nearsight.study.crossmodal.tables import SIZES, at_size
from nearsight.study.crossmodal.trials import Summary, Trial, Trials

WORDS = {"fastText": "fasttext", "MiniLM": "transformers/all-MiniLM-L6-v2"}
MEASURED = 3
"""Of the five sizes: at 2,048 and 4,096 each of the combinations takes minutes (``nearsight reproduce table2``)."""
WAYS = {"image-to-text": "report/packed_image_to_text", "text-to-image": "report/packed_text_to_image"}


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    if not there():
        return
    trials, found = Trials(place(runs)), dict[tuple[str, str, str, int], Trial]()
    for (words, address), (way, name), pool in product(WORDS.items(), WAYS.items(), ("sum", "mean")):
        for dim in SIZES[: 1 if quick else MEASURED]:
            asked = recipe(name, f"text.words={address}", f"text.pool={pool}", quick=quick)
            found[words, way, pool, dim] = done(trials.run(at_size(asked, dim)))[0]
        curve = [one for key, one in found.items() if key[:3] == (words, way, pool)]
        rows = [Summary.of([one], corrected=False) for one in curve]
        rsums = [round(row.rsum.value, 1) for row in rows if row.rsum is not None]
        losses = ", ".join(f"{row.loss:.3f}/{row.validation_loss:.3f}" if row.loss else "-" for row in rows)
        accuracy = ", ".join(row.told(f"{_way(way)} triplet accuracy", ".3f") for row in rows)
        codes = sorted({code for one in curve for code in one.findings})
        note = (
            f"sizes {', '.join(str(one.dim) for one in curve)}; train/validation loss {losses}; triplet accuracy "
            f"{accuracy}; doctor: {', '.join(codes) or 'nothing'}"
        )
        what = f"Flickr8k rSum, the report's recipe, {words}, {pool}, trained {way}"
        results.add(Row(f"f8k_report_{words}_{pool}_{way}".lower().replace("-", "_"), what, rsums, "%", note=note))
    found = {key: one for key, one in found.items() if one.figures}
    (words, way, pool, dim), best = max(found.items(), key=lambda pair: pair[1].validation or 0.0)
    figure = best.figures["rSum"]
    note = (
        f"of {len(found)} trainings the best on val: {words}, {pool}, trained {way}, {dim} numbers; R@1 "
        f"{100 * best.figures[f'{TO_TEXTS} R@1'].value:.1f} / {100 * best.figures[f'{TO_IMAGES} R@1'].value:.1f}; "
        f"chance {figure.floor:.1f}; one seed, 95% interval"
    )
    what = "Flickr8k rSum, the best of the report's recipes (packed MobileNetV2 for its networks)"
    results.add(Row("f8k_report_best_rsum", what, figure.value, "%", "none", figure.low, figure.high, note))


def _way(name: str) -> str:
    return TO_TEXTS if name == "image-to-text" else TO_IMAGES
