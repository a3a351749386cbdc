"""``nearsight calibrate``: what score is chance, likely or sure in a collection."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from nearsight.cli import places, render

if TYPE_CHECKING:
    from nearsight.measure.intervals import Interval
    from nearsight.search.calibration.scale import Calibration, Scale

EXAMPLES = """nearsight calibrate ~/Pictures
nearsight calibrate shop.ns --by labels
nearsight calibrate shop.ns --show --json"""


def run(
    collection: places.CollectionArgument = None,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="labels|captions|statistics",
            help="What says which pictures have nothing to do with each other: another label, captions without a word "
            "in common, or the scores alone. auto: the first of these that at least half of the pictures have.",
        ),
    ] = "auto",
    seed: Annotated[
        int, typer.Option("--seed", min=0, metavar="N", help="Of the sample that is looked at in a large collection.")
    ] = 0,
    show: Annotated[
        bool, typer.Option("--show", metavar="", help="Show what was fitted before, and fit nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print it as one JSON object.")] = False,
) -> None:
    """Find out which score is chance, likely or sure in a collection, so that a search can say "no match".

    Chance is what the best answer scores for a picture (or words) that has nothing to do with the collection. Of such
    queries at most 10% get an answer that is called likely, and at most 1% one that is called sure. That is fitted on
    half of a sample of the collection's own pictures and captions, and measured on the other half.
    """
    from nearsight.core.errors import InputError

    folder = places.find(collection)
    with places.opened(folder, write=not show) as kept:
        found = kept.calibration if show else render.watch(kept.calibrate(by=by, seed=seed))
        if found is None:
            raise InputError(
                f"{folder} is not calibrated", code="calibrate/none", hint=f"nearsight calibrate {render.shown(folder)}"
            )
        if stale := found.stale(len(kept)):
            render.warn(f"{stale}: nearsight calibrate {render.shown(folder)}")
    if as_json:
        render.line(asdict(found))
    else:
        _print(found)


def _print(found: Calibration) -> None:
    head = ["", "from", "chance", "measured", "found", "right"]
    rows = [head]
    notes = []
    for what, scale in (("picture", found.pictures), ("words", found.words)):
        if scale is None:
            continue
        for name, level in (("likely", scale.likely), ("sure", scale.sure)):
            at = "-" if level.at is None else f"{level.at:.4f}"
            measured = [_share(value) for value in (level.false, level.found, level.precision)]
            rows.append([f"{what}, {name}", at, f"{level.rate:.0%}", *measured])
            if level.why:
                notes.append(f"{what}, {name}: cannot be told. {level.why[:1].upper()}{level.why[1:]}.")
        notes.append(f"{what}: {_told(scale)}")
    for text in render.table(rows, right=(1,)):
        render.out(text)
    for note in notes:
        render.note(note)


def _told(scale: Scale) -> str:
    how = {
        "labels": "unrelated is what has another label",
        "captions": "unrelated is what has no telling word in common in the captions",
        "statistics": "from the scores alone, so nothing says how often it is right",
    }[scale.how]
    return f"{how}; fitted on {scale.queries:,} queries among {scale.items:,} pictures."


def _share(value: Interval | None) -> str:
    return "" if value is None else f"{value.value:.1%} ({value.low:.1%} .. {value.high:.1%})"
