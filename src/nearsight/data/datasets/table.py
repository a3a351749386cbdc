"""A table: ``table/FILE.csv`` or ``table/FILE.parquet``, with columns path, label, split, caption, and any others.

A picture's several captions are several rows of one path, or columns caption, caption_2, caption_3 and so on, or in
Parquet a caption column of lists. Further columns become fields for filters, with types: in CSV a column is int, float
or bool where every cell that is not empty is; in Parquet it is what it is.
"""

from __future__ import annotations

import csv
import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from nearsight.core.errors import DatasetError, MissingExtra
from nearsight.core.events import Skipped
from nearsight.core.items import Item, Value
from nearsight.data.datasets import Dataset, few, place, usable_captions

_BOOL = {"true": True, "false": False}
_INT = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")  # "007" is a name, and what 64 bits do not hold is text
_FLOAT = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?")
Row = Mapping[str, Any]


def build(
    variant: str | None = None,
    *,
    root: Path | None,
    path: str = "path",
    label: str = "label",
    split: str = "split",
    caption: str = "caption",
    pictures: str = "",
) -> Dataset:
    """`variant` is the file, below `root` if that is given. The other options name the columns.

    Relative paths start at the table's folder, or at `pictures` below it. `path` must be a column; so must any other
    that is named differently from its default. ``caption=told`` takes ``told_2``, ``told_3`` with it. Keys count the
    pictures in the order of their first rows. Rows whose picture is not there are skipped
    (``dataset/missing-picture``), and so are captions of nothing but blanks (``dataset/empty-caption``); an empty cell
    is no caption.

    Raises DatasetError: ``dataset/missing``, ``dataset/format``, ``dataset/column``, ``dataset/cell`` (an empty path,
    label or split), ``dataset/duplicate`` (one path in several rows that are not several captions),
    ``dataset/conflict`` (rows of one path disagree), ``dataset/empty``; MissingExtra for Parquet without pyarrow.
    """
    file = place(variant, root, "table")
    wanted = {"path": path, "label": label, "split": split}
    told = re.compile(rf"{re.escape(caption)}(_[0-9]+)?")
    columns, rows = _read(file, {*wanted.values()}, told)
    captions = sorted((c for c in columns if told.fullmatch(c)), key=lambda c: int(c[len(caption) + 1 :] or 1))
    for role, column in {**wanted, "caption": captions[0] if captions else caption}.items():
        if column not in columns and (role == "path" or column != role):
            near = difflib.get_close_matches(column, columns, n=1)
            raise DatasetError(
                f"{file} has no column '{column}' for the {role}",
                code="dataset/column",
                hint=(f"did you mean '{near[0]}'? " if near else "")
                + f"its columns: {few(columns, 12)}; name it with ?{role}=COLUMN",
            )
    used = {role: column for role, column in wanted.items() if column in columns}
    for role in ("path", "label", "split"):
        if role in used:
            _refuse_empty(file, rows, used[role])
    return _dataset(file, rows, used, captions, file.parent / pictures)


def _dataset(file: Path, rows: list[Row], used: Mapping[str, str], told: Sequence[str], base: Path) -> Dataset:
    others = [column for column in (rows[0] if rows else ()) if column not in used.values() and column not in told]
    first: dict[Path, tuple[int, Row]] = {}
    captions: dict[Path, list[object]] = {}
    repeated: list[str] = []
    for number, row in enumerate(rows):
        path = Path(os.path.normpath(base / str(row[used["path"]])))
        if path in first:
            before, known = first[path]
            fixed = [used[r] for r in ("label", "split") if r in used] + others
            differing = [column for column in fixed if row[column] != known[column]]
            if differing:
                raise DatasetError(
                    f"rows {before + 1} and {number + 1} of {file} disagree on '{differing[0]}' of {path}: "
                    f"{known[differing[0]]!r} and {row[differing[0]]!r}",
                    code="dataset/conflict",
                    hint="one picture has one value in each column but the caption",
                )
            if not told:
                repeated.append(str(path))
        else:
            first[path] = (number, row)
            captions[path] = []
        for column in told:
            cell = row[column]
            captions[path] += cell if isinstance(cell, list) else [] if cell in (None, "") else [cell]
    if repeated:
        raise DatasetError(
            f"{len(repeated)} row(s) of {file} repeat a path: {few(repeated)}",
            code="dataset/duplicate",
            hint="only rows with captions may share a path",
        )
    items: list[Item] = []
    skipped: list[Skipped] = []
    for key, (path, (_, row)) in enumerate(first.items()):
        if not path.is_file():
            skipped.append(Skipped(str(path), "dataset/missing-picture", "named in the table and not there"))
            continue
        label, split = (str(row[used[r]]) if r in used else None for r in ("label", "split"))
        fields = {column: row[column] for column in others if row[column] is not None}
        texts, empty = usable_captions(path, captions[path])
        items.append(Item(key, path, label, split, texts, fields))
        skipped += empty
    return Dataset(file.name.partition(".")[0], tuple(items), tuple(skipped))


def _refuse_empty(file: Path, rows: list[Row], column: str) -> None:
    empty = [str(n) for n, row in enumerate(rows, 1) if row[column] is None or str(row[column]).strip() == ""]
    if empty:
        raise DatasetError(
            f"column '{column}' of {file} is empty in {len(empty)} row(s): {few(empty)}",
            code="dataset/cell",
            hint="fill the cells, or remove the column or the rows",
        )


def _read(file: Path, text: Set[str], told: re.Pattern[str]) -> tuple[list[str], list[Row]]:
    """Columns and rows. `text` names columns that stay as they are written, `told` matches those of captions."""
    if file.suffix.lower() == ".csv":
        return _read_csv(file, text, told)
    if file.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(file, told)
    raise DatasetError(f"{file} is neither .csv nor .parquet", code="dataset/format", hint="convert it to one of them")


def _read_csv(file: Path, text: Set[str], told: re.Pattern[str]) -> tuple[list[str], list[Row]]:
    try:
        with open(file, newline="", encoding="utf-8-sig") as handle:
            lines = list(_lines(file, csv.reader(handle, strict=True)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{file} is not readable as CSV in UTF-8: {error}", code="dataset/format") from error
    if not lines:
        raise DatasetError(f"{file} is empty", code="dataset/format", hint="expected a header with a column 'path'")
    columns = lines[0]
    if len(set(columns)) < len(columns):
        raise DatasetError(f"{file} names a column twice: {few(columns, 12)}", code="dataset/column")
    typed = (
        [
            list(cells) if name in text or told.fullmatch(name) else _typed(cells)
            for name, cells in zip(columns, zip(*lines[1:], strict=True), strict=True)
        ]
        if lines[1:]
        else []
    )
    return columns, [dict(zip(columns, cells, strict=True)) for cells in zip(*typed, strict=True)]


def _lines(file: Path, reader: Iterator[list[str]]) -> Iterator[list[str]]:
    width = None
    for number, cells in enumerate(reader):
        if not cells:
            continue
        width = width or len(cells)
        if len(cells) != width:
            raise DatasetError(
                f"row {number} of {file} has {len(cells)} cells and the header {width}",
                code="dataset/format",
                hint="quote cells that contain commas",
            )
        yield cells


def _typed(cells: tuple[str, ...]) -> list[Value | None]:
    """One CSV column as int, float, bool or str, whichever all its filled cells are; an empty cell is absent."""
    filled = [cell for cell in cells if cell != ""]
    if filled and all(cell.lower() in _BOOL for cell in filled):
        return [_BOOL[cell.lower()] if cell else None for cell in cells]
    for kind, pattern in ((int, _INT), (float, _FLOAT)):
        if filled and all(pattern.fullmatch(cell) for cell in filled):
            return [kind(cell) if cell else None for cell in cells]
    return [cell or None for cell in cells]


def _read_parquet(file: Path, told: re.Pattern[str]) -> tuple[list[str], list[Row]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra.of("pyarrow", "table", "reading Parquet") from error
    try:
        table = pyarrow.parquet.read_table(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{file} is not readable as Parquet: {error}", code="dataset/format") from error
    rows: list[Row] = table.to_pylist()
    plain = (str, int, float, bool, type(None))
    for column in table.column_names:
        for number, row in enumerate(rows, 1):
            cell = row[column]
            listed = isinstance(cell, list) and told.fullmatch(column) is not None
            if not all(isinstance(one, plain) for one in (cell if listed else [cell])):
                raise DatasetError(
                    f"column '{column}' of {file} holds a {type(row[column]).__name__} in row {number}",
                    code="dataset/cell",
                    hint="columns are text, numbers or booleans; name one of lists of captions with ?caption=COLUMN",
                )
    return list(table.column_names), rows
