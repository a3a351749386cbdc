"""``nearsight dedup``: pictures that a collection has several times."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearsight.cli import places, render
from nearsight.cli.answers import save
from nearsight.cli.examples import STDIN
from nearsight.cli.index import skipped_table
from nearsight.cli.options import NullOption
from nearsight.core.errors import Locked, QueryError, ReadOnly
from nearsight.core.events import Skipped
from nearsight.core.items import Item

if TYPE_CHECKING:
    from PIL.Image import Image

    from nearsight.search.collection import Collection
    from nearsight.search.duplicates import Copy

KEEP = "largest"
_GROUPS, _OTHERS, _COLUMNS = 60, 11, 6
"""On a contact sheet: more than that nobody looks at."""

EXAMPLES = """nearsight dedup ~/Pictures
nearsight dedup ~/Pictures --keep oldest,first --sheet groups.png
nearsight dedup ~/Pictures --check new.jpg
nearsight dedup ~/Pictures -f -0 | xargs -0 mv -t ~/copies
nearsight dedup ~/Pictures --json"""


def run(
    collection: places.CollectionArgument = None,
    check: Annotated[
        str | None,
        typer.Option(
            "--check",
            metavar="PICTURE",
            help="Which items are the same picture as this one, which need not be in the collection; '-' reads it from "
            "stdin.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        str,
        typer.Option(
            "--keep",
            metavar="POLICY",
            help="Which picture of a group stays: largest (most pixels, then most bytes), oldest, newest (by the "
            "file's time), first (by path); or several with commas between, each for those that the one before leaves "
            "equal.",
        ),
    ] = KEEP,
    at_least: Annotated[
        float | None,
        typer.Option(
            "--at-least",
            min=-1.0,
            max=1.0,
            metavar="COSINE",
            help="Look at pairs whose vectors are at least so similar: less finds more and takes longer. Default: what "
            "nearly all copies have that are made of some of the pictures to measure it; with --by-vectors 0.95.",
            show_default=False,
        ),
    ] = None,
    by_vectors: Annotated[
        bool,
        typer.Option(
            "--by-vectors",
            metavar="",
            help="Do not look at the pictures: every pair that is at least so similar counts as the same.",
        ),
    ] = False,
    files: Annotated[
        bool, typer.Option("-f", "--files", metavar="", help="Print full paths only, of those that are not kept.")
    ] = False,
    null: NullOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print one JSON object a group; with --check, one a copy.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet",
            metavar="FILE.png",
            help="Also draw the groups below each other: the picture that is kept, then the others.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Find pictures that a collection has several times: exact copies, and resized, recompressed or slightly cut ones.

    Vectors propose pairs, a look at the pictures decides. Nothing is deleted or changed, neither pictures nor items:
    take the paths of those that are not kept (-f), do with them what you like, and index the folder again.
    """
    if null and not files:
        raise QueryError("-0 ends the paths that -f prints", code="query/options", hint="add -f")
    if files and as_json:
        raise QueryError("-f and --json are two ways to print the same", code="query/options", hint="take one")
    from nearsight.search.duplicates import copies, duplicates

    with _opened(places.find(collection)) as kept:
        if check is not None:
            content = sys.stdin.buffer.read() if check == STDIN else _content(Path(check))
            found = _named(kept, [(None, copies(kept, content, at_least, look=not by_vectors))])
            _print(found, files=files, null=null, as_json=as_json)
            if not found:
                render.note("it is not in the collection")
            if sheet is not None:
                save(_sheet(found or [_Found(None, ())], content), sheet)
            return
        skipped: list[Skipped] = []
        work = duplicates(kept, at_least, keep=keep, look=not by_vectors)
        groups = render.watch(work, lambda event: skipped.append(event) if isinstance(event, Skipped) else None)
        found = _named(kept, [(group.keep, group.others) for group in groups])
    _print(found, files=files, null=null, as_json=as_json)
    render.note(_summary(found))
    for text in skipped_table(skipped):
        render.note(text)
    if sheet is not None:
        save(_sheet(found), sheet)


def _opened(folder: Path) -> Collection:
    """For writing, so that what is made of the pictures is kept; else for reading."""
    try:
        return places.opened(folder, write=True)
    except (Locked, ReadOnly) as error:
        render.note(render.aside(f"what is made of the pictures is not kept for the next time: {error.message}"))
        return places.opened(folder)


def _content(file: Path) -> bytes:
    from nearsight.data.images import read

    return read(file)


@dataclass(frozen=True, slots=True)
class _Found:
    """A group with its items: the one that is kept (None: a picture from outside), and the others with what is known
    of them."""

    keep: Item | None
    others: tuple[tuple[Copy, Item], ...]


def _named(kept: Collection, groups: Sequence[tuple[int | None, Sequence[Copy]]]) -> list[_Found]:
    """Groups with their items; another process may have deleted some meanwhile."""
    keys = [key for keep, others in groups for key in (keep, *(copy.key for copy in others)) if key is not None]
    items = {item.key: item for item in kept.items(keys)}
    found = []
    for keep, copies in groups:
        others = tuple((copy, items[copy.key]) for copy in copies if copy.key in items)
        if others and (keep is None or keep in items):
            found.append(_Found(None if keep is None else items[keep], others))
    return found


def _print(found: Sequence[_Found], *, files: bool, null: bool, as_json: bool) -> None:
    for number, group in enumerate(found):
        if files:
            for _, item in group.others:
                render.raw(os.fsencode(item.path) + (b"\0" if null else b"\n"))
        elif as_json:
            _print_json(group)
        else:
            if number:
                render.out()
            _print_table(group)


def _print_json(group: _Found) -> None:
    others = [{**_facts(item), "score": round(copy.score, 6), "exact": copy.exact} for copy, item in group.others]
    if group.keep is not None:
        render.line({"keep": _facts(group.keep), "others": others})
    else:
        for other in others:
            render.line(other)


def _facts(item: Item) -> dict[str, object]:
    return {"key": item.key, "path": str(item.path), "label": item.label}


def _print_table(group: _Found) -> None:
    rows = [] if group.keep is None else [["keep", "", group.keep.label or "", render.shown(group.keep.path)]]
    for copy, item in group.others:
        rows.append(["=" if copy.exact else "", f"{copy.score:.4f}", item.label or "", render.shown(item.path)])
    if not any(row[2] for row in rows):
        rows = [[*row[:2], row[3]] for row in rows]
    for text in render.table(rows, head=False):
        render.out(text)


def _summary(found: Sequence[_Found]) -> str:
    if not found:
        return "nothing found"
    spare = [item.path for group in found for _, item in group.others]
    size = 0
    for path in spare:
        with contextlib.suppress(OSError):
            size += path.stat().st_size
    plural = "" if len(found) == 1 else "s"
    return f"{len(found):,} picture{plural} several times, {len(spare):,} more than needed: {render.size(size)}"


def _sheet(found: Sequence[_Found], outside: bytes = b"") -> Image:
    """Group after group: the picture that is kept, or the one from `outside`, then the others."""
    from nearsight.data.images import decode
    from nearsight.study.pages.sheet import SIDE, Cell, contact_sheet, flowed
    from nearsight.study.pictures import Pictures

    pictures = Pictures.default()
    strips = []
    for group in found[:_GROUPS]:
        if group.keep is None:
            first, role = Cell(decode(outside, side=SIDE), ""), "new"
        else:
            first, role = Cell(pictures.show(group.keep.path, SIDE), group.keep.path.name), "keep"
        others = [
            Cell(pictures.show(item.path, SIDE), item.path.name, copy.score) for copy, item in group.others[:_OTHERS]
        ]
        title = f"{1 + len(group.others)} of one picture"
        strips.append(contact_sheet([first], others, columns=_COLUMNS, title=title, role=role))
    return flowed(strips, columns=_COLUMNS)
