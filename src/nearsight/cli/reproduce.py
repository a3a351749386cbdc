"""``nearsight reproduce``: a published table, published beside measured, and the way from there to ours."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol

import typer

from nearsight.cli import render
from nearsight.cli.index import skipped_table
from nearsight.cli.options import DeviceOption
from nearsight.cli.train import epoch_line
from nearsight.core.errors import InputError, UnknownName
from nearsight.core.events import Done, Skipped

EXAMPLES = """nearsight reproduce table1
nearsight reproduce table1 --only report/triplet --only modern/triplet --seeds 3
nearsight reproduce table2 --sizes 256,512
nearsight reproduce table3 --set loop.epochs=1 --out /tmp/quick
nearsight reproduce waterfall --out runs/waterfall"""

if TYPE_CHECKING:

    class Reproduced(Protocol):
        """What every table gives to a terminal."""

        @property
        def name(self) -> str: ...
        @property
        def notes(self) -> Sequence[str]: ...
        @property
        def findings(self) -> Sequence[str]: ...
        def lines(self) -> list[tuple[str, ...]]: ...


class _Work(NamedTuple):
    """The work, what writes its page, and which columns of its lines stand to the left."""

    events: Generator[Any, None, Reproduced]
    page: Callable[[Any, Path], None]
    left: tuple[int, ...] = (0,)


def run(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="table1: descriptors on the MIT split. table2, table3, table4: pictures and words, image-to-text, "
            "text-to-image, text-to-image with Faster R-CNN. waterfall: from the published recipe for pictures and "
            "words to ours, one change a row.",
        ),
    ],
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
        int | None,
        typer.Option(
            "--seeds", min=1, metavar="N", help="Each row so often, with seeds 0, 1, ... Default: 1; of waterfall: 3."
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            "--sizes",
            metavar="N,N",
            help="Of tables 2 to 4: lengths of the vectors. Default: 256,512,1024,2048,4096.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting of all rows; the table says so.", show_default=False
        ),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Reproduce a published table.

    Each row is trained as it was described, then as we would do it; the published value stands beside the measured one.
    Rows that are already there are not trained again; Ctrl-C saves, and the same command goes on. Needs the data sets
    under NEARSIGHT_DATA: the MIT split; Flickr30k, or Flickr8k where the pictures of the former are not there.
    """
    from nearsight.learn.devices import keep_freed_memory

    keep_freed_memory()
    from nearsight.learn.history import Epoch
    from nearsight.study.recipes import names

    rows, left_out = set(names()), dict[Skipped, None]()
    given: dict[str, Any] = {"overrides": settings or (), "device": device}
    if seeds is not None:
        given["seeds"] = range(seeds)
    work = _work(table, out, given, only or (), None if sizes is None else _numbers(sizes))

    def see(event: object) -> None:
        if isinstance(event, Epoch):
            render.note(epoch_line(event))
        elif isinstance(event, Done):
            render.note(f"{event.what}: {render.duration(event.seconds)}")
        elif isinstance(event, Skipped) and event.path in rows:
            render.warn(f"{event.path}: {event.why}; {event.hint}")
        elif isinstance(event, Skipped):
            left_out[event] = None

    done = render.watch(work.events, see)
    for line in skipped_table(list(left_out)):
        render.warn(line)
    lines = done.lines()
    for line in render.table(lines, right=[at for at in range(len(lines[0])) if at not in work.left]):
        render.out(line)
    for found in done.findings:
        render.out(f"doctor: {found}")
    for note in done.notes:
        render.out()
        for text in render.wrapped(note, 0):
            render.out(text)
    page = out / f"{done.name}.html"
    work.page(done, page)
    render.note(f"Table: {render.shown(page.with_suffix('.json'))}, {render.shown(page)}")


def _work(table: str, out: Path, given: dict[str, Any], only: Sequence[str], sizes: tuple[int, ...] | None) -> _Work:
    """Raises UnknownName for a table that does not exist, InputError (code ``reproduce/option``) for an option that it
    does not have."""
    from nearsight.study.crossmodal.tables import SIZES, reproduce_pairs
    from nearsight.study.crossmodal.tables import TABLES as PAIRS
    from nearsight.study.crossmodal.waterfall import Waterfall, waterfall
    from nearsight.study.pages.pair_table import write_pair_table_page
    from nearsight.study.pages.table import write_table_page
    from nearsight.study.pages.waterfall import write_waterfall_page
    from nearsight.study.training.reproduce import TABLES, reproduce

    if sizes is not None and table not in PAIRS:
        raise _without(table, "--sizes", f"only {', '.join(PAIRS)} have several sizes")
    if table in TABLES:
        work = reproduce(TABLES[table], out, only=only, **given)
        return _Work(work, write_table_page, left=(0, 1, 2, 5))
    if table in PAIRS:
        pairs = reproduce_pairs(PAIRS[table], out, only=only, sizes=sizes or SIZES, **given)
        return _Work(pairs, write_pair_table_page)
    if table != Waterfall.name:
        names = ", ".join((*TABLES, *PAIRS, Waterfall.name))
        raise UnknownName(f"there is no table '{table}'", hint=f"there are: {names}")
    if only:
        raise _without(table, "--only", "each row stands on the one above it: all are trained")
    return _Work(waterfall(out, **given), write_waterfall_page)


def _without(table: str, option: str, why: str) -> InputError:
    return InputError(f"{option} is nothing for {table}: {why}", code="reproduce/option", hint=f"leave out {option}")


def _numbers(sizes: str) -> tuple[int, ...]:
    """``256,512`` in rising order, each once. Raises InputError (code ``reproduce/option``)."""
    parts = sizes.replace(",", " ").split()
    if not parts or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise InputError(
            f"--sizes are lengths of vectors, not '{sizes}'", code="reproduce/option", hint="--sizes 256,512"
        )
    return tuple(sorted({int(part) for part in parts}))
