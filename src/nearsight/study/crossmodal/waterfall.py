"""From the report's recipe to ours, one change a row: what each is worth, with seeds and intervals."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

from nearsight.core import settings
from nearsight.core.artefact import made_by, replace_file
from nearsight.learn.recipe import PairRecipe
from nearsight.study.crossmodal.judge import NONE
from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS
from nearsight.study.crossmodal.tables import OURS, at_size, named, source_of
from nearsight.study.crossmodal.trials import RSUM, Happening, Summary, Trials
from nearsight.study.published import changed

FORMAT, VERSION = "nearsight-waterfall", 1
START = "report/packed_text_to_image"
SEEDS = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Change:
    """One row: what is changed, as assignments; ``pictures.head`` and so on take what ours has."""

    title: str
    assignments: tuple[str, ...]


def changes(ours: PairRecipe) -> tuple[Change, ...]:
    """From the report's recipe (its words' features already ours, see `waterfall`) to `ours`, in order."""
    plain = "mlp?layers={}&hidden=" + str(ours.dim) + "&activation=relu&norm=false"
    loop = ours.loop
    return (
        Change("lower rate", ("loop.lr=0.0005",)),
        Change("unit length", ("objective.loss=triplet?margin=0.2&average=all",)),
        Change(
            "no last ReLU",
            (f"pictures.head={plain.format(3)}", f"text.head={plain.format(2)}"),
        ),
        Change("mean of words", ("text.pool=mean",)),
        Change(
            "all negatives of the batch",
            ("objective.loss=triplet?squared=true&margin=0.4&average=all", "objective.sampler=captions",
             "objective.target=opposite?direction=text_to_image", f"loop.batch={2 * loop.batch}"),
        ),
        Change("both directions", ("objective.target=opposite",)),
        Change(
            "InfoNCE, learned temperature",
            ("objective.loss=infonce?temperature=1", "objective.target=opposite?temperature=0.07"),
        ),
        Change(
            "heads: standardised, batch norm, GELU, dropout, residual",
            ("pictures.head=mlp?hidden=1024&dropout=0.2&residual=true&standardise=true",
             "text.head=mlp?hidden=1024&dropout=0.2&residual=true&standardise=true"),
        ),
        Change(
            "AdamW, cosine, best epoch",
            (f"loop.optimiser={loop.optimiser}", f"loop.lr={loop.lr}", f"loop.weight_decay={loop.weight_decay}",
             f"loop.schedule={loop.schedule}", f"loop.warmup={loop.warmup}", f"loop.batch={loop.batch}",
             f"loop.epochs={loop.epochs}", f"loop.select={loop.select}", "loop.measure=rsum",
             f"loop.measure_every={loop.measure_every}"),
        ),
        Change(
            "square roots of features, dropped inputs",
            (f"pictures.head={ours.pictures.head}", f"text.head={ours.text.head}"),
        ),
        Change(
            "smoothed labels", (f"objective.loss={ours.objective.loss}", f"objective.target={ours.objective.target}")
        ),
        Change("words of two layers", (f"text.words={ours.text.words}",)),
        Change(
            "pooling: the mean and a learned maximum",
            (f"pictures.pool={ours.pictures.pool}", f"text.pool={ours.text.pool}"),
        ),
        Change("hubness correction", (f"hubness={ours.hubness}",)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """One row: the recipe with this change and all above it, measured on the test split.

    changed  the assignments
    gain     of rSum, above the row before; None for the first one, and where one of both has no figures
    """

    title: str
    changed: tuple[str, ...]
    measured: Summary
    gain: float | None


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All stages, from the report's recipe to ours. ``data``: the set's address."""

    data: str
    stages: tuple[Stage, ...]
    notes: tuple[str, ...]
    name: ClassVar[str] = "waterfall"

    @property
    def seconds(self) -> float:
        """Of all trainings."""
        return sum(stage.measured.seconds * len(stage.measured.seeds) for stage in self.stages)

    @property
    def findings(self) -> list[str]:
        """What the doctor found and why rows have no figures, row by row."""
        return [told for stage in self.stages for told in stage.measured.remarks(stage.title)]

    def to_json(self) -> str:
        """{format, version, made_by, data, stages: [...], notes: [...]}."""
        body = {"format": FORMAT, "version": VERSION, "made_by": made_by(), **asdict(self)}
        return json.dumps(body, indent=1, allow_nan=False) + "\n"

    def lines(self) -> list[tuple[str, ...]]:
        """For a terminal, the first one the header. R@k are percent, seconds those of a training."""
        lines: list[tuple[str, ...]] = [
            ("with all above", "i2t R@1/5/10", "t2i R@1/5/10", "rSum", "interval", "gain", "seconds")
        ]
        for stage in self.stages:
            found = stage.measured
            lines.append(
                (
                    stage.title, found.recalls(TO_TEXTS), found.recalls(TO_IMAGES), found.told(RSUM), found.interval(),
                    "" if stage.gain is None else f"{stage.gain:+.1f}", f"{found.seconds:.0f}",
                )
            )  # fmt: skip
        return lines


def waterfall(
    folder: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    overrides: Sequence[str] = (),
    device: str = "auto",
    trials: Trials | None = None,
) -> Generator[Happening, None, Waterfall]:
    """Train every stage with every seed from features that are taken once, and write waterfall.json into `folder`.

    The first row is the report's recipe at our size on the features that ours has (the packed MobileNetV2, MiniLM's
    last layer), so that no row but those that say so changes what the heads are given. `overrides` are assignments for
    all rows. Raises what `Trials.run` raises.
    """
    trials = trials or Trials(folder, device=device)
    source, notes = source_of(named(OURS), overrides)
    given = (*overrides, f"data.source={source}")
    ours = named(OURS, given)
    start = at_size(named(START, given), ours.dim)
    words = ours.text.words.partition("?")[0]
    start = replace(start, data=ours.data, hubness=NONE, pictures=replace(start.pictures, tower=ours.pictures.tower),
                    text=replace(start.text, words=words))  # fmt: skip
    *trained, correction = (Change("the report's recipe", ()), *changes(ours))
    stages: list[Stage] = []
    done: list[str] = []
    for change in trained:
        done += change.assignments
        # the correction needs no training of its own: it is measured beside the row above it
        measured = [*done, *correction.assignments] if change is trained[-1] else done
        recipe = replace(settings.override(start, measured), name=f"waterfall, {change.title}")
        found = (yield from trials.seeds(recipe, seeds))[0]
        stages.append(_stage(change, Summary.of(found, corrected=False), stages))
    stages.append(_stage(correction, replace(Summary.of(found, corrected=True), seconds=0.0), stages))
    result = Waterfall(source, tuple(stages), (*notes, *changed(overrides)))
    replace_file(folder / f"{result.name}.json", result.to_json().encode())
    return result


def _stage(change: Change, measured: Summary, above: Sequence[Stage]) -> Stage:
    rsum, before = measured.rsum, above[-1].measured.rsum if above else None
    gain = None if rsum is None or before is None else rsum.value - before.value
    return Stage(change.title, change.assignments, measured, gain)
