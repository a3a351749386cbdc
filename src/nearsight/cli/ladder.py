"""``nearsight show encoders``: what each costs, what it is good for, whether it works here and now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearsight.cli import render
from nearsight.core.errors import NearsightError

if TYPE_CHECKING:
    from nearsight.encode.ladder import Rung

_WIDE = 110
"""Columns from which on there is room for what an encoder looks at."""


def show(*, as_json: bool, measure: bool) -> None:
    """All of them."""
    from nearsight.encode.encoder import TOWERS
    from nearsight.encode.ladder import SET, ladder

    rungs = ladder()
    if measure:
        _measure(rungs)
    if as_json:
        render.out(json.dumps([facts(rung) for rung in rungs], indent=1))
        return
    wide = shutil.get_terminal_size((100, 24)).columns >= _WIDE
    head = ["encoder", "text", "dim", "size", "/s", "mAP", "now", *["looks at"] * wide]
    rows = [[*_cells(rung), *[rung.told] * wide] for rung in rungs]
    for text in render.table([head, *rows], right=(2, 3, 4, 5)):
        render.out(text)
    render.note(
        render.aside(f"text: found by words. /s: pictures a second, seen on this machine (--measure). mAP: {SET}.")
    )
    extras = sorted({rung.extra for rung in rungs if rung.status == "install"})
    for extra in extras:
        render.note(render.aside(f"[{extra}]: pip install 'nearsight[{extra}]'"))
    others = sorted(set(TOWERS.names()) - {rung.address.partition("/")[0].partition("?")[0] for rung in rungs})
    folder = "An encoder folder (of nearsight train) is one too: give its path."
    render.note(render.aside(folder + (f" Also: {', '.join(others)}." if others else "")))
    render.note(render.aside("One of them: nearsight show encoders NAME. Change a collection's: nearsight migrate."))


def rungs_named(name: str) -> list[Rung]:
    """The addresses of one component, or an encoder folder. Raises UnknownName, NotACollection, Damaged."""
    from nearsight.encode.ladder import rung_of, rungs_of

    return [rung_of(Path(name))] if Path(name).is_dir() else list(rungs_of(name))


def table_of(rungs: Sequence[Rung]) -> list[str]:
    """What is known of some encoders, line by line."""
    lines = []
    for rung in rungs:
        told = facts(rung)
        rows = [
            ["takes", "pictures and words" if rung.words else "pictures"],
            ["vectors", f"{rung.dim:,} numbers" if rung.dim else "-"],
            ["weights", render.size(told["bytes"]) if told["bytes"] else "none"],
            ["speed", f"{told['rate']:.0f} pictures a second here" if told["rate"] else "not measured here: --measure"],
            ["quality", f"{told['measured']['what']}: {told['measured']['value']:.3f}" if told["measured"] else "-"],
            ["now", f"{rung.status}: {rung.get}"],
        ]
        lines += [
            render.paint(f"  {rung.address}", "bold"),
            f"    {rung.told}",
            *render.table(rows, head=False, indent=4),
        ]
    return lines


def facts(rung: Rung) -> dict[str, Any]:
    """One encoder for programs."""
    from nearsight.encode.ladder import SET
    from nearsight.encode.speeds import speed_of

    speed = speed_of(rung.address)
    measured = {"what": f"mAP, {SET}", "value": rung.measured, "published": rung.row}
    return {
        "address": rung.address,
        "looks_at": rung.told,
        "dim": rung.dim,
        "modalities": list(rung.modalities),
        "bytes": round(rung.megabytes * 1e6),
        "rate": speed.rate if speed else None,
        "rate_how": speed.how if speed else None,
        "measured": measured if rung.measured is not None else None,
        "status": rung.status,
        "get": rung.get,
    }


def remember_speed(encoder: str, pictures: int, seconds: float) -> None:
    """What `nearsight show encoders` will say of it, where there were enough of them."""
    from nearsight.encode import speeds

    if pictures >= speeds.WORTH_NOTING and seconds > 0:
        speeds.note(encoder, pictures / seconds, speeds.SEEN)


def _cells(rung: Rung) -> list[str]:
    told = facts(rung)
    now = f"[{rung.extra}]" if rung.status == "install" else rung.status
    return [
        rung.address.partition("?")[0],
        "yes" if rung.words else "",
        str(rung.dim or "-"),
        render.size(told["bytes"]).replace(".0 ", " ") if told["bytes"] else "-",
        f"{told['rate']:.0f}" if told["rate"] else "-",
        f"{rung.measured:.3f}" if rung.measured is not None else "-",
        now,
    ]


def _measure(rungs: Sequence[Rung]) -> None:
    """Time those that can be built without a network, and remember it."""
    from nearsight.encode import create, speeds

    able = [rung for rung in rungs if rung.status in ("ready", "train")]
    for rung in render.counted(able, "measuring"):
        try:
            encoder = create(rung.address)
            found = speeds.measure(encoder)
        except NearsightError as error:
            render.warn(f"{rung.address}: {error.message}")
            continue
        speeds.note(rung.address, found.rate, found.how)
