"""From the report's recipe to ours, one change a row: what each is worth, with seeds and intervals."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from nearsight.core import settings
from nearsight.core.artefact import made_by, replace_file
from nearsight.core.events import Event
from nearsight.learn.history import Epoch, Progress
from nearsight.learn.recipe import PairRecipe
from nearsight.study import recipes
from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS
from nearsight.study.crossmodal.tables import OURS, at_size, source_of
from nearsight.study.crossmodal.trials import Figure, Trial, Trials, mean

FORMAT, VERSION = "nearsight-waterfall", 1
START = "report/packed_text_to_image"
SHOWN = ("rSum", *(f"{way} R@{k}" for way in (TO_TEXTS, TO_IMAGES) for k in (1, 5, 10)))


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
             f"loop.epochs={loop.epochs}", f"loop.select={loop.select}", "loop.measure=rsum"),
        ),
        Change("pooling and heads as ours: powers, dropped inputs",
               (f"pictures.head={ours.pictures.head}", f"text.head={ours.text.head}",
                f"pictures.pool={ours.pictures.pool}", f"text.pool={ours.text.pool}")),
        Change(
            "smoothed labels", (f"objective.loss={ours.objective.loss}", f"objective.target={ours.objective.target}")
        ),
        Change("words of two layers", (f"text.words={ours.text.words}",)),
        Change("hubness correction", (f"hubness={ours.hubness}",)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """One row: the recipe with this change and all above it, measured on the test split.

    figures: mean over seeds with their spread, or of one seed its 95% interval
    """

    title: str
    changed: tuple[str, ...]
    figures: Mapping[str, Figure]
    loss: float
    seeds: tuple[int, ...]
    seconds: float
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All stages, from the report's recipe to ours. ``seconds``: of all trainings."""

    data: str
    stages: tuple[Stage, ...]
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Of training."""
        return sum(stage.seconds for stage in self.stages)

    def to_json(self) -> str:
        """{format, version, made_by, data, stages: [...], notes: [...]}."""
        return json.dumps({"format": FORMAT, "version": VERSION, "made_by": made_by(), **asdict(self)}, indent=1) + "\n"

    def lines(self) -> list[tuple[str, ...]]:
        """For a terminal, the first one the header. R@k are percent."""
        lines: list[tuple[str, ...]] = [
            ("with all above", "i2t R@1/5/10", "t2i R@1/5/10", "rSum", "interval", "gain", "seconds")
        ]
        before: float | None = None
        for stage in self.stages:
            rsum = stage.figures["rSum"]
            recalls = [
                " / ".join(f"{100 * stage.figures[f'{way} R@{k}'].value:.1f}" for k in (1, 5, 10))
                for way in (TO_TEXTS, TO_IMAGES)
            ]
            gain = "" if before is None else f"{rsum.value - before:+.1f}"
            span = f"{rsum.low:.1f} .. {rsum.high:.1f}"
            lines.append((stage.title, *recalls, f"{rsum.value:.1f}", span, gain, f"{stage.seconds:.0f}"))
            before = rsum.value
        return lines


def waterfall(
    folder: Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    overrides: Sequence[str] = (),
    device: str = "auto",
    trials: Trials | None = None,
) -> Generator[Event | Progress | Epoch, None, Waterfall]:
    """Train every stage with every seed from features that are taken once, and write waterfall.json into `folder`.

    The first row is the report's recipe at our size on the features that ours has (the packed MobileNetV2, MiniLM's
    last layer), so that no row but those that say so changes what the heads are given. `overrides` are assignments for
    all rows. Raises what `Trials.run` raises.
    """
    trials = trials or Trials(folder, device=device)
    ours = settings.override(recipes.of_pairs(recipes.read(OURS)), overrides)
    start = at_size(settings.override(recipes.of_pairs(recipes.read(START)), overrides), ours.dim)
    words = ours.text.words.partition("?")[0]
    start = replace(start, data=ours.data, pictures=replace(start.pictures, tower=ours.pictures.tower),
                    text=replace(start.text, words=words))  # fmt: skip
    said = any(one.partition("=")[0].strip() == "data.source" for one in overrides)
    source, note = (ours.data.source, "") if said else source_of(ours.data.root)
    stages: list[Stage] = []
    done: list[str] = [f"data.source={source}"]
    for change in (Change("the report's recipe", ()), *changes(ours)):
        done += change.assignments
        recipe = replace(settings.override(start, done), name=f"waterfall, {change.title}")
        found: list[Trial] = []
        for seed in seeds:
            found.append((yield from trials.run(replace(recipe, seed=seed)))[0])
        corrected = bool(found[0].corrected)
        stages.append(
            Stage(
                title=change.title,
                changed=change.assignments,
                figures={name: mean(found, name, corrected=corrected) for name in SHOWN},
                loss=sum(one.loss for one in found) / len(found),
                seeds=tuple(seeds),
                seconds=sum(one.seconds for one in found),
                findings=tuple(sorted({code for one in found for code in one.findings})),
            )
        )
    notes = tuple(one for one in (note, f"Changed for all rows: {', '.join(overrides)}." if overrides else "") if one)
    result = Waterfall(source, tuple(stages), notes)
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "waterfall.json", result.to_json().encode())
    return result
