"""``nearsight import FOLDER COLLECTION``: what `nearsight encode` wrote, into a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearsight.cli import places, render
from nearsight.cli.options import ENGINE, CountsOption, Dtype, EngineOption

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

EXAMPLES = """nearsight import vectors photos.ns
nearsight import /shared/vectors photos.ns --pictures /mnt/photos
nearsight import vectors photos.ns && nearsight index ~/Pictures -c photos.ns"""


def run(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What nearsight encode wrote: its --out.")],
    collection: Annotated[
        Path, typer.Argument(metavar="COLLECTION", help="A collection of the same encoder, or where a new one is made.")
    ],
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures",
            metavar="FOLDER",
            help="Where the pictures of the encoded folder (or of the table's) lie on this machine, if elsewhere than "
            "when they were encoded.",
            show_default=False,
        ),
    ] = None,
    engine: EngineOption = None,
    dtype: Annotated[
        Dtype | None,
        typer.Option(
            "--dtype", help="How a new collection stores vectors: as they were written unless told.", show_default=False
        ),
    ] = None,
    as_json: CountsOption = False,
) -> None:
    """Take the vectors that nearsight encode wrote into a collection, new or there already.

    Every vector is checked, and what is in the collection already is not added again: repeat it when more shards are
    there, or when it was broken off. The pictures need not be on this machine; then they are found and not shown.
    """
    where = places.named(collection.expanduser())
    with _opened(where, folder, engine, dtype) as kept:
        counts = render.watch(kept.take_in(folder, pictures=pictures))
        if as_json:
            render.line({"collection": str(where), "items": len(kept), **counts})
        told = [f"{counts[name]:,} {name}" for name in counts if counts[name] and name not in ("shards", "missing")]
        render.note(f"{len(kept):,} pictures: {', '.join(told) or 'nothing to do'}")
        if counts["missing"]:
            render.warn(
                f"{counts['missing']:,} shards are not encoded yet: repeat nearsight encode, then nearsight import"
            )


def _opened(where: Path, folder: Path, engine: str | None, dtype: Dtype | None) -> Collection:
    from nearsight.encode import Encoder
    from nearsight.search.bulk.encode import read_run
    from nearsight.search.bulk.imports import require_same
    from nearsight.search.collection import Collection

    run_ = read_run(folder)
    if (where / "manifest.json").is_file():
        return places.reopened(where, lambda there: require_same(there, folder, run_), engine=engine, dtype=dtype)
    encoder = Encoder.load(folder / "encoder")
    return Collection.create(where, encoder, engine=engine or ENGINE, dtype=dtype.value if dtype else run_["dtype"])
