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
from nearsight.core.errors import DatasetError, Unreachable
from nearsight.core.registry import Address
from nearsight.learn.recipe import PairRecipe
from nearsight.study import recipes
from nearsight.study.crossmodal.features import dataset_of
from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS
from nearsight.study.crossmodal.trials import RSUM, Happening, Summary, Trials
from nearsight.study.published import changed, require_rows, stand_in

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
    measured   with the recipe's hubness correction where it has one
    """

    title: str
    recipe: str
    dim: int
    published: tuple[float, float, float] | None
    measured: Summary
    note: str = ""

    def published_losses(self) -> str:
        """Train / validation; a dash for rows that are ours."""
        return "-" if self.published is None else f"{self.published[0]:.3f} / {self.published[1]:.3f}"

    def published_accuracy(self) -> str:
        """A dash for rows that are ours."""
        return "-" if self.published is None else f"{self.published[2]:.3f}"

    def losses(self) -> str:
        """Train / validation, as measured."""
        both = (self.measured.loss, self.measured.validation_loss)
        return " / ".join("-" if loss is None else f"{loss:.3f}" for loss in both)


@dataclass(frozen=True, slots=True)
class PairTableDone:
    """A table as it was reproduced."""

    name: str
    title: str
    way: str
    data: str
    rows: tuple[PairRow, ...]
    notes: tuple[str, ...]

    @property
    def accuracy(self) -> str:
        """The figure that stands beside the published accuracy."""
        return f"{self.way} triplet accuracy"

    @property
    def findings(self) -> list[str]:
        """What the doctor found and why rows have no figures, row by row."""
        return [told for row in self.rows for told in row.measured.remarks(f"{row.title}, {row.dim}")]

    def to_json(self) -> str:
        """{format, version, made_by, name, title, way, data, rows: [...], notes: [...]}."""
        body = {"format": FORMAT, "version": VERSION, "made_by": made_by(), **asdict(self)}
        return json.dumps(body, indent=1, allow_nan=False) + "\n"

    def lines(self) -> list[tuple[str, ...]]:
        """For a terminal, the first one the header. Losses are train / validation, R@k are percent."""
        lines: list[tuple[str, ...]] = [
            ("row", "size", "published", "acc", "losses", "triplet acc", "i2t R@1/5/10", "t2i R@1/5/10", "rSum",
             "interval", "minutes")
        ]  # fmt: skip
        for row in self.rows:
            found = row.measured
            lines.append(
                (
                    row.title, str(row.dim), row.published_losses(), row.published_accuracy(), row.losses(),
                    found.told(self.accuracy, ".3f"), found.recalls(TO_TEXTS), found.recalls(TO_IMAGES),
                    found.told(RSUM), found.interval(), f"{found.seconds / 60:.1f}",
                )
            )  # fmt: skip
        return lines


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


def source_of(recipe: PairRecipe, overrides: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The data that all rows take, and a note where it is not the published set: what `overrides` say, else the first
    of SETS whose pictures are there. Raises DatasetError."""
    chosen = settings.override(recipe, overrides).data
    if any(one.partition("=")[0].strip() == "data.source" for one in overrides):
        return chosen.source, ()
    missing: list[DatasetError] = []
    for name in SETS:
        try:
            dataset_of(replace(chosen, source=name))
        except DatasetError as error:
            missing.append(error)
            continue
        return name, tuple(f"Measured on {name}, not on {SETS[0]}: {error.message}." for error in missing[:1])
    raise missing[0]


def named(recipe: str, overrides: Sequence[str] = ()) -> PairRecipe:
    """A recipe for pictures with captions, by name. Raises what reading and overriding raise."""
    return settings.override(recipes.of_pairs(recipes.read(recipe)), overrides)


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
) -> Generator[Happening, None, PairTableDone]:
    """Train and measure the rows, each at every size and with every seed, and write NAME.json into `folder`.

    `only`: recipes to take. `overrides` are assignments for all recipes (``loop.epochs=1``); they are noted. Raises
    what `Trials.run` raises.
    """
    require_rows(table.name, (table.recipe, OURS), only)
    trials = trials or Trials(folder, device=device)
    source, notes = source_of(named(table.recipe), overrides)
    given = (*overrides, f"data.source={source}")
    rows: list[PairRow] = []
    if table.recipe in only or not only:
        taken, note = table.recipe, ""
        try:
            yield from trials.featured(named(taken, given))
        except Unreachable as error:
            taken = table.stand_in
            note, told = stand_in(table.recipe, taken, error)
            yield told
        title = f"as published, {_WAYS[table.way]}"
        for dim in sizes:
            recipe = at_size(named(taken, given), dim)
            rows += yield from _rows(trials, recipe, seeds, title, table.published.get(dim), note)
        notes += (note,) if note else ()
    if OURS in only or not only:
        ours = named(OURS, given)
        for dim in sizes:
            rows += yield from _rows(trials, at_size(ours, dim), seeds, "ours, both ways")
        if len(sizes) > 1:
            *short, whole = sorted(sizes)
            goal = replace(ours.objective, prefixes=tuple(short))
            recipe = replace(at_size(ours, whole), objective=goal)
            rows += yield from _rows(trials, recipe, seeds, "ours, one training for all sizes")
    notes += (*table.notes, *changed(overrides))
    done = PairTableDone(table.name, table.title, table.way, source, tuple(rows), notes)
    replace_file(folder / f"{table.name}.json", done.to_json().encode())
    return done


def _rows(
    trials: Trials,
    recipe: PairRecipe,
    seeds: Sequence[int],
    title: str,
    told: tuple[float, float, float] | None = None,
    note: str = "",
) -> Generator[Happening, None, list[PairRow]]:
    """One row for each length of vectors that the recipe serves."""
    lengths = yield from trials.seeds(recipe, seeds)
    rows = [PairRow(title, recipe.name, some[0].dim, told, Summary.of(some, corrected=True), note) for some in lengths]
    return sorted(rows, key=lambda row: row.dim)
