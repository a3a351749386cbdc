"""``nearsight repair``: mend a damaged collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nearsight.cli import places, render
from nearsight.cli.check import DAMAGE, tell
from nearsight.cli.options import FindingsOption
from nearsight.core.events import Done

if TYPE_CHECKING:
    from nearsight.search.store.check import Finding

EXAMPLES = """nearsight repair ~/Pictures
nearsight repair shop.ns --drop"""


def run(
    collection: places.CollectionArgument = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            "-e",
            metavar="ADDRESS",
            help="The encoder that made the collection, where the copy inside is damaged and is not found by itself.",
            show_default=False,
        ),
    ] = None,
    drop: Annotated[
        bool,
        typer.Option(
            "--drop", metavar="", help="Forget items whose vectors cannot come back, so that the rest can be searched."
        ),
    ] = False,
    as_json: FindingsOption = False,
) -> int:
    """Mend a damaged collection from copies, checksums and pictures.

    What was damaged is kept beside. Nothing is forgotten unless --drop says so; leaves with 3 where damage remains.
    """
    from nearsight.encode import create
    from nearsight.search.store.check import Finding
    from nearsight.search.store.repair import repair

    folder = places.find(collection)
    findings: list[Finding] = []
    done = Done("repair")

    def see(event: object) -> None:
        nonlocal done
        if isinstance(event, Finding):
            findings.append(event)
        elif isinstance(event, Done):
            done = event

    work = repair(folder, encoder=create(encoder) if encoder else None, drop=drop)
    render.watch(render.generator(work), see)
    tell(findings, as_json)
    if as_json:
        render.line({"event": "done", **done.counts, "seconds": round(done.seconds, 3)})
    told = ", ".join(f"{count:,} {name}" for name, count in done.counts.items() if count)
    render.note(f"{render.shown(folder)}: {told or 'nothing was damaged'} ({render.duration(done.seconds)})")
    if done.counts.get("left", 0):
        render.note("Some vectors could not come back: bring their pictures back and repair again, or --drop them.")
    if any(finding.code == "lost" for finding in findings):
        render.note("What is lost comes back when its folder is indexed again: nearsight index FOLDER")
    accepted = ("dropped", "restored", *(["lost"] if drop else []))
    return DAMAGE if any(not finding.harmless and finding.code not in accepted for finding in findings) else 0
