"""``nearsight encode SOURCE``: more pictures than one sitting takes, into Parquet files."""

from __future__ import annotations

import contextlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nearsight.cli import render
from nearsight.cli.index import skipped_table
from nearsight.cli.options import CountsOption, Dtype, IsolateOption
from nearsight.core.events import Done, Event, Skipped

EXAMPLES = """nearsight encode ~/Pictures --encoder bundled --out vectors
nearsight encode shop.parquet -e runs/shop/encoder -o vectors --path-column file --on ray
nearsight encode s3://bucket/photos -e timm/resnet50 -o /shared/vectors --on 'ray?address=auto&gpus=1' --rows 50000
nearsight import vectors photos.ns"""
_KEPT = 10_000
"""Files left out that are kept for the table at the end."""


class FolderLabels(StrEnum):
    """Where the labels of a folder's or a store's pictures come from."""

    FOLDER = "folder"
    NONE = "none"


def run(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder of pictures, a Parquet table with a column of paths, or an address of objects "
            "(s3://bucket/photos).",
        ),
    ],
    encoder: Annotated[
        str,
        typer.Option(
            "--encoder",
            "-e",
            metavar="ADDRESS",
            help="What makes the vectors: an address (nearsight show encoders) or an encoder folder.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Where the shards are written; what nearsight import takes. The same command goes on in it.",
        ),
    ],
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="ADDRESS",
            help="Who encodes: local, this process; ray, actors of Ray Data (nearsight show runners).",
        ),
    ] = "local",
    rows: Annotated[
        int,
        typer.Option("--rows", min=1, metavar="N", help="Pictures of a shard: what a killed worker loses, at most."),
    ] = 5000,
    dtype: Annotated[
        Dtype, typer.Option("--dtype", help="How vectors are written; float16 takes half the bytes.")
    ] = Dtype.FLOAT32,
    labels: Annotated[
        FolderLabels,
        typer.Option("--labels", help="The folder that a picture lies in is its label, or not; a table says itself."),
    ] = FolderLabels.FOLDER,
    path_column: Annotated[
        str, typer.Option("--path-column", metavar="NAME", help="The column of a table that has the paths.")
    ] = "path",
    label_column: Annotated[
        str, typer.Option("--label-column", metavar="NAME", help="The column of a table that has the labels.")
    ] = "label",
    caption_column: Annotated[
        str,
        typer.Option(
            "--caption-column",
            metavar="NAME",
            help="The column of a table that has the captions, one or a list; NAME_2, NAME_3 go with it. Every other "
            "column can be filtered by after the import.",
        ),
    ] = "caption",
    isolate: IsolateOption = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            metavar="N",
            help="Threads that read and decode in each process that encodes; default: one a core. More where pictures "
            "come over a network.",
            show_default=False,
        ),
    ] = None,
    retry: Annotated[
        bool,
        typer.Option("--retry", metavar="", help="Encode shards again from which pictures were left out."),
    ] = False,
    as_json: CountsOption = False,
) -> None:
    """Encode a folder, a table of paths or a store of objects into Parquet files, here or on Ray.

    The source is listed once and cut into shards; each is one file that is whole or absent. Ctrl-C, a crash or a killed
    worker lose the shard in hand, and the same command goes on from there. What cannot be used stands with its reason
    in FOLDER/skipped.
    """
    from nearsight.encode import create
    from nearsight.search.bulk import Columns, Options, encode

    options = Options(
        columns=Columns(path_column, label_column, caption_column),
        folder_labels=labels is FolderLabels.FOLDER,
        rows=rows,
        dtype=dtype.value,
        workers=workers,
        isolate=isolate,
        retry=retry,
    )
    seen = _Seen()
    work = encode(source, create(encoder), out, options, on=on)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what Ray prints of its workers is no result
            render.watch(work, seen)
    except (render.Stopped, KeyboardInterrupt):
        raise render.Stopped("stopped; what is whole is kept. The same command goes on from here.") from None
    done = seen.done
    if as_json:
        render.line({"out": str(out), **done.counts, "seconds": round(done.seconds, 3)})
    counts = done.counts
    pace = f", {counts['encoded'] / done.seconds:,.0f} a second" if counts["encoded"] and done.seconds > 0.5 else ""
    kept = f", {counts['kept']:,} before" if counts["kept"] else ""
    render.note(
        f"{render.shown(out)}: {counts['encoded']:,} pictures encoded{kept}, {counts['shards']:,} shards "
        f"({render.duration(done.seconds)}{pace})"
    )
    for text in skipped_table(seen.skipped):
        render.note(text)
    if counts["skipped"] > len(seen.skipped):
        render.note(f"  and {counts['skipped'] - len(seen.skipped):,} more: {render.shown(out / 'skipped')}")
    render.note(render.aside(f"Take them in: nearsight import {render.shown(out)} COLLECTION"))


class _Seen:
    """What the summary needs of the events."""

    def __init__(self) -> None:
        self.skipped: list[Skipped] = []
        self.done = Done("encode")

    def __call__(self, event: Event) -> None:
        if isinstance(event, Skipped) and len(self.skipped) < _KEPT:
            self.skipped.append(event)
        elif isinstance(event, Done):
            self.done = event
