"""Where a collection is: named, in the environment, or found from the working folder upwards as git does it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearsight.cli import render
from nearsight.core.errors import InputError, NotACollection

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

HIDDEN = ".nearsight"
VARIABLE = "NEARSIGHT_COLLECTION"
_MANIFEST, _CATALOGUE, _GENERATIONS = "manifest.json", "catalogue.sqlite", "generations"

CollectionOption = Annotated[
    Path | None,
    typer.Option(
        "--collection",
        "-c",
        metavar="PATH",
        help=f"The collection, or a folder that was indexed. Else ${VARIABLE}, else {HIDDEN} in the working folder or "
        "one above it.",
        show_default=False,
    ),
]
CollectionArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[COLLECTION]",
        help=f"The collection, or a folder that was indexed. Else ${VARIABLE}, else {HIDDEN} in the working folder or "
        "one above it.",
        show_default=False,
    ),
]


def named(path: Path) -> Path:
    """The collection that `path` means: itself, or the one inside the indexed folder `path`.

    A folder of pictures may have a ``manifest.json`` of its own; a collection has no hidden folder in it.
    """
    return path / HIDDEN if (path / HIDDEN).is_dir() else path


def find(given: Path | None) -> Path:
    """The folder of the collection to use. Raises NotACollection where nothing says which."""
    if given is not None:
        return named(given.expanduser())
    if os.environ.get(VARIABLE):
        return named(Path(os.environ[VARIABLE]).expanduser())
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / HIDDEN / _MANIFEST).is_file() or (folder / HIDDEN / _CATALOGUE).is_file():
            return folder / HIDDEN
        if (folder / _MANIFEST).is_file() and any((folder / name).exists() for name in (_CATALOGUE, _GENERATIONS)):
            return folder  # standing inside one
    raise NotACollection(
        f"there is no collection in {here} or above it",
        hint="make one: nearsight index FOLDER; or say where it is: --collection PATH",
    )


def home(folder: Path, given: Path | None) -> Path:
    """Where the collection of a folder of pictures belongs: beside what was said, else hidden inside the folder."""
    if given is not None:
        return named(given.expanduser())
    if os.environ.get(VARIABLE):
        return named(Path(os.environ[VARIABLE]).expanduser())
    return folder / HIDDEN


def opened(folder: Path, *, write: bool = False) -> Collection:
    """The collection in `folder`."""
    from nearsight.search.collection import Collection

    if not folder.exists():
        raise NotACollection(f"there is nothing at {folder}", hint=f"make one: nearsight index FOLDER -c {folder}")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file, not a collection", code="store/none", hint="name the folder")
    return Collection.open(folder, read_only=not write)


def reopened(folder: Path, agree: Callable[[Collection], None], *, engine: str | None, dtype: str | None) -> Collection:
    """The collection in `folder`, open for writing, with the engine that is wanted from now on; None: as it is.

    `agree` looks at it first, and raises what is wrong with it: then nothing has changed. Raises InputError (code
    ``collection/dtype``) where it stores vectors otherwise, and as `Collection.change_engine`.
    """
    kept = opened(folder, write=True)
    try:
        if dtype is not None and dtype != kept.store.manifest["dtype"]:
            raise InputError(
                f"{folder} has dtype {kept.store.manifest['dtype']}, not {dtype}",
                code="collection/dtype",
                hint="leave --dtype out, or make a new collection elsewhere",
            )
        agree(kept)
        if engine is not None:
            before = kept.engine
            kept.change_engine(engine)
            if engine != before:
                render.note(f"{before} gives way to {engine}")  # only now: with a password in it, it is refused
    except BaseException:
        kept.close()
        raise
    return kept
