"""``nearsight reproduce``: a published table, published beside measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearsight.cli import render
from nearsight.cli.train import epoch_line
from nearsight.core.events import Skipped

EXAMPLES = """nearsight reproduce table1
nearsight reproduce table1 --only report/triplet --only modern/triplet --seeds 3
nearsight reproduce table1 --set loop.epochs=1 --out /tmp/quick"""


def run(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="table1: descriptors on the MIT split.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PATH", help="Where rows and the table are kept.")] = Path(
        "runs"
    ),
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="RECIPE", help="Some rows only, by their recipe; repeatable.", show_default=False
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, metavar="N", help="Each row so often, with seeds 0, 1, ...")
    ] = 1,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting of all rows; the table says so.", show_default=False
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Reproduce a published table.

    Each row is trained as it was described, then as we would do it; the published value stands beside the measured one.
    Rows that are already there are not trained again; Ctrl-C saves, and the same command goes on. Needs the data set
    under NEARSIGHT_DATA.
    """
    from nearsight.learn.devices import keep_freed_memory

    keep_freed_memory()
    from nearsight.learn.history import Epoch
    from nearsight.study.pages.table import write_table_page
    from nearsight.study.training.reproduce import reproduce, table_named

    def see(event: object) -> None:
        if isinstance(event, Epoch):
            render.note(epoch_line(event))
        elif isinstance(event, Skipped) and event.path in rows:
            render.warn(f"{event.path}: {event.why}; {event.hint}")

    wanted = table_named(table)
    rows = {line.recipe for line in wanted.lines}
    work = reproduce(wanted, out, seeds=range(seeds), only=only or (), overrides=settings or (), device=device)
    done = render.watch(work, see)
    for line in render.table(done.rows(), right=(3, 4, 6, 7, 8)):
        render.out(line)
    for found in sorted({f"{cell.row}: {', '.join(cell.findings)}" for cell in done.cells if cell.findings}):
        render.out(f"doctor: {found}")
    for note in done.notes:
        render.out()
        for text in render.wrapped(note, 0):
            render.out(text)
    page = out / f"{done.name}.html"
    write_table_page(done, page)
    render.note(f"Table: {render.shown(out / f'{done.name}.json')}, {render.shown(page)}")
