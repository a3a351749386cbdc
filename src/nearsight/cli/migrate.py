"""``nearsight migrate``: another encoder for a collection, while it goes on answering."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearsight.cli import answers, places, render
from nearsight.cli.index import skipped_table
from nearsight.cli.ladder import remember_speed
from nearsight.cli.options import WorkersOption
from nearsight.core.errors import InputError, StoreError
from nearsight.core.events import Done

if TYPE_CHECKING:
    from PIL.Image import Image

    from nearsight.search.collection import Collection
    from nearsight.search.migration import Migration
    from nearsight.study.migration import Compared

EXAMPLES = """nearsight migrate ~/Pictures --encoder bundled
nearsight migrate shop.ns --switch
nearsight migrate shop.ns --encoder timm/resnet50.a1_in1k --sheet different.png --yes
nearsight migrate shop.ns --back
nearsight migrate shop.ns --forget-old"""
_SHOWN = 5
"""Neighbours of a query on the contact sheet."""


def run(
    collection: places.CollectionArgument = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            "-e",
            metavar="ADDRESS",
            help="What shall make the vectors: an address (nearsight show encoders) or an encoder folder. Without it, "
            "what was begun goes on.",
            show_default=False,
        ),
    ] = None,
    switch: Annotated[
        bool,
        typer.Option(
            "--switch",
            "--yes",
            "-y",
            metavar="",
            help="Let the new encoder answer as soon as it is ready, without asking.",
        ),
    ] = False,
    back: Annotated[
        bool,
        typer.Option(
            "--back", metavar="", help="Let the encoder before answer again, with everything that has come since."
        ),
    ] = False,
    forget_old: Annotated[
        bool,
        typer.Option(
            "--forget-old",
            metavar="",
            help="Remove the vectors that do not answer, for good: of the encoder before, or what was begun.",
        ),
    ] = False,
    drop_missing: Annotated[
        bool,
        typer.Option(
            "--drop-missing",
            metavar="",
            help="Switch although there are pictures that cannot be encoded again: they stay with the encoder before, "
            "until that is forgotten, and are not found meanwhile.",
        ),
    ] = False,
    queries: Annotated[
        int, typer.Option("--queries", min=1, metavar="N", help="How many pictures search for their neighbours.")
    ] = 200,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet",
            metavar="FILE.png",
            help="Also draw what both find for the queries that they differ most about.",
            show_default=False,
        ),
    ] = None,
    workers: WorkersOption = None,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON object.")] = False,
) -> None:
    """Give a collection another encoder, while it goes on answering.

    Encodes every picture again beside what is there, under the same keys; compares what both find; and switches when it
    is told to, in one step. Labels, captions and judgements stay. Ctrl-C keeps what is done, and the same command goes
    on from there. Until the switch the old vectors answer, and they are kept until --forget-old.
    """
    from nearsight.encode.quantize import stated
    from nearsight.search.migration import Migration, forget

    folder = places.find(collection)
    if back and encoder is not None:
        raise InputError(
            "--back is the way to the encoder before, and takes no other",
            code="migrate/options",
            hint="leave --encoder out",
        )
    if forget_old:
        gone = forget(folder)
        render.note(f"{render.shown(folder)}: the vectors of {render.brief(gone)} are gone")
        return
    made = _made(folder, encoder)
    with Migration(folder, made, workers=workers) as migration:
        old, new = (_name(one) for one in (migration.old, migration.new))
        render.note(f"{render.shown(folder)}: {old} answers; {new} beside it")
        if made is not None and made.tower.fitted and (told := stated(made.spec.identity)):
            render.note(told)
        if back and not migration.answered:
            raise StoreError(
                f"{new} has never answered: there is no way back to it",
                code="migrate/none",
                hint=f"go on with it (nearsight migrate {render.shown(folder)}), or give it up: --forget-old",
            )
        done = _encode(migration)
        compared = None if back else _compare(migration, queries)
        if compared is not None and sheet is not None:
            answers.save(_sheet(migration, compared), sheet)
        if as_json:
            facts = _facts(migration, done, compared)
        elif compared is not None:
            _print(compared, old, new)
        switched = back or switch or (not as_json and _asked(migration, new, drop_missing))
        if switched:
            render.watch(migration.switch(drop_missing=drop_missing))
        if as_json:
            render.line({**facts, "switched": switched})
        _say(folder, old, new, switched)


def _made(folder: Path, encoder: str | None) -> Any:
    from nearsight.encode import create

    places.opened(folder).close()  # what is no collection needs no encoder, which may have to be downloaded
    return create(encoder) if encoder is not None else None


def _name(one: Collection) -> str:
    return render.brief(one.store.manifest["encoder"])


def _encode(migration: Migration) -> Done:
    done = Done("migrate")

    def see(event: object) -> None:
        nonlocal done
        done = event if isinstance(event, Done) else done

    try:
        render.watch(render.generator(migration.encode()), see)
    except (render.Stopped, KeyboardInterrupt):
        raise render.Stopped(
            f"stopped; {len(migration.new):,} of {len(migration.old):,} pictures are encoded. "
            "The same command goes on from here."
        ) from None
    pace = f", {done.counts['encoded'] / done.seconds:,.0f} a second" if done.seconds > 0.5 else ""
    took = f"{render.duration(done.seconds)}{pace}"
    render.note(f"{done.counts['items']:,} pictures: {done.counts['encoded']:,} encoded now ({took})")
    remember_speed(migration.new.store.manifest["encoder"], done.counts["encoded"], done.seconds)
    for text in skipped_table(list(migration.missing.values())):
        render.note(text)
    return done


def _compare(migration: Migration, queries: int) -> Compared | None:
    from nearsight.core.errors import DatasetError
    from nearsight.study.migration import compare

    try:
        return render.watch(compare(migration.old, migration.new, queries=queries))
    except DatasetError as error:
        render.note(f"not compared: {error.message}")
        return None


def _print(found: Compared, old: str, new: str) -> None:
    from nearsight.study.migration import K

    rows = [["", "old", "new", "chance"]]
    if found.old is not None and found.new is not None:
        for before, after in zip(found.old.measures, found.new.measures, strict=True):
            rows.append([before.label, _interval(before), _interval(after), f"{before.floor:.3f}"])
    overlap = found.overlap
    rows.append([f"same of {K} neighbours", "", _interval(overlap), f"{found.floor:.3f}"])
    render.out(f"old: {old}, new: {new}; {found.queries:,} queries among {found.items:,} pictures")
    for line in render.table(rows):
        render.out(line)
    for change in found.changes:
        span = change.difference
        doubt = "" if change.clear else ", which could be chance"
        render.out(f"{change.label}: {span.value:+.3f} ({span.low:+.3f} .. {span.high:+.3f}){doubt}")


def _interval(row: Any) -> str:
    return f"{row.value:.3f} ({row.low:.3f} .. {row.high:.3f})"


def _facts(migration: Migration, done: Done, found: Compared | None) -> dict[str, Any]:
    from dataclasses import asdict

    body: dict[str, Any] = {
        "old": migration.old.store.manifest["encoder"],
        "new": migration.new.store.manifest["encoder"],
        **done.counts,
        "seconds": round(done.seconds, 3),
        "skipped": [{"key": key, **asdict(one)} for key, one in migration.missing.items()],
    }
    if found is not None:
        reports = {"old": found.old, "new": found.new}
        body["compared"] = {
            "queries": found.queries,
            "items": found.items,
            "overlap": {**asdict(found.overlap), "floor": found.floor},
            "measures": {name: [asdict(row) for row in report.measures] for name, report in reports.items() if report},
            "changes": {one.label: asdict(one.difference) for one in found.changes},
            "most": [asdict(one) for one in found.most],
        }
    return body


def _asked(migration: Migration, new: str, drop_missing: bool) -> bool:
    """A person is asked; a program must say so."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or (migration.missing and not drop_missing):
        return False
    return typer.confirm(f"Let {new} answer from now on?", default=False, err=True)


def _say(folder: Path, old: str, new: str, switched: bool) -> None:
    place = render.shown(folder)
    if switched:
        render.note(f"{new} answers now. The vectors of {old} are kept:")
        render.note(render.aside(f"  back to them: nearsight migrate {place} --back"))
        render.note(render.aside(f"  remove them:  nearsight migrate {place} --forget-old"))
    else:
        render.note(f"{old} answers, as before.")
        render.note(render.aside(f"  let {new} answer: nearsight migrate {place} --switch"))
        render.note(render.aside(f"  give it up: nearsight migrate {place} --forget-old"))


def _sheet(migration: Migration, found: Compared) -> Image:
    """For each query that they differ most about, a strip of what the old encoder finds and one of the new."""
    from nearsight.study.pages.sheet import SIDE, Cell, contact_sheet, flowed
    from nearsight.study.pictures import Pictures

    pictures = Pictures.default()
    items = {item.key: item for item in migration.old.items(_keys(found))}

    def cell(key: int, score: float | None = None, right: bool | None = None) -> Cell:
        item = items[key]
        return Cell(pictures.show(item.path, SIDE), item.label or item.path.name, score, right)

    strips = []
    for one in found.most:
        label = items[one.key].label
        for name, best in (("old", one.old), ("new", one.new)):
            cells = [
                cell(key, score, None if label is None or items[key].label is None else items[key].label == label)
                for key, score in best[:_SHOWN]
            ]
            title = f"{name}: {one.overlap:.0%} the same"
            strips.append(contact_sheet([cell(one.key)], cells, columns=_SHOWN + 1, title=title))
    return flowed(strips, columns=_SHOWN + 1)


def _keys(found: Compared) -> Sequence[int]:
    return sorted({key for one in found.most for key in (one.key, *(k for k, _ in (*one.old, *one.new)))})
