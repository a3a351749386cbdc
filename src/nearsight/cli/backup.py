"""``nearsight backup``: copy a collection while it is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearsight.cli import places, render
from nearsight.core.events import Done

EXAMPLES = """nearsight backup /mnt/other-disk/pictures.ns
nearsight backup before.ns --collection shop.ns --no-link"""


def run(
    destination: Annotated[Path, typer.Argument(metavar="DESTINATION", help="A new folder for the copy.")],
    link: Annotated[
        bool,
        typer.Option(
            "--link/--no-link",
            metavar="",
            help="On the same file system, share the files that never change again instead of copying them: fast, but "
            "a failing disk damages both.",
        ),
    ] = True,
    collection: places.CollectionOption = None,
) -> None:
    """Copy a collection while it is in use.

    The copy is checked byte by byte before it gets its name: it is whole or absent.
    """
    from nearsight.search.store.backup import backup

    done = Done("backup")

    def see(event: object) -> None:
        nonlocal done
        done = event if isinstance(event, Done) else done

    with places.opened(places.find(collection)) as kept:
        render.watch(render.generator(backup(kept.store, destination, link=link)), see)
        size = sum(path.stat().st_size for path in destination.rglob("*") if path.is_file())
        render.note(
            f"{len(kept):,} pictures in {render.shown(destination)}: {render.size(size)}, all checked; "
            f"{done.counts['copied']} files copied, {done.counts['linked']} shared ({render.duration(done.seconds)})"
        )
