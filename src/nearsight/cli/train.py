"""``nearsight train``: a better search for your own pictures, and the proof beside it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from nearsight.cli import render
from nearsight.cli.index import skipped_table
from nearsight.cli.options import DeviceOption, RootOption
from nearsight.core.errors import InputError
from nearsight.core.events import Skipped

if TYPE_CHECKING:
    from nearsight.learn.history import Epoch
    from nearsight.learn.recipe import Plan
    from nearsight.study.crossmodal.train import PairOutcome
    from nearsight.study.training.run import Outcome

T = TypeVar("T")

EXAMPLES = """nearsight train --data products --out runs/products
nearsight train --data products.csv --split disjoint --loss multi_similarity --sampler 'pk?k=4'
nearsight train modern/small --root ~/data --set loop.epochs=5
nearsight train runs/products/recipe.toml --out runs/again --seed 1
nearsight train --data captions.csv --words transformers/all-MiniLM-L6-v2 --out runs/words"""

FLAGS = {
    "data": "data.source", "root": "data.root", "split": "data.split", "validation": "data.validation",
    "tower": "network.tower", "head": "network.head", "loss": "objective.loss", "miner": "objective.miner",
    "sampler": "objective.sampler", "epochs": "loop.epochs", "batch": "loop.batch", "lr": "loop.lr", "seed": "seed",
}  # fmt: skip
"""Flag -> the setting that it overrides."""
PAIR_FLAGS = {
    "data": "data.source", "root": "data.root", "tower": "pictures.tower", "words": "text.words",
    "loss": "objective.loss", "miner": "objective.miner", "sampler": "objective.sampler", "epochs": "loop.epochs",
    "batch": "loop.batch", "lr": "loop.lr", "seed": "seed",
}  # fmt: skip
"""The same where pictures have captions."""


def run(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE]",
            help="A recipe in TOML, or one that comes with nearsight (nearsight show recipes). Else: the defaults.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="FOLDER|TABLE|DATASET",
            help="A folder of class folders, a table (CSV or Parquet: path, label, and split if there is one), or a "
            "data set by name.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="PATH", help="Where everything goes. Default: runs/NAME.", show_default=False
        ),
    ] = None,
    root: RootOption = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="HOW",
            help="Of labelled pictures: given, stratified, disjoint (whole classes are kept for the test: products "
            "never seen), auto.",
            show_default=False,
        ),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            "--validation",
            metavar="SHARE",
            help="Share of labelled training pictures that is held out to choose the epoch by.",
            show_default=False,
        ),
    ] = None,
    tower: Annotated[
        str | None,
        typer.Option(
            "--tower",
            metavar="ADDRESS|ENCODER",
            help="The network that is trained, or an encoder folder to go on from. With captions it stays as it is, "
            "and heads are trained on its features.",
        ),
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(
            "--words",
            metavar="ADDRESS",
            help="Train on captions, to find pictures by words: the word vectors (nearsight show words). --data is "
            "then a data set with captions, or a table with columns path, caption and split (train, val, test).",
            show_default=False,
        ),
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", metavar="ADDRESS", help="What stands on the network, of labelled pictures.")
    ] = None,
    loss: Annotated[str | None, typer.Option("--loss", metavar="ADDRESS", help="Loss (nearsight show losses).")] = None,
    miner: Annotated[
        str | None, typer.Option("--miner", metavar="ADDRESS", help="Which pairs count (nearsight show miners).")
    ] = None,
    sampler: Annotated[
        str | None, typer.Option("--sampler", metavar="ADDRESS", help="What makes a batch (nearsight show samplers).")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Passes over the pictures.")] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", metavar="N", help="Pictures a step; with captions, both are counted.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", metavar="RATE", help="Learning rate; with captions, that of the heads.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="What everything random follows from.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any setting of a recipe (docs/training.md lists them): loop.ema=0.999; repeatable.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = "auto",
    fresh: Annotated[
        bool, typer.Option("--fresh", metavar="", help="Begin anew in --out instead of going on where it stopped.")
    ] = False,
    maps: Annotated[
        bool,
        typer.Option(
            "--maps/--no-maps", metavar="", help="Draw maps of the space into the report of labelled pictures."
        ),
    ] = True,
) -> None:
    """Train a descriptor on your own labelled pictures, or pictures and words on your captions.

    Measures on pictures that are not trained on, before and after where there are labels, writes an encoder folder that
    index, search and eval take as it is, and a report of one page. Ctrl-C saves; the same command goes on from there.
    """
    from nearsight.learn.devices import keep_freed_memory

    keep_freed_memory()
    known = {*FLAGS, *PAIR_FLAGS}
    given = {key: value for key, value in locals().items() if key in known and value is not None}
    chosen = resolved(recipe, given, settings or [])
    where = out or Path("runs") / (chosen.name.replace("/", "-") or "trained")
    from nearsight.learn.recipe import PairRecipe
    from nearsight.study.crossmodal.train import train_pairs
    from nearsight.study.training.run import train

    if isinstance(chosen, PairRecipe):
        pair_summary(watched(train_pairs(chosen, where, device=device, fresh=fresh)))
        return
    outcome = watched(train(chosen, where, device=device, fresh=fresh, maps=maps))
    if outcome.after:
        summary(outcome)


def resolved(recipe: str | None, flags: dict[str, object], settings: Sequence[str]) -> Plan:
    """The recipe with flags and --set in place. Raises SettingsError, UnknownName, InputError: ``recipe/data``,
    ``recipe/kind`` for a flag of the other kind of training."""
    from nearsight.core.settings import override
    from nearsight.learn.recipe import PairRecipe, Recipe
    from nearsight.study.recipes import read

    base: Plan = PairRecipe() if "words" in flags else Recipe()
    if recipe is not None:
        base = read(recipe)
    pairs = isinstance(base, PairRecipe)
    names = PAIR_FLAGS if pairs else FLAGS
    if strange := [key for key in flags if key not in names]:
        raise InputError(
            f"--{strange[0]} is nothing for {'pictures with captions' if pairs else 'labelled pictures'}",
            code="recipe/kind",
            hint="--set pictures.head=... and --set text.head=...; splits come with the data (data.train, "
            "data.validation, data.test)"
            if pairs
            else "a recipe with a table [text], or no recipe",
        )
    made = [f"{names[key]}={value}" for key, value in flags.items() if key != "data"]
    if "data" in flags:
        made += source_of(str(flags["data"]))
    found = override(base, [*made, *settings])
    if not found.data.source:
        raise InputError(
            "no pictures were named",
            code="recipe/data",
            hint="nearsight train --data TABLE, with columns path and caption"
            if pairs
            else "nearsight train --data FOLDER, one class folder each",
        )
    return found


def source_of(data: str) -> list[str]:
    """The assignments that --data stands for. A path stands beside its address, not in it: it may hold any signs."""
    path = Path(data).expanduser()
    if path.exists():
        return [f"data.source={'folder' if path.is_dir() else 'table'}", f"data.root={path.resolve()}"]
    return [f"data.source={data}"]


def watched(work: Generator[Any, None, T]) -> T:
    """Run a training; epochs, findings and what was left out are told as they come."""
    from nearsight.learn.history import Epoch

    skipped: list[Skipped] = []
    known: set[str] = set()

    def see(event: object) -> None:
        if isinstance(event, Skipped):
            skipped.append(event)
        elif isinstance(event, Epoch):
            render.note(epoch_line(event))
            for finding in event.health.findings:
                if finding.code not in known:
                    known.add(finding.code)
                    render.warn(f"{finding.what}  [{finding.code}]")
                    render.warn(f"  repair: {finding.repair}")

    outcome = render.watch(work, see)
    for line in skipped_table(list(dict.fromkeys(skipped))):
        render.warn(line)
    return outcome


def epoch_line(epoch: Epoch) -> str:
    """``epoch  3 of 10   loss 0.412   held out 0.843 *   31 s``."""
    width = len(str(epoch.of))
    parts = [f"epoch {epoch.epoch:>{width}} of {epoch.of}", f"loss {epoch.loss:.4f}"]
    if epoch.validation is not None:
        parts.append(f"held out {epoch.validation:.4f}" + (" *" if epoch.best else ""))
    rate = epoch.pictures / epoch.seconds if epoch.seconds else 0.0
    return "   ".join([*parts, render.duration(epoch.seconds), f"{rate:,.0f} pictures/s"])


def summary(outcome: Outcome) -> None:
    """Before and after, and what to do next."""
    from nearsight.study.report import compare
    from nearsight.study.verdict import judge

    render.out(judge(outcome.before, outcome.after).sentence)
    render.out()
    for before, after in zip(outcome.before, outcome.after, strict=True):
        card = after.card
        render.out(f"{card.dataset} {card.protocol}: {after.queries:,} queries in {after.gallery:,} pictures")
        rows = [("measure", "before", "after", "difference", "95% interval", "chance", "")]
        floors = {row.label: row.floor for row in after.measures}
        for change in compare(before, after, varying=("encoder", "selection_split", "transductive")):
            span = change.difference
            rows.append(
                (
                    change.label, f"{change.before:.4f}", f"{change.after:.4f}", f"{span.value:+.4f}",
                    f"{span.low:+.4f} .. {span.high:+.4f}", f"{floors[change.label]:.4f}",
                    "" if change.clear else "could be chance",
                )
            )  # fmt: skip
        for line in render.table(rows, right=(1, 2, 3, 4, 5), indent=2):
            render.out(line)
        render.out()
    encoder = render.shown(outcome.folder / "encoder")
    render.out(f"Encoder: {encoder}    Report: {render.shown(outcome.folder / 'report.html')}")
    render.out(f"Use it:  nearsight index FOLDER --encoder {encoder}")
    render.note(render.aside(f"{render.duration(outcome.seconds)} in all"))


def pair_summary(outcome: PairOutcome) -> None:
    """Both ways, as the vectors are and corrected, and what to do next."""
    for report in (outcome.report, outcome.corrected):
        if report is None:
            continue
        render.out(report.summary())
        for line in render.table(report.table(), right=(2, 4), indent=2):
            render.out(line)
        render.out()
    encoder = render.shown(outcome.folder / "encoder")
    if outcome.report is not None:
        render.out(f"Report:  {render.shown(outcome.folder / 'report.html')}")
    if outcome.encoder:
        render.out(f"Encoder: {encoder}")
        render.out(f"Use it:  nearsight index FOLDER --encoder {encoder}, then nearsight search 'some words'")
    else:
        render.warn("No encoder was saved: this image tower does not become a graph. The figures stand.")
    render.note(render.aside(f"{render.duration(outcome.seconds)} in all"))
