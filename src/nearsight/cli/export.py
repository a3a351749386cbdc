"""``nearsight export``: a collection as one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearsight.cli import places, render
from nearsight.core.events import Done

EXAMPLES = """nearsight export pictures.parquet
nearsight export pictures.csv --collection shop.ns
nearsight export --feedback judged.csv --collection shop.ns && nearsight train --data judged.csv"""


def run(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Where to write: .parquet (with the vectors), .csv or .jsonl (without them)."
        ),
    ],
    feedback: Annotated[
        bool,
        typer.Option(
            "--feedback",
            metavar="",
            help="Write what was judged and kept (search --keep) as a .csv that nearsight train --data takes.",
        ),
    ] = False,
    collection: places.CollectionOption = None,
) -> None:
    """Write a collection as one table: Parquet, CSV or JSON lines.

    Columns: key, path, label, captions, fields, and in Parquet the vector. With --feedback: path, label, caption.
    """
    from nearsight.search.export import export
    from nearsight.search.judgements import write_table

    with places.opened(places.find(collection)) as kept:
        if feedback:
            counts: dict[str, int] = {}
            work = render.generator(write_table(kept, file))
            render.watch(work, lambda event: counts.update(event.counts) if isinstance(event, Done) else None)
            render.note(f"{counts['items']:,} judged pictures in {render.shown(file)}")
            return
        render.watch(render.generator(export(kept, file)))
        render.note(f"{len(kept):,} pictures in {render.shown(file)}: {render.size(file.stat().st_size)}")
