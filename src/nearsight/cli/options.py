"""Options that several verbs take, stated once, and what a new collection has unless told."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

ENCODER, ENGINE, DTYPE = "bundled", "faiss/Flat", "float32"


class Dtype(StrEnum):
    """How vectors are stored."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="ADDRESS",
        help=f"What searches the vectors (nearsight show engines); a new collection takes '{ENGINE}' unless told; one "
        "that is there changes to it.",
        show_default=False,
    ),
]
IsolateOption = Annotated[
    bool,
    typer.Option(
        "--isolate", metavar="", help="Decode in processes that can be killed: slower, for pictures from strangers."
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, metavar="N", help="Decoding threads; default: one a core.", show_default=False),
]
CountsOption = Annotated[bool, typer.Option("--json", metavar="", help="Print the counts as JSON on stdout.")]
FindingsOption = Annotated[bool, typer.Option("--json", metavar="", help="Print each finding as one JSON line.")]
DeviceOption = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu or cuda.")]
RootOption = Annotated[
    str | None,
    typer.Option("--root", metavar="PATH", help="Where a data set by name lies; default: $NEARSIGHT_DATA."),
]
NullOption = Annotated[
    bool, typer.Option("-0", "--null", metavar="", help="With -f: end paths with NUL, not a new line.")
]
