"""What there is to encode: a folder, a table of paths, or a store of objects, listed once and in a fixed order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from nearsight.core.errors import DatasetError, InputError, NearsightError
from nearsight.core.events import Skipped
from nearsight.core.items import Value
from nearsight.data.datasets import few, usable_captions
from nearsight.data.images import walk
from nearsight.search.bulk.files import Entry, parquet
from nearsight.search.bulk.options import Columns, Options
from nearsight.search.bulk.reading import changed_ns, filesystem, is_address

_BATCH = 4096
_FILE = "file://"
_TABLES = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class Source:
    """Where pictures are listed.

    text  as it was given, in full: two sources are the same if this is
    root  the folder that relative paths start at; None where there are none
    """

    text: str
    root: Path | None


def source(given: str) -> Source:
    """What `given` means: a folder, a ``.parquet`` table, or an address of objects (``s3://bucket/photos``).

    Raises InputError: code ``folder/none`` where nothing is there, ``bulk/address``; MissingExtra.
    """
    given = given.removeprefix(_FILE)
    if is_address(given):
        filesystem(given)
        return Source(given, None)
    place = Path(given).expanduser().resolve()
    if place.is_dir():
        return Source(str(place), place)
    if place.is_file() and place.suffix.lower() in _TABLES:
        return Source(str(place), place.parent)
    raise InputError(
        f"there is no folder and no table (.parquet) {given}",
        code="folder/none",
        hint="check the path; a store of objects is an address, s3://bucket/photos",
    )


def listed(found: Source, options: Options, without: Path) -> Iterator[Entry | Skipped]:
    """Every picture of a source, or why it is none. `without`: a folder that is passed over, the one written to.

    Memory does not grow with the source, but with its largest folder. Raises DatasetError for a table that cannot be
    read, InputError for a folder or store that cannot be listed.
    """
    if found.text.lower().endswith(_TABLES):
        return _table(found, options.columns)
    if found.root is None:
        return _objects(found.text, options.folder_labels)
    return _folder(found.root, options.folder_labels, without.resolve())


def _folder(root: Path, labels: bool, without: Path) -> Iterator[Entry | Skipped]:
    for found in walk(root):
        if isinstance(found, Skipped):
            yield found
        elif not found.path.is_relative_to(without):
            path = found.path.relative_to(root)
            yield Entry(os.fsencode(path), found.mtime_ns, path.parent.name or None if labels else None)


def _objects(address: str, labels: bool) -> Iterator[Entry | Skipped]:
    store, root = filesystem(address)
    try:
        for folder, below, objects in store.walk(root, detail=True, on_error="raise"):
            below_names = sorted(below)
            for hidden in [name for name in below_names if name.startswith(".")]:
                del below[hidden]
            inside = PurePosixPath(folder).name if folder.strip("/") != root.strip("/") else ""
            for name in sorted(objects):
                path = store.unstrip_protocol(f"{folder}/{name}" if folder else name)
                if name.startswith("."):
                    yield Skipped(path, "picture/hidden", "hidden: its name begins with a dot")
                elif name:
                    yield Entry(path.encode(), changed_ns(objects[name]), inside or None if labels else None)
    except NearsightError:
        raise
    except Exception as error:  # stores raise whatever comes to their mind
        hint = "check the address, and that this machine may read it"
        message = f"{address} cannot be listed: {type(error).__name__}: {error}"
        raise InputError(message, code="folder/unreadable", hint=hint) from error


def _table(found: Source, columns: Columns) -> Iterator[Entry | Skipped]:
    pa, pq = parquet()
    with ExitStack() as stack:
        try:
            handle: Any = found.text
            if is_address(found.text):
                store, path = filesystem(found.text)
                handle = stack.enter_context(store.open(path, "rb"))
            file = stack.enter_context(pq.ParquetFile(handle))
            names = file.schema_arrow.names
        except (pa.ArrowException, OSError) as error:
            raise DatasetError(f"{found.text} is not readable as Parquet: {error}", code="dataset/format") from error
        if len(set(names)) < len(names) or columns.path not in names:
            raise DatasetError(
                f"{found.text} has no column '{columns.path}' for the path, or columns of one name",
                code="dataset/column",
                hint=f"its columns: {few(names, 12)}; name it with --path-column",
            )
        told = re.compile(rf"{re.escape(columns.caption)}(_[0-9]+)?")
        captions = [name for name in names if told.fullmatch(name)]
        captions.sort(key=lambda name: int(name[len(columns.caption) + 1 :] or 1))
        number = 0
        for batch in file.iter_batches(_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield from _row(found.text, number, row, columns, captions)


def _row(
    table: str, number: int, row: Mapping[str, Any], columns: Columns, captions: list[str]
) -> Iterator[Entry | Skipped]:
    path = row[columns.path]
    if not isinstance(path, str) or not path.strip():
        raise DatasetError(
            f"column '{columns.path}' of {table} holds no path in row {number}", code="dataset/cell", hint="fill it"
        )
    path = path.removeprefix(_FILE)
    if is_address(table) and not is_address(path):
        path = f"{table.rpartition('/')[0]}/{path}"
    cells = [row[name] for name in captions]
    told = [one for cell in cells for one in (cell if isinstance(cell, list) else [] if cell is None else [cell])]
    texts, empty = usable_captions(Path(path), told)
    yield from empty
    label = row.get(columns.label)
    fields: dict[str, Value] = {}
    for name, cell in row.items():
        if name in (columns.path, columns.label, *captions) or cell is None or cell != cell:  # NaN is absent
            continue
        if not isinstance(cell, (str, int, float, bool)):
            raise DatasetError(
                f"column '{name}' of {table} holds a {type(cell).__name__} in row {number}",
                code="dataset/cell",
                hint="columns are text, numbers or booleans; captions may be lists: name theirs with --caption-column",
            )
        fields[name] = cell
    yield Entry(path.encode("utf-8", "surrogateescape"), None, None if label is None else str(label), texts, fields)
