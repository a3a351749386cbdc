"""``nearsight compare``: which loss is best for these pictures, every one given the same budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearsight.cli import render
from nearsight.cli.index import skipped_table
from nearsight.cli.options import DeviceOption, RootOption
from nearsight.cli.train import resolved
from nearsight.core.events import Skipped

if TYPE_CHECKING:
    from nearsight.study.comparing.compare import Tried
    from nearsight.study.comparing.comparison import Comparison

EXAMPLES = """nearsight compare --data products --loss triplet --loss supcon --loss normalised_softmax
nearsight compare --data products --contender 'triplet,miner=semi_hard,sampler=pk?k=4' --loss supcon --trials 16
nearsight compare recipe.toml --loss arcface --loss proxy_anchor --search tpe --out runs/margins"""


def run(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE]",
            help="Everything but the objective: a recipe in TOML, or one that comes with nearsight.",
            show_default=False,
        ),
    ] = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(
            "--loss",
            metavar="ADDRESS",
            help="A loss to compare, with the sampler that suits it; a number in its address is not searched; "
            "repeatable.",
            show_default=False,
        ),
    ] = None,
    contender: Annotated[
        list[str] | None,
        typer.Option(
            "--contender",
            metavar="LOSS,KEY=ADDRESS",
            help="A loss with its own miner=, sampler= or target=; repeatable.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="FOLDER|TABLE|DATASET",
            help="A folder of class folders, a table (CSV or Parquet: path, label), or a data set by name.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="PATH", help="Where trials, the result and its page go.")
    ] = Path("runs/compare"),
    root: RootOption = None,
    trials: Annotated[
        int, typer.Option("--trials", min=1, metavar="N", help="Settings tried of each loss; the first: its defaults.")
    ] = 8,
    folds: Annotated[
        int,
        typer.Option("--folds", min=2, metavar="N", help="Parts of the training classes; each validates once a trial."),
    ] = 4,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, metavar="N", help="Trainings of each loss's best setting for the test.")
    ] = 3,
    search: Annotated[
        str,
        typer.Option(
            "--search", metavar="NAME", help="How settings are drawn: random (alike for all), or tpe (extra `search`)."
        ),
    ] = "random",
    tower: Annotated[
        str | None, typer.Option("--tower", metavar="ADDRESS|ENCODER", help="The network that is trained.")
    ] = None,
    head: Annotated[str | None, typer.Option("--head", metavar="ADDRESS", help="What stands on its features.")] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="N", help="Passes over the pictures in every training.")
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", metavar="N", help="Pictures a step.")] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", metavar="RATE", help="The learning rate that is searched around.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="What draws and trainings follow from (splits: data.seed)."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any setting of a recipe (docs/training.md lists them): loop.clip=1; repeatable.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Compare losses on your own labelled pictures, each with the same budget.

    Every loss gets the same number of trials of its learning rates and its own numbers, judged on folds of the training
    classes; its best setting is trained anew and judged once on classes that nothing saw before. Ctrl-C saves; the same
    command goes on from there.
    """
    from nearsight.learn.devices import keep_freed_memory

    keep_freed_memory()
    from nearsight.study.comparing.compare import Tried, compare
    from nearsight.study.comparing.contenders import Contender, search_named
    from nearsight.study.recipes import of_pictures

    flags = ("data", "root", "tower", "head", "epochs", "batch", "lr", "seed")
    given = {key: value for key, value in locals().items() if key in flags and value is not None}
    chosen = of_pictures(resolved(recipe, given, settings or []))
    wanted = [Contender(one) for one in loss or []] + [Contender.parse(one) for one in contender or []]
    skipped: dict[str, Skipped] = {}

    def see(event: object) -> None:
        if isinstance(event, Skipped):
            skipped[event.path] = event
        elif isinstance(event, Tried):
            (render.warn if event.failed else render.note)(line_of(event))

    work = compare(
        chosen, wanted, out, trials=trials, folds=folds, seeds=seeds, search=search_named(search), device=device
    )
    found = render.watch(work, see)
    for text in skipped_table(list(skipped.values())):
        render.warn(text)
    summary(found, out)


def line_of(event: Tried) -> str:
    """``triplet   trial 2 of 8   0.8123 *   loop.lr=0.0002, margin=0.1``."""
    from nearsight.study.comparing.comparison import share, told

    score = share(event.score) + (" *" if event.best else "")
    parts = [event.contender, event.what, event.failed or score, told(event.setting)]
    return "   ".join(parts) + ("   (done before)" if event.again else "")


def summary(found: Comparison, folder: Path) -> None:
    """The table, what failed, and what to do next."""
    for line in render.table(found.table(), right=(1, 2, 5, 6, 8)):
        render.out(line)
    render.out(f"chance: {found.chance:.4f}; {found.protocol['test']}")
    for row in found.rows:
        for failure in row.failures:
            render.warn(f"{row.name}, {failure}")
    for note in found.notes:
        for text in render.wrapped(note, 0):
            render.note(text)
    render.out(f"Page: {render.shown(folder / 'compare.html')}    Data: {render.shown(folder / 'compare.json')}")
    if (folder / "best.toml").exists():
        render.out(f"Use it:  nearsight train {render.shown(folder / 'best.toml')}")
