"""What is asked: pictures, words, items and vectors with weights, and a filter on what is stored beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.errors import QueryError
from nearsight.core.items import Value

_COLUMNS = {"key": "key", "label": "label", "size": "size", "path": "CAST(path AS TEXT)"}
_COMPARE = {"eq": "IS", "ne": "IS NOT", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_TEXT = re.compile(
    r"^\s*(?P<field>[^=!<>~\s][^=!<>~]*?)\s*(?P<operator>!=|>=|<=|==|=|>|<|~)\s*(?P<value>.*?)\s*$", re.DOTALL
)
_SIGNS = {"=": "eq", "==": "eq", "!=": "ne", ">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "~": "contains"}


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that an item must meet, all of them: ``{field: {operator: value}}``, or ``{field: value}`` for eq.

    Fields are ``label``, ``path``, ``size``, ``key`` and the collection's own. Operators: eq, ne, lt, lte, gt, gte,
    in (a list), contains (text, ignoring case). A field that an item does not have meets only ``ne``. Text and numbers
    never equal each other.
    """

    conditions: tuple[tuple[str, str, Any], ...] = ()

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Filter:
        """From ``{field: {operator: value}}``. Raises QueryError (code ``query/filter``)."""
        conditions = []
        for field, wanted in spec.items():
            for operator, value in wanted.items() if isinstance(wanted, Mapping) else [("eq", wanted)]:
                _require(operator, value)
                conditions.append((field, operator, value))
        return cls(tuple(conditions))

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Filter:
        """From ``label=coast``, ``year>=2020``, ``path~holiday``, ``label=coast,forest`` (any of them)."""
        conditions: list[tuple[str, str, Any]] = []
        for text in texts:
            found = _TEXT.match(text)
            if not found:
                raise QueryError(
                    f"'{text}' is not a filter",
                    code="query/filter",
                    hint="write label=coast, year>=2020 or path~holiday",
                )
            operator, raw = _SIGNS[found["operator"]], found["value"]
            if operator == "eq" and "," in raw:
                conditions.append((found["field"], "in", [_value(found["field"], v.strip()) for v in raw.split(",")]))
            else:
                value = raw if operator == "contains" else _value(found["field"], raw)
                conditions.append((found["field"], operator, value))
        return cls(tuple(conditions))

    def sql(self) -> tuple[str, list[Any]]:
        """A WHERE clause over the item table, and its values."""
        parts, values = ["1"], []
        for field, operator, value in self.conditions:
            column = _COLUMNS.get(field)
            if column is None:
                if '"' in field:
                    raise QueryError(f"a field's name has no quotation marks: {field}", code="query/filter")
                column = "json_extract(fields, ?)"
                values.append(f'$."{field}"')
            if operator == "in":
                parts.append(f"{column} IN ({', '.join('?' * len(value))})")
                values += list(value)
            elif operator == "contains":
                parts.append(f"instr(lower({column}), lower(?)) > 0")
                values.append(value)
            else:
                parts.append(f"{column} {_COMPARE[operator]} ?")
                values.append(value)
        return " AND ".join(parts), [_storable(v) for v in values]


def _storable(value: Any) -> Any:
    """SQLite's integers have 64 bits; as a float, a larger one still compares as it should."""
    return float(str(value)) if isinstance(value, int) and abs(value) >= 1 << 63 else value


def _require(operator: str, value: object) -> None:
    known = [*_COMPARE, "in", "contains"]
    if operator not in known:
        hint = f"use {', '.join(known)}"
        raise QueryError(f"there is no filter operator '{operator}'", code="query/filter", hint=hint)
    if operator == "in":
        good = isinstance(value, (list, tuple, set)) and all(isinstance(v, (str, int, float)) for v in value)
    elif operator == "contains":
        good = isinstance(value, str)
    else:
        good = isinstance(value, (str, int, float, bool))
    if not good:
        raise QueryError(f"{value!r} is not a value for the filter operator '{operator}'", code="query/filter")


def _value(field: str, text: str) -> Value:
    """Numbers as numbers, except for the columns that hold text."""
    if field in ("label", "path"):
        return text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@dataclass(frozen=True, slots=True)
class Text:
    """Words to look for: ``Text("two dogs on a beach")``. A plain str is the path of a picture.

    Raises QueryError (code ``query/words``) where there are none, or bytes among them that are no letters.
    """

    words: str

    def __post_init__(self) -> None:
        if not self.words.strip():
            raise QueryError("there are no words to look for", code="query/words", hint="say what the picture shows")
        if any("\ud800" <= letter <= "\udfff" for letter in self.words):  # bytes of a command line that are not UTF-8
            raise QueryError(f"{self.words!a} is not text: it holds half a letter", code="query/words")


Source = Path | str | bytes | Image.Image | Text | NDArray[np.floating] | int
"""A picture (path, content, or decoded), words, a vector (d,), or the key of an item in the collection."""


@dataclass(frozen=True, slots=True)
class Query:
    """One or several examples with weights (negative: less of that), and a filter."""

    examples: tuple[tuple[Source, float], ...]
    where: Filter = Filter()

    @classmethod
    def like(cls, *examples: Source, where: Filter | Mapping[str, Any] | None = None) -> Query:
        """All examples with weight 1. Raises QueryError where there is none."""
        if not examples:
            raise QueryError("a query needs at least one example", code="query/empty")
        given = where if isinstance(where, Filter) else Filter.of(where or {})
        return cls(tuple((e, 1.0) for e in examples), given)

    @classmethod
    def words(cls, *texts: str, where: Filter | Mapping[str, Any] | None = None) -> Query:
        """Pictures that show what the texts say; each weighs 1. Raises QueryError as `like` and `Text`."""
        return cls.like(*map(Text, texts), where=where)
