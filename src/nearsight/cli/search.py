"""``nearsight search PICTURE...``: find the pictures of a collection that look like the ones given."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearsight.cli import places, render
from nearsight.core.errors import QueryError

if TYPE_CHECKING:
    from PIL.Image import Image

    from nearsight.core.items import Match
    from nearsight.search.collection import Collection
    from nearsight.search.query import Source

EXAMPLES = """nearsight search cat.jpg
nearsight search sea.jpg beach.jpg --minus city.jpg -k 20 --filter label=coast --filter 'year>=2020'
nearsight search cat.jpg -f -0 | xargs -0 ls -l
curl -s https://example.org/cat.jpg | nearsight search - --sheet answer.png"""


def run(
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PICTURE",
            help="What to look for: pictures, taken together; '-' reads one from stdin.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        list[int] | None,
        typer.Option("--key", metavar="N", help="Look for what is like item N of the collection.", show_default=False),
    ] = None,
    minus: Annotated[
        list[str] | None,
        typer.Option("--minus", metavar="PICTURE", help="Less like this picture; repeatable.", show_default=False),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="How many to find.")] = 10,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="FIELD=VALUE",
            help="Only items that meet this: label=coast, label=coast,forest (either), year>=2020, label!=sea, "
            "path~holiday (contains). Repeatable; all must hold, and k are still found where there are k.",
            show_default=False,
        ),
    ] = None,
    at_least: Annotated[
        float | None,
        typer.Option(
            "--at-least", min=-1.0, max=1.0, metavar="SCORE", help="Only scores from this one up.", show_default=False
        ),
    ] = None,
    with_self: Annotated[
        bool,
        typer.Option(
            "--with-self/--without-self",
            metavar="",
            help="Whether items with exactly the query's content are shown (and marked '=') or left out.",
        ),
    ] = True,
    files: Annotated[bool, typer.Option("-f", "--files", metavar="", help="Print full paths only.")] = False,
    null: Annotated[
        bool, typer.Option("-0", "--null", metavar="", help="With -f: end paths with NUL, not a new line.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON object a line.")] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet",
            metavar="FILE.png",
            help="Also draw a contact sheet: the query first, then what was found with score and label; green and red "
            "where the query's own label is known.",
            show_default=False,
        ),
    ] = None,
    collection: places.CollectionOption = None,
) -> None:
    """Find the pictures that look like the ones given.

    Best first. The score is the cosine of the two vectors: 1 is the same, larger is more similar.
    """
    if null and not files:
        raise QueryError("-0 ends the paths that -f prints", code="query/options", hint="add -f")
    if files and as_json:
        raise QueryError("-f and --json are two ways to print the same", code="query/options", hint="take one")
    if list(pictures or []).count("-") + list(minus or []).count("-") > 1:
        raise QueryError("stdin holds one picture: '-' stands once", code="query/options")
    folder = places.find(collection)
    from nearsight.search.query import Filter, Query

    condition = Filter.parse(where or [])
    wanted = [_example(text) for text in pictures or []]
    unwanted = [_example(text) for text in minus or []]
    with places.opened(folder) as kept:
        known = {twin for one in wanted for twin in kept.twins(one.content)} | set(key or [])
        examples: list[tuple[Source, float]] = [(one.content, 1.0) for one in wanted]
        examples += [(number, 1.0) for number in key or []]
        if not examples:
            raise QueryError(
                "nothing to look for", code="query/empty", hint="name a picture, '-' for stdin, or --key N"
            )
        examples += [(one.content, -1.0) for one in unwanted]
        query = Query(tuple(examples), condition)
        matches = kept.search(query, k if with_self else k + len(known))
        if not with_self:
            matches = [match for match in matches if match.item.key not in known][:k]
        if at_least is not None:
            matches = [match for match in matches if match.score >= at_least]
        if files:
            _print_paths(matches, b"\0" if null else b"\n")
        elif as_json:
            _print_json(matches, known)
        else:
            _print_table(matches, known)
        if sheet is not None:
            save(draw(kept, [(one.name, one.content) for one in wanted], key or [], known, matches), sheet)


@dataclass(frozen=True, slots=True)
class _Example:
    """A picture that was given: its name for people, its bytes."""

    name: str
    content: bytes


def _example(text: str) -> _Example:
    from nearsight.data.images import read

    if text == "-":
        return _Example("stdin", sys.stdin.buffer.read())
    return _Example(text, read(Path(text)))


def _print_paths(matches: Sequence[Match], end: bytes) -> None:
    """The bytes of the paths as the file system has them."""
    for match in matches:
        render.raw(os.fsencode(match.item.path) + end)


def _print_json(matches: Sequence[Match], known: set[int]) -> None:
    for rank, match in enumerate(matches, start=1):
        item = match.item
        render.line(
            {
                "rank": rank,
                "score": round(match.score, 6),
                "key": item.key,
                "path": str(item.path),
                "label": item.label,
                "captions": list(item.captions),
                "fields": dict(item.fields),
                "self": item.key in known,
            }
        )


def _print_table(matches: Sequence[Match], known: set[int]) -> None:
    if not matches:
        render.note("nothing found")
        return
    labelled = any(match.item.label for match in matches)
    rows = [["", "score", *(["label"] if labelled else []), "picture"]]
    for rank, match in enumerate(matches, start=1):
        label = [match.item.label or ""] if labelled else []
        same = "  =" if match.item.key in known else ""
        rows.append([str(rank), f"{match.score:.4f}", *label, render.shown(match.item.path) + same])
    for text in render.table(rows, right=(0,)):
        render.out(text)


def draw(
    kept: Collection,
    wanted: Sequence[tuple[str, bytes]],
    keys: Sequence[int],
    known: set[int],
    matches: Sequence[Match],
) -> Image:
    """A contact sheet: the queries (named contents, and items by key), then what was found.

    Right and wrong are said where all of `known`, the items that are the query, have one label.
    """
    from nearsight.data.images import decode
    from nearsight.study.pages.sheet import SIDE, Cell, contact_sheet
    from nearsight.study.pictures import Pictures

    pictures = Pictures.default()
    own = list(kept.items(sorted(known)))
    labels = {item.label for item in own}
    truth = labels.pop() if len(labels) == 1 else None
    queries = [Cell(decode(content, side=SIDE), truth or Path(name).name) for name, content in wanted]
    queries += [Cell(pictures.show(i.path, SIDE), i.label or i.path.name) for i in own if i.key in keys]
    found = []
    for match in matches:
        item = match.item
        judged = truth is not None and item.label is not None and item.key not in known
        right = item.label == truth if judged else None
        found.append(Cell(pictures.show(item.path, SIDE), item.label or item.path.name, match.score, right))
    return contact_sheet(queries, found)


def save(picture: Image, file: Path) -> None:
    """Write a drawn picture, in the format that the name ends with."""
    from nearsight.core.errors import WriteFailed

    try:
        picture.save(file)
    except (OSError, ValueError) as error:
        raise WriteFailed(
            f"could not write {file}: {error}", hint="name a .png or .jpg in a folder that is there"
        ) from error
    render.note(f"Contact sheet: {render.shown(file)}")
