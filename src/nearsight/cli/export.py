"""``nearsight export``: a collection as one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearsight.cli import places, render

EXAMPLES = """nearsight export pictures.parquet
nearsight export pictures.csv --collection shop.ns"""


def run(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Where to write: .parquet (with the vectors), .csv or .jsonl (without them)."
        ),
    ],
    collection: places.CollectionOption = None,
) -> None:
    """Write a collection as one table: Parquet, CSV or JSON lines.

    Columns: key, path, label, captions, fields, and in Parquet the vector.
    """
    from nearsight.search.export import export

    with places.opened(places.find(collection)) as kept:
        render.watch(render.generator(export(kept, file)))
        render.note(f"{len(kept):,} pictures in {render.shown(file)}: {render.size(file.stat().st_size)}")
