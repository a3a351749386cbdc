"""The Parquet files of a bulk run: what is planned, what is encoded, what is left out. Whole or absent, checksummed."""

from __future__ import annotations

import hashlib
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
_GROUP = 4096
"""Rows that are checked and read at once."""
_VECTOR, _SUMS = "vector", b"nearsight.sums"


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
    return [_entry(row) for group in _groups(path) for row in group.to_pylist()]


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
            pa.field(_VECTOR, pa.list_(kind, dim), nullable=False),
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
    for group in _groups(path):
        try:
            rows = group.drop_columns([_VECTOR]).to_pylist()
            pictures = [Picture(_entry(row), row["sha256"], row["size"]) for row in rows]
            vectors = _matrix(group.column(_VECTOR).combine_chunks())
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
    return [Skipped(**row) for group in _groups(path) for row in group.to_pylist()]


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
    """With a checksum of each group of rows in the metadata: Parquet's own are of pages, and a bit that flips in its
    footer loses rows without a word."""
    pa, pq = parquet()
    table = pa.Table.from_arrays(columns, schema=schema)
    sums = [_sum(table.slice(start, _GROUP)) for start in range(0, len(table) or 1, _GROUP)]
    table = table.replace_schema_metadata({**(schema.metadata or {}), _SUMS: ",".join(sums)})
    with replaced_whole(path) as temporary:
        pq.write_table(table, temporary, row_group_size=_GROUP, compression="zstd", use_dictionary=False)


def _sum(rows: Any) -> str:
    digest = hashlib.sha256()
    for name in rows.column_names:
        column = rows.column(name).combine_chunks()
        if name == _VECTOR:
            digest.update(np.ascontiguousarray(_matrix(column)).tobytes())
        else:
            digest.update(repr(column.to_pylist()).encode())
    return digest.hexdigest()


def _matrix(column: Any) -> NDArray[np.floating]:
    """A column of vectors as (n, dim)."""
    flat: NDArray[np.floating] = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), column.type.list_size)


def _opened(path: Path) -> Any:
    pa, pq = parquet()
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _groups(path: Path) -> Iterator[Any]:
    """Tables of some thousands of rows, each as it was written."""
    pa, _ = parquet()
    with _opened(path) as file:
        try:
            sums = (file.schema_arrow.metadata or {})[_SUMS].decode().split(",")
            if file.num_row_groups != len(sums):
                raise ValueError("rows are missing")
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group)
                if _sum(rows) != sums[group]:
                    raise ValueError("rows are not those that were written")
                yield rows
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> Damaged:
    return Damaged(
        f"{path} cannot be read: {error}", hint="remove that file and run the same nearsight encode: it is made again"
    )
