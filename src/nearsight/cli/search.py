"""``nearsight search PICTURE|WORDS...``: find the pictures of a collection, or its captions, that are like these."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from nearsight.cli import examples, places, render
from nearsight.core.errors import Locked, QueryError, ReadOnly, WriteFailed
from nearsight.core.items import CaptionMatch, Match

if TYPE_CHECKING:
    from PIL.Image import Image

    from nearsight.search.collection import Collection

Found: TypeAlias = Match | CaptionMatch
_CAPTION = 72

EXAMPLES = """nearsight search cat.jpg
nearsight search "two dogs running on a beach"
nearsight search sea.jpg beach.jpg --minus city.jpg -k 20 --filter label=coast --filter 'year>=2020'
nearsight search sea.jpg "in the evening" --minus people
nearsight search --query 'horse + 2: ./stripes.jpg[10,20,200,180] - "car" | label = zoo and not year < 2020' --fold 0.97
nearsight search cat.jpg --captions
nearsight search cat.jpg -f -0 | xargs -0 ls -l
curl -s https://example.org/cat.jpg | nearsight search - --sheet answer.png"""


def run(
    wanted: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PICTURE|WORDS",
            help="What to look for, all of it taken together. The name of a file is a picture, '-' reads one from "
            "stdin; anything else is words, where the collection's encoder has them, and words beside each other are "
            "one text.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            "-t",
            metavar="WORDS",
            help="Words, whatever they look like; repeatable.",
            show_default=False,
        ),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option("--like", metavar="PICTURE", help="A picture, and never words; repeatable.", show_default=False),
    ] = None,
    key: Annotated[
        list[int] | None,
        typer.Option("--key", metavar="N", help="Look for what is like item N of the collection.", show_default=False),
    ] = None,
    minus: Annotated[
        list[str] | None,
        typer.Option(
            "--minus",
            metavar="PICTURE|WORDS",
            help="Less like this picture, less of this; repeatable.",
            show_default=False,
        ),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            metavar="QUERY",
            help="All of it in one line, in the shell's single quotes: 'horse + 2: ./cat.jpg[10,20,200,180] - \"car\" "
            "+ @123 | year >= 2020; fold=0.97'; see docs/queries.md. What else is given comes to it.",
            show_default=False,
        ),
    ] = None,
    captions: Annotated[
        bool,
        typer.Option(
            "--captions", metavar="", help="Find captions of the collection's pictures instead of the pictures."
        ),
    ] = False,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="How many to find.")] = 10,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="FIELD=VALUE",
            help="Only items that meet this: label=coast, label=coast,forest (either), year>=2020, label!=sea, "
            "path~holiday (contains); in parentheses with and, or, not: '(label=coast or not year<2020)'. Repeatable; "
            "all must hold, and k are still found where there are k.",
            show_default=False,
        ),
    ] = None,
    at_least: Annotated[
        float | None,
        typer.Option(
            "--at-least", min=-1.0, max=1.0, metavar="SCORE", help="Only scores from this one up.", show_default=False
        ),
    ] = None,
    fold: Annotated[
        float | None,
        typer.Option(
            "--fold",
            min=0.0,
            max=1.0,
            metavar="COSINE",
            help="Show what is nearly the same once: pictures at least so similar to a better one are counted beside "
            "it (+3), and k others are found. 0.97 is a good start.",
            show_default=False,
        ),
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(
            "--verdict",
            metavar="likely|sure",
            help="Only answers that are at least so: nearsight calibrate says what that is here.",
            show_default=False,
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
    """Find the pictures that are like the pictures given, or show what the words say.

    Best first. The score is the cosine of the two vectors: 1 is the same, larger is more similar.
    """
    if null and not files:
        raise QueryError("-0 ends the paths that -f prints", code="query/options", hint="add -f")
    if files and as_json:
        raise QueryError("-f and --json are two ways to print the same", code="query/options", hint="take one")
    if files and captions:
        raise QueryError("-f prints paths, and captions have none", code="query/options", hint="take --json")
    folder = places.find(collection)
    from nearsight.search.query import Filter, Query

    written = None if query is None else Query.parse(query)
    condition = Filter.parse(where or [])
    if written is not None:
        condition &= written.where
        at_least = written.min_score if at_least is None else at_least
        fold = written.fold if fold is None else fold
        verdict = written.verdict if verdict is None else verdict
    with places.opened(folder) as kept:
        given = examples.understood(
            kept,
            wanted=wanted or (),
            texts=text or (),
            pictures=like or (),
            keys=key or (),
            minus=minus or (),
            query=written,
        )
        if words := [e for e in given if e.kind == examples.WORDS]:
            render.note(
                render.aside("words: " + "; ".join("less of " * (e.weight < 0) + _short(e.name) for e in words))
            )
        known = {twin for e in given if e.weight > 0 and isinstance(e.source, bytes) for twin in kept.twins(e.source)}
        known |= {e.source for e in given if e.weight > 0 and isinstance(e.source, int)}
        if known and not with_self:
            condition &= Filter((("key", "in", tuple(sorted(known))),), "not")
        asked = Query(tuple((e.source, e.weight) for e in given), condition, at_least, fold, verdict)
        if captions:
            _encode_captions(kept)
            found: Sequence[Found] = kept.search_captions(asked, k)
        else:
            found = kept.search(asked, k)
        if files:
            _print_paths(found, b"\0" if null else b"\n")
        elif as_json:
            _print_json(found, known, given, folding=fold is not None)
        else:
            _print_table(found, known, folding=fold is not None)
            if kept.calibration is not None:
                _say_verdict(found, known, kept.calibration.stale(len(kept)))
        if sheet is not None:
            save(draw(kept, given, known, found), sheet)


def _encode_captions(kept: Collection) -> None:
    """Make captions searchable that came in otherwise than by `index`, and keep that where the collection allows it."""
    from nearsight.search.collection import Collection

    if "text" in kept.modalities and kept.captions_missing:
        try:
            with Collection.open(kept.folder, encoder=kept.encoder) as writer:
                render.watch(writer.encode_captions())
        except (Locked, ReadOnly, WriteFailed) as error:
            many = kept.captions_missing
            render.note(f"{many:,} caption{'s'[: many > 1]} encoded for this search only: {error.message}")


def _print_paths(found: Sequence[Found], end: bytes) -> None:
    """The bytes of the paths as the file system has them."""
    for match in found:
        render.raw(os.fsencode(match.item.path) + end)


def _print_json(found: Sequence[Found], known: set[int], given: Sequence[examples.Example], *, folding: bool) -> None:
    query = [example.facts() for example in given]
    for rank, match in enumerate(found, start=1):
        item = match.item
        if isinstance(match, CaptionMatch):
            says: dict[str, object] = {"caption": match.caption}
        else:
            says = {"captions": list(item.captions), "verdict": match.verdict}
            says |= {"folded": list(match.folded)} if folding else {}
        render.line(
            {
                "rank": rank,
                "score": round(match.score, 6),
                "key": item.key,
                "path": str(item.path),
                "label": item.label,
                **says,
                "fields": dict(item.fields),
                "self": item.key in known,
                "query": query,
            }
        )


def _print_table(found: Sequence[Found], known: set[int], *, folding: bool) -> None:
    if not found:
        render.note("nothing found")
        return
    labelled = any(match.item.label for match in found)
    told = any(isinstance(match, CaptionMatch) for match in found)
    judged = any(isinstance(match, Match) and match.verdict for match in found)
    rows = [
        [
            "",
            "score",
            *["verdict"] * judged,
            *["folded"] * folding,
            *["label"] * labelled,
            *["caption"] * told,
            "picture",
        ]
    ]
    for rank, match in enumerate(found, start=1):
        label = [match.item.label or ""] if labelled else []
        if isinstance(match, CaptionMatch):
            more, verdict, says = "", "", [_short(match.caption)]
        else:
            more, verdict, says = f"+{len(match.folded)}" if match.folded else "", match.verdict or "", []
        same = "  =" if match.item.key in known else ""
        rows.append(
            [
                str(rank),
                f"{match.score:.4f}",
                *[verdict] * judged,
                *[more] * folding,
                *label,
                *says,
                render.shown(match.item.path) + same,
            ]
        )
    for text in render.table(rows, right=(0, 2 + judged) if folding else (0,)):
        render.out(text)


def _say_verdict(found: Sequence[Found], known: set[int], stale: str) -> None:
    """That nothing was found, where the best answer but the query itself is what chance gives."""
    best = next((match for match in found if isinstance(match, Match) and match.item.key not in known), None)
    if best is not None and best.verdict == "chance":
        render.note(f"no match: the best score, {best.score:.4f}, is what chance gives here")
    if stale:
        render.note(render.aside(f"{stale}: nearsight calibrate fits anew what the verdicts mean"))


def _short(text: str) -> str:
    return render.clean(text if len(text) <= _CAPTION else text[: _CAPTION - 3] + "...")


def draw(kept: Collection, given: Sequence[examples.Example], known: set[int], matches: Sequence[Found]) -> Image:
    """A contact sheet: what was asked for (less of it is left out), then what was found.

    Right and wrong are said where all of `known`, the items that are the query, have one label.
    """
    from nearsight.data.images import decode
    from nearsight.search.examples import cut
    from nearsight.search.query import Region
    from nearsight.study.pages.sheet import SIDE, Cell, contact_sheet
    from nearsight.study.pictures import Pictures

    pictures = Pictures.default()
    own = {item.key: item for item in kept.items(sorted(known))}
    labels = {item.label for item in own.values()}
    truth = labels.pop() if len(labels) == 1 else None
    queries = []
    for example in given:
        if example.weight < 0:
            continue
        if isinstance(example.source, bytes):
            queries.append(Cell(decode(example.source, side=SIDE), truth or example.name))
        elif isinstance(example.source, Region):
            queries.append(Cell(cut(kept, example.source), f"{example.name} {list(example.box)}"))
        elif isinstance(example.source, int):
            item = own[example.source]
            queries.append(Cell(pictures.show(item.path, SIDE), item.label or item.path.name))
        else:
            queries.append(Cell(None, "", words=example.given))
    found = []
    for match in matches:
        item = match.item
        judged = truth is not None and item.label is not None and item.key not in known
        right = item.label == truth if judged else None
        says = match.caption if isinstance(match, CaptionMatch) else item.label or item.path.name
        found.append(Cell(pictures.show(item.path, SIDE), says, match.score, right))
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
