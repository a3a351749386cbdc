"""The answers of a search: as a table, JSON, paths, a contact sheet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from nearsight.cli import examples, render
from nearsight.core.items import CaptionMatch, Match

if TYPE_CHECKING:
    from PIL.Image import Image

    from nearsight.search.collection import Collection
    from nearsight.search.query import Query

Found: TypeAlias = Match | CaptionMatch
_CAPTION = 72


def print_paths(found: Sequence[Found], end: bytes) -> None:
    """The bytes of the paths as the file system has them."""
    for match in found:
        render.raw(os.fsencode(match.item.path) + end)


def print_json(found: Sequence[Found], known: set[int], given: Sequence[examples.Example], asked: Query) -> None:
    """One object a line; `known` are the items that are the query itself."""
    query = [example.facts() for example in given]
    for rank, match in enumerate(found, start=1):
        item = match.item
        if isinstance(match, CaptionMatch):
            says: dict[str, object] = {"caption": match.caption}
        else:
            says = {"captions": list(item.captions), "verdict": match.verdict}
            says |= {"folded": list(match.folded)} if asked.fold is not None else {}
            says |= {"method": asked.method} if asked.method else {}
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


def print_table(found: Sequence[Found], known: set[int], *, folding: bool) -> None:
    """For people."""
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
            more, verdict, says = "", "", [short(match.caption)]
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


def say_verdict(found: Sequence[Found], known: set[int], stale: str) -> None:
    """That nothing was found, where the best answer but the query itself is what chance gives."""
    best = next((match for match in found if isinstance(match, Match) and match.item.key not in known), None)
    if best is not None and best.verdict == "chance":
        render.note(f"no match: the best score, {best.score:.4f}, is what chance gives here")
    if stale:
        render.note(render.aside(f"{stale}: nearsight calibrate fits anew what the verdicts mean"))


def short(text: str) -> str:
    """Words, cut where they are longer than a column."""
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
