"""The report's tables of pictures and words, row by row: published beside measured, and ours at the same sizes.

Each row is a training of two heads on features that are taken once, kept as figures (`trials`): a row that is there is
not trained again. Where the weights of a row's network must be downloaded and cannot, the packed MobileNetV2 stands in
and the table says so; so it does where the pictures of Flickr30k are not there and Flickr8k is taken.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from nearsight.core import settings
from nearsight.core.artefact import made_by, replace_file
from nearsight.core.errors import DatasetError, UnknownName, Unreachable
from nearsight.core.events import Event, Skipped
from nearsight.core.registry import Address
from nearsight.data.datasets import load
from nearsight.learn.history import Epoch, Progress
from nearsight.learn.recipe import PairRecipe
from nearsight.study import recipes
from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS
from nearsight.study.crossmodal.trials import Figure, Trial, Trials, mean

FORMAT, VERSION = "nearsight-pair-table", 1
SIZES = (256, 512, 1024, 2048, 4096)
OURS = "modern/words"
SETS = ("karpathy/flickr30k", "karpathy/flickr8k")
"""The published set, and what is taken where its pictures are not."""
_WAYS = {TO_TEXTS: "image-to-text", TO_IMAGES: "text-to-image"}


@dataclass(frozen=True, slots=True)
class PairTable:
    """One published table. ``published``: size -> its train loss, validation loss and accuracy."""

    name: str
    title: str
    way: str
    recipe: str
    stand_in: str
    published: Mapping[int, tuple[float, float, float]]
    notes: tuple[str, ...]


_NOTES = (
    "The report's accuracy: neither its gallery nor its k is stated. Beside it stands the triplet accuracy of the "
    "trained direction (the share of strangers of the split that are farther than the right one; chance is 0.5) and "
    "R@k both ways over the whole test split. They cannot be the same thing: the published values lie below the chance "
    "of the first.",
    "The report's captions and its text disagree on which of its tables is which direction: a table is trained in the "
    "direction that its caption says, and measured in both.",
    "Losses are those of each row's own objective: they can be compared down a column only for rows of one recipe. "
    "Everything is searched by cosine.",
)
TABLES = {
    table.name: table
    for table in (
        PairTable(
            "table2", "Image-to-text, VGG and the mean of fastText words", TO_TEXTS,
            "report/vgg_image_to_text", "report/packed_image_to_text",
            {256: (0.146, 0.163, 0.103), 512: (0.145, 0.172, 0.099), 1024: (0.138, 0.169, 0.087),
             2048: (0.137, 0.158, 0.102), 4096: (0.152, 0.206, 0.093)},
            _NOTES,
        ),
        PairTable(
            "table3", "Text-to-image, VGG and the sum of fastText words", TO_IMAGES,
            "report/vgg_text_to_image", "report/packed_text_to_image",
            {256: (0.275, 0.309, 0.344), 512: (0.319, 0.367, 0.358), 1024: (0.489, 0.567, 0.344),
             2048: (0.558, 0.771, 0.368), 4096: (0.832, 1.704, 0.334)},
            _NOTES,
        ),
        PairTable(
            "table4", "Text-to-image, Faster R-CNN and the sum of fastText words", TO_IMAGES,
            "report/faster_rcnn_text_to_image", "report/packed_text_to_image",
            {256: (0.162, 0.210, 0.422), 512: (0.160, 0.184, 0.427), 1024: (0.167, 0.170, 0.420),
             2048: (0.186, 0.252, 0.419), 4096: (0.222, 0.300, 0.412)},
            _NOTES,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PairRow:
    """One row: a recipe at one size, over its seeds.

    published  train loss, validation loss, accuracy; None for rows that are ours
    figures    ``rSum``, ``image->text R@1``, ...: mean over seeds with their spread, or of one seed its 95% interval;
               with the recipe's hubness correction where it has one
    """

    title: str
    recipe: str
    dim: int
    published: tuple[float, float, float] | None
    loss: float
    validation_loss: float | None
    figures: Mapping[str, Figure]
    seeds: tuple[int, ...]
    minutes: float
    findings: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class PairTableDone:
    """A table as it was reproduced."""

    name: str
    title: str
    way: str
    data: str
    rows: tuple[PairRow, ...]
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """{format, version, made_by, name, title, way, data, rows: [...], notes: [...]}."""
        return json.dumps({"format": FORMAT, "version": VERSION, "made_by": made_by(), **asdict(self)}, indent=1) + "\n"

    def lines(self) -> list[tuple[str, ...]]:
        """For a terminal, the first one the header. Losses are train / validation, R@k are percent."""
        lines: list[tuple[str, ...]] = [
            ("row", "size", "published", "acc", "losses", "triplet acc", "i2t R@1/5/10", "t2i R@1/5/10", "rSum",
             "interval", "minutes")
        ]  # fmt: skip
        for row in self.rows:
            rsum = row.figures["rSum"]
            lines.append(
                (
                    row.title, str(row.dim), *published(row), losses(row),
                    f"{row.figures[f'{self.way} triplet accuracy'].value:.3f}",
                    recalls(row, TO_TEXTS), recalls(row, TO_IMAGES), f"{rsum.value:.1f}",
                    f"{rsum.low:.1f} .. {rsum.high:.1f}", f"{row.minutes:.1f}",
                )
            )  # fmt: skip
        return lines


def published(row: PairRow) -> tuple[str, str]:
    """Losses and accuracy as they were published."""
    if row.published is None:
        return "-", "-"
    return f"{row.published[0]:.3f} / {row.published[1]:.3f}", f"{row.published[2]:.3f}"


def losses(row: PairRow) -> str:
    """Train / validation."""
    return f"{row.loss:.3f} / " + ("-" if row.validation_loss is None else f"{row.validation_loss:.3f}")


def recalls(row: PairRow, way: str) -> str:
    """R@1 / R@5 / R@10 in percent."""
    return " / ".join(f"{100 * row.figures[f'{way} R@{k}'].value:.1f}" for k in (1, 5, 10))


def at_size(recipe: PairRecipe, dim: int) -> PairRecipe:
    """The recipe at another size; layers between, where they were as wide as the vectors, go on being so."""

    def head(address: str) -> str:
        if Address.parse(address).options.get("hidden") != str(recipe.dim):
            return address
        return address.replace(f"hidden={recipe.dim}", f"hidden={dim}")

    return replace(
        recipe,
        dim=dim,
        pictures=replace(recipe.pictures, head=head(recipe.pictures.head)),
        text=replace(recipe.text, head=head(recipe.text.head)),
    )


def source_of(root: str) -> tuple[str, str]:
    """The first of SETS whose pictures are there, and a note where it is not the published one. Raises DatasetError."""
    first: DatasetError | None = None
    for name in SETS:
        try:
            load(name, Path(root).expanduser() if root else None)
        except DatasetError as error:
            first = first or error
            continue
        note = "" if first is None else f"Measured on {name}, not on {SETS[0]}: {first.message}."
        return name, note
    raise first if first is not None else DatasetError("no captioned pictures", code="dataset/missing")


def reproduce_pairs(
    table: PairTable,
    folder: Path,
    *,
    seeds: Sequence[int] = (0,),
    sizes: Sequence[int] = SIZES,
    only: Sequence[str] = (),
    overrides: Sequence[str] = (),
    device: str = "auto",
    trials: Trials | None = None,
) -> Generator[Event | Progress | Epoch, None, PairTableDone]:
    """Train and measure the rows, each at every size and with every seed, into `folder`.

    `only`: recipes to take. `overrides` are assignments for all recipes (``loop.epochs=1``); they are noted. Raises
    what `Trials.run` raises.
    """
    known = (table.recipe, OURS)
    if unknown := set(only) - set(known):
        raise UnknownName(f"{table.name} has no row {', '.join(sorted(unknown))}", hint=f"its rows: {', '.join(known)}")
    trials = trials or Trials(folder, device=device)
    root = settings.override(_named(table.recipe), overrides).data.root
    said = any(one.partition("=")[0].strip() == "data.source" for one in overrides)
    source, note = ("", "") if said else source_of(root)
    overrides = [*([f"data.source={source}"] if source else []), *overrides]
    rows: list[PairRow] = []
    taken, instead = table.recipe, ""
    if table.recipe in only or not only:
        try:
            yield from trials.featured(settings.override(_named(taken), overrides))
        except Unreachable as error:
            taken, instead = table.stand_in, f"{table.stand_in} stands in: {error.message}"
            yield Skipped(table.recipe, error.code, error.message, f"{table.stand_in} stands in for it")
        for dim in sizes:
            recipe = at_size(settings.override(_named(taken), overrides), dim)
            title = f"as published, {_WAYS[table.way]}"
            rows.append((yield from _row(trials, recipe, seeds, title, table.published.get(dim), instead)))
    if OURS in only or not only:
        ours = settings.override(_named(OURS), overrides)
        for dim in sizes:
            rows.append((yield from _row(trials, at_size(ours, dim), seeds, "ours, both ways", None, "")))
        if len(sizes) > 1:
            rows += yield from _nested(trials, ours, sizes, seeds)
    data = source or settings.override(_named(OURS), overrides).data.source
    changed = f"Changed for all rows: {', '.join(overrides)}." if said or len(overrides) > 1 else ""
    notes = tuple(one for one in (note, instead, *table.notes, changed) if one)
    done = PairTableDone(table.name, table.title, table.way, data, tuple(rows), notes)
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / f"{table.name}.json", done.to_json().encode())
    return done


def _named(name: str) -> PairRecipe:
    return recipes.of_pairs(recipes.read(name))


def _nested(
    trials: Trials, ours: PairRecipe, sizes: Sequence[int], seeds: Sequence[int]
) -> Generator[Event | Progress | Epoch, None, list[PairRow]]:
    """One training that serves all sizes, beside one for each."""
    recipe = at_size(ours, max(sizes))
    goal = replace(recipe.objective, prefixes=tuple(sorted(sizes)[:-1]))
    runs: list[tuple[Trial, ...]] = []
    for seed in seeds:
        runs.append((yield from trials.run(replace(recipe, objective=goal, seed=seed))))
    rows = [_summed([run[at] for run in runs], "ours, one training", None, "") for at in range(len(runs[0]))]
    return sorted(rows, key=lambda row: row.dim)


def _row(
    trials: Trials,
    recipe: PairRecipe,
    seeds: Sequence[int],
    title: str,
    told: tuple[float, float, float] | None,
    note: str,
) -> Generator[Event | Progress | Epoch, None, PairRow]:
    found: list[Trial] = []
    for seed in seeds:
        found.append((yield from trials.run(replace(recipe, seed=seed)))[0])
    return _summed(found, title, told, note)


def _summed(trials: Sequence[Trial], title: str, told: tuple[float, float, float] | None, note: str) -> PairRow:
    first, n = trials[0], len(trials)
    validation = [one.validation_loss for one in trials if one.validation_loss is not None]
    return PairRow(
        title=title,
        recipe=first.recipe,
        dim=first.dim,
        published=told,
        loss=sum(one.loss for one in trials) / n,
        validation_loss=sum(validation) / n if len(validation) == n else None,
        figures={name: mean(trials, name, corrected=bool(first.corrected)) for name in first.best},
        seeds=tuple(one.seed for one in trials),
        minutes=sum(one.seconds for one in trials) / n / 60,
        findings=tuple(sorted({code for one in trials for code in one.findings})),
        note=note,
    )
