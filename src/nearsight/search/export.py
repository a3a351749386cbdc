"""A collection as one table: Parquet with its vectors, or CSV and JSON lines without."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.artefact import replaced_whole
from nearsight.core.errors import InputError, MissingExtra
from nearsight.core.events import Done, Event, Step
from nearsight.core.items import Item

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

_ROWS = 4096
"""Items held in memory at once."""

_Write = Callable[[list[Item], NDArray[np.float32]], None]


def export(collection: Collection, path: Path) -> Iterator[Event]:
    """Write every item to `path`, by its suffix: ``.parquet`` (needs pyarrow), ``.csv`` or ``.jsonl``; whole or absent.

    Columns: key, path, label, captions, fields, and in Parquet vector, a list of dim numbers exactly as stored. The
    other two are for people and spreadsheets and carry no vectors. Where a cell takes text only, captions and fields
    are JSON; bytes of a path that are no UTF-8 are written ``\\xff``. Memory is bounded by a few thousand items.

    Yields Step and Done. Raises InputError (code ``export/format``), MissingExtra, Damaged, WriteFailed.
    """
    path = Path(path)
    formats = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
    if path.suffix not in formats:
        raise InputError(
            f"{path.name} does not say its format", code="export/format", hint=f"end it in {', '.join(formats)}"
        )
    return _export(collection, path, formats[path.suffix])


def _export(collection: Collection, path: Path, form: Any) -> Iterator[Event]:
    started = time.monotonic()
    snapshot = collection.store.verified()
    keys, done = snapshot.living(), 0
    with replaced_whole(path) as temporary, form(temporary, collection) as write:
        for start in range(0, len(keys), _ROWS):
            some = keys[start : start + _ROWS]
            items = list(collection.items(some.tolist()))  # without those that a writer deletes meanwhile
            there = np.array([item.key for item in items], dtype=np.int64)
            write(items, snapshot.vectors(snapshot.rows_of(there)))
            done += len(items)
            yield Step("export", start + len(some), len(keys))
    yield Done("export", {"items": done}, time.monotonic() - started)


@contextmanager
def _parquet(path: Path, collection: Collection) -> Iterator[_Write]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra.of("pyarrow", "table", "exporting to Parquet") from error
    store = collection.store
    kind = pa.float16() if store.shape.dtype == np.float16 else pa.float32()
    facts = {"encoder": store.manifest["encoder"], "fingerprint": collection.fingerprint}
    schema = pa.schema(
        [
            pa.field("key", pa.int64(), nullable=False),
            pa.field("path", pa.string(), nullable=False),
            pa.field("label", pa.string()),
            pa.field("captions", pa.list_(pa.string())),
            pa.field("fields", pa.string()),
            pa.field("vector", pa.list_(kind, collection.dim), nullable=False),
        ],
        metadata={f"nearsight.{name}": str(value) for name, value in facts.items()},
    )

    def write(items: list[Item], vectors: NDArray[np.float32]) -> None:
        flat = pa.array(np.ascontiguousarray(vectors, dtype=store.shape.dtype).ravel())
        columns = [
            pa.array([i.key for i in items], pa.int64()),
            pa.array([path_text(i.path) for i in items], pa.string()),
            pa.array([cell(i.label) for i in items], pa.string()),
            pa.array([[cell(c) for c in i.captions] for i in items], pa.list_(pa.string())),
            pa.array([json.dumps(dict(i.fields), sort_keys=True) for i in items], pa.string()),
            pa.FixedSizeListArray.from_arrays(flat, collection.dim),
        ]
        writer.write_table(pa.Table.from_arrays(columns, schema=schema))

    with pq.ParquetWriter(path, schema) as writer:
        yield write


@contextmanager
def _csv(path: Path, collection: Collection) -> Iterator[_Write]:
    with ExitStack() as stack:
        table = csv.writer(stack.enter_context(open(path, "w", encoding="utf-8", newline="")))
        table.writerow(["key", "path", "label", "captions", "fields"])

        def write(items: list[Item], vectors: NDArray[np.float32]) -> None:
            for i in items:
                captions, fields = json.dumps(list(i.captions)), json.dumps(dict(i.fields), sort_keys=True)
                table.writerow([i.key, path_text(i.path), cell(i.label), captions, fields])

        yield write


@contextmanager
def _jsonl(path: Path, collection: Collection) -> Iterator[_Write]:
    with open(path, "w", encoding="utf-8", newline="\n") as file:

        def write(items: list[Item], vectors: NDArray[np.float32]) -> None:
            for i in items:
                row = {"key": i.key, "path": path_text(i.path), "label": i.label, "captions": i.captions}
                file.write(json.dumps(row | {"fields": dict(i.fields)}, sort_keys=True) + "\n")

        yield write


def path_text(path: Path) -> str:
    """A path for a table: bytes that are no UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def cell(text: str | None) -> str | None:
    """Lone surrogates are no UTF-8."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()
