"""The Parquet files of a bulk run: what is planned, what is encoded, what is left out. Whole or absent, checksummed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.artefact import replaced_whole
from nearsight.core.errors import Damaged, MissingExtra
from nearsight.core.events import Skipped
from nearsight.core.items import Value
from nearsight.search.export import cell

PLAN, SHARDS, SKIPPED, TRIES = "plan", "shards", "skipped", "tries"
_BATCH = 4096
"""Rows that are read at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture of a plan: where it is, and what is known about it.

    path  below the source's folder; or absolute, or an address (``s3://bucket/name.jpg``)
    """

    path: bytes
    mtime_ns: int | None = None
    label: str | None = None
    captions: tuple[str, ...] = ()
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a shard: its entry, and the file that was encoded."""

    entry: Entry
    sha256: bytes
    size: int


def parquet() -> tuple[Any, Any]:
    """pyarrow and its Parquet module. Raises MissingExtra."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra.of("pyarrow", "table", "encoding in bulk") from error
    return pa, pq


def named(folder: Path, kind: str, number: int) -> Path:
    """The file of shard `number`."""
    return folder / kind / f"{number:06d}.parquet"


def numbers(folder: Path, kind: str) -> list[int]:
    """The shards that have a file of that kind, sorted."""
    return sorted(int(path.stem) for path in (folder / kind).glob("*.parquet") if path.stem.isdigit())


def write_plan(path: Path, entries: Sequence[Entry]) -> None:
    """Raises WriteFailed."""
    pa, _ = parquet()
    _write(path, pa.schema(_entry_fields(pa)), _entry_columns(pa, entries))


def read_plan(path: Path) -> list[Entry]:
    """Raises Damaged."""
    return [_entry(row) for batch in _batches(path) for row in batch.to_pylist()]


def write_shard(
    path: Path, pictures: Sequence[Picture], vectors: NDArray[np.floating], facts: Mapping[str, str]
) -> None:
    """Pictures (n) with their vectors (n, dim), float16 or float32. `facts` go into the file's metadata."""
    pa, _ = parquet()
    dim = vectors.shape[1]
    kind = pa.from_numpy_dtype(vectors.dtype)
    schema = pa.schema(
        [
            *_entry_fields(pa),
            pa.field("sha256", pa.binary(32), nullable=False),
            pa.field("size", pa.int64(), nullable=False),
            pa.field("vector", pa.list_(kind, dim), nullable=False),
        ],
        metadata={f"nearsight.{name}": value for name, value in facts.items()},
    )
    columns = [
        *_entry_columns(pa, [one.entry for one in pictures]),
        pa.array([one.sha256 for one in pictures], pa.binary(32)),
        pa.array([one.size for one in pictures], pa.int64()),
        pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).ravel(), kind), dim),
    ]
    _write(path, schema, columns)


def shard_facts(path: Path) -> tuple[dict[str, str], int]:
    """What `write_shard` wrote beside the rows, and how many rows there are. Raises Damaged."""
    with _opened(path) as file:
        told = file.schema_arrow.metadata or {}
        facts = {
            name.decode().removeprefix("nearsight."): value.decode()
            for name, value in told.items()
            if name.startswith(b"nearsight.")
        }
        return facts, int(file.metadata.num_rows)


def read_shard(path: Path) -> Iterator[tuple[list[Picture], NDArray[np.floating]]]:
    """Some thousands of pictures at a time, with their vectors (n, dim) as stored. Raises Damaged."""
    for batch in _batches(path):
        try:
            column = batch.column("vector")
            vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(batch), column.type.list_size)
            rows = batch.drop_columns(["vector"]).to_pylist()
            pictures = [Picture(_entry(row), row["sha256"], row["size"]) for row in rows]
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            raise Damaged(f"{path} does not have the columns of a shard: {error}") from error
        yield pictures, vectors


def write_skipped(path: Path, skipped: Sequence[Skipped]) -> None:
    """Raises WriteFailed."""
    pa, _ = parquet()
    names = ("path", "code", "why", "hint")
    rows = [(cell(one.path), one.code, cell(one.why), one.hint) for one in skipped]
    columns = [pa.array([row[at] for row in rows], pa.string()) for at in range(len(names))]
    _write(path, pa.schema([pa.field(name, pa.string(), nullable=False) for name in names]), columns)


def read_skipped(path: Path) -> list[Skipped]:
    """Raises Damaged."""
    return [Skipped(**row) for batch in _batches(path) for row in batch.to_pylist()]


def _entry_fields(pa: Any) -> list[Any]:
    """``raw_path``: the bytes of a path that are no UTF-8, which ``path`` shows escaped."""
    return [
        pa.field("path", pa.string(), nullable=False),
        pa.field("raw_path", pa.binary()),
        pa.field("mtime_ns", pa.int64()),
        pa.field("label", pa.string()),
        pa.field("captions", pa.list_(pa.string()), nullable=False),
        pa.field("fields", pa.string(), nullable=False),
    ]


def _entry_columns(pa: Any, entries: Sequence[Entry]) -> list[Any]:
    paths = [entry.path.decode("utf-8", "backslashreplace") for entry in entries]
    raw = [None if path.encode() == entry.path else entry.path for path, entry in zip(paths, entries, strict=True)]
    return [
        pa.array(paths, pa.string()),
        pa.array(raw, pa.binary()),
        pa.array([entry.mtime_ns for entry in entries], pa.int64()),
        pa.array([cell(entry.label) for entry in entries], pa.string()),
        pa.array([[cell(one) for one in entry.captions] for entry in entries], pa.list_(pa.string())),
        pa.array([json.dumps(dict(entry.fields), sort_keys=True) for entry in entries], pa.string()),
    ]


def _entry(row: Mapping[str, Any]) -> Entry:
    path = row["raw_path"] if row["raw_path"] is not None else row["path"].encode()
    return Entry(path, row["mtime_ns"], row["label"], tuple(row["captions"]), json.loads(row["fields"]))


def _write(path: Path, schema: Any, columns: list[Any]) -> None:
    pa, pq = parquet()
    with replaced_whole(path) as temporary:
        table = pa.Table.from_arrays(columns, schema=schema)
        pq.write_table(table, temporary, write_page_checksum=True, compression="zstd", use_dictionary=False)


def _opened(path: Path) -> Any:
    pa, pq = parquet()
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _batches(path: Path) -> Iterator[Any]:
    pa, _ = parquet()
    with _opened(path) as file:
        try:
            yield from file.iter_batches(_BATCH)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> Damaged:
    return Damaged(
        f"{path} cannot be read: {error}", hint="remove that file and run the same nearsight encode: it is made again"
    )
