"""Conditions on what is stored beside the pictures: as dicts, in a written form, and as SQL with its values bound."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from nearsight.core.errors import QueryError
from nearsight.core.items import Value

COLUMNS = {"key": "key", "label": "label", "path": "CAST(path AS TEXT)", "size": "size"}
"""Fields that every collection has, as SQL; all others are its own."""
TEXT_COLUMNS = ("label", "path")
SIGNS = {"=": "eq", "==": "eq", "!=": "ne", ">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "~": "contains"}
"""Written operator -> operator; `in` is an eq with commas."""
JOINS = ("all", "any", "not")
LEVELS = 32
CONDITIONS = 1000
_VALUES = 30_000
"""Of all `in` together: SQLite binds 32,766."""
_BITS = 10_000
"""Of a whole number; Python refuses to write much longer ones."""

_COMPARE = {"eq": "IS", "ne": "IS NOT", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_OPERATORS = (*_COMPARE, "in", "contains")
_TEXT = re.compile(
    r"^\s*(?P<field>[^=!<>~\s][^=!<>~]*?)\s*(?P<operator>!=|>=|<=|==|=|>|<|~)\s*(?P<value>.*?)\s*$", re.DOTALL
)

Condition: TypeAlias = tuple[str, str, Any]
"""Field, operator, value."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that an item must meet, all of them: ``{field: {operator: value}}``, or ``{field: value}`` for eq.

    Fields are ``label``, ``path``, ``size``, ``key`` and the collection's own. Operators: eq, ne, lt, lte, gt, gte,
    in (a list), contains (text, ignoring case). A field that an item does not have meets only ``ne``. Text and numbers
    never equal each other. ``all`` and ``any`` before a list of such dicts, and ``not`` before one, nest; ``not`` takes
    exactly those items that the conditions do not.

    `join` says how many of `conditions`, which may be Filters too: ``all``, ``any``, or ``not`` (not all of them).
    Raises QueryError (code ``query/filter``) beyond 32 levels or 1,000 conditions.
    """

    conditions: tuple[Condition | Filter, ...] = ()
    join: str = "all"

    def __post_init__(self) -> None:
        if self.join not in JOINS or (self.join != "all" and not self.conditions):
            raise _refused(f"there is nothing that '{self.join}' could hold of")
        leaves = list(self.leaves())
        values = sum(len(value) for _, operator, value in leaves if operator == "in")
        if self._levels() > LEVELS or len(leaves) > CONDITIONS or values > _VALUES:
            raise too_much()
        for field, operator, value in leaves:
            for part in (field, *(value if operator == "in" else (value,))):
                _require_storable(part)

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Filter:
        """From ``{field: {operator: value}}``. Raises QueryError (code ``query/filter``)."""
        return whole(joined("all", _parts(spec, LEVELS)))

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Filter:
        """From ``label=coast``, ``year>=2020``, ``path~holiday``, ``label=coast,forest`` (any of them), all together.

        A text in parentheses may hold ``and``, ``or`` and ``not``: `nearsight.search.grammar.parse_filter` reads it.
        Raises QueryError (code ``query/filter``), GrammarError.
        """
        parts: list[Condition | Filter] = []
        for text in texts:
            if text.strip().startswith("(") and text.strip().endswith(")"):
                from nearsight.search.grammar import parse_filter

                parts.append(parse_filter(text))
                continue
            found = _TEXT.match(text)
            if not found:
                raise _refused(f"'{text}' is not a filter", "write label=coast, year>=2020 or path~holiday")
            field, operator, raw = found["field"], SIGNS[found["operator"]], found["value"]
            if operator == "eq" and "," in raw:
                parts.append((field, "in", tuple(typed(field, value.strip()) for value in raw.split(","))))
            else:
                parts.append((field, operator, raw if operator == "contains" else typed(field, raw)))
        return whole(joined("all", parts))

    def __and__(self, other: Filter) -> Filter:
        """Both of them."""
        return whole(joined("all", [self, other]))

    def leaves(self) -> Iterator[Condition]:
        """Every single condition in it."""
        for part in self.conditions:
            if isinstance(part, Filter):
                yield from part.leaves()
            else:
                yield part

    @property
    def nested(self) -> bool:
        """Whether it is more than conditions that must all hold."""
        return self.join != "all" or any(isinstance(part, Filter) for part in self.conditions)

    def _levels(self) -> int:
        return 1 + max((part._levels() for part in self.conditions if isinstance(part, Filter)), default=0)

    def sql(self) -> tuple[str, list[Any]]:
        """A WHERE clause over the item table, and its values."""
        clause = _clause(self, negated=False)
        return clause.text, clause.values

    def __str__(self) -> str:
        """As `parse` reads it, in parentheses."""
        from nearsight.search.grammar import write_filter

        return f"({write_filter(self)})" if self.conditions else ""


def joined(join: str, parts: Sequence[Condition | Filter]) -> Condition | Filter:
    """`parts` under one join, in the one form that a meaning has: no list in a list of its kind, none around one part,
    no ``not`` around a ``not``."""
    inner = "any" if join == "any" else "all"
    flat: list[Condition | Filter] = []
    for part in parts:
        if isinstance(part, Filter) and part.join == inner and (inner == "all" or part.conditions):
            flat += part.conditions
        elif isinstance(part, Filter) and not part.conditions:
            raise _refused(f"one of '{join}' is empty")
        else:
            flat.append(part)
    only = flat[0] if len(flat) == 1 else None
    if join == "not":
        if isinstance(only, Filter) and only.join == "not":
            return joined("all", only.conditions)
    elif only is not None:
        return only
    return Filter(tuple(flat), join)


def whole(part: Condition | Filter) -> Filter:
    """One condition is a Filter too."""
    return part if isinstance(part, Filter) else Filter((part,))


def too_much() -> QueryError:
    """The error for a filter beyond the bounds."""
    return _refused(
        "the filter is too large", f"at most {LEVELS} levels, {CONDITIONS:,} conditions, {_VALUES:,} values"
    )


def _refused(message: str, hint: str = "") -> QueryError:
    return QueryError(message, code="query/filter", hint=hint)


def _parts(spec: Mapping[str, Any], room: int) -> list[Condition | Filter]:
    if not room:
        raise too_much()
    if not isinstance(spec, Mapping):
        raise _refused(f"{spec!r} is no condition", "write {field: {operator: value}}")
    parts: list[Condition | Filter] = []
    for field, wanted in spec.items():
        if not isinstance(field, str):
            raise _refused(f"the name of a field is a text, not {field!r}")
        if field in ("all", "any") and isinstance(wanted, (list, tuple)):
            parts.append(joined(field, [joined("all", _parts(one, room - 1)) for one in wanted]))
        elif field == "not" and isinstance(wanted, Mapping) and not wanted.keys() <= set(_OPERATORS):
            parts.append(joined("not", _parts(wanted, room - 1)))
        else:  # `not` before operators is a field of that name
            for operator, value in wanted.items() if isinstance(wanted, Mapping) else [("eq", wanted)]:
                _require(operator, value)
                parts.append((field, operator, tuple(value) if operator == "in" else value))
    return parts


def _require(operator: str, value: object) -> None:
    if operator not in _OPERATORS:
        raise _refused(
            f"there is no filter operator '{operator}'", f"use {', '.join(_OPERATORS)}; all and any take lists"
        )
    if operator == "in":
        good = isinstance(value, (list, tuple, set)) and all(isinstance(v, (str, int, float)) for v in value)
    elif operator == "contains":
        good = isinstance(value, str)
    else:
        good = isinstance(value, (str, int, float, bool))
    if not good:
        raise _refused(f"{value!r} is not a value for the filter operator '{operator}'")


def _require_storable(part: object) -> None:
    if isinstance(part, str) and any("\ud800" <= letter <= "\udfff" for letter in part):
        raise _refused(f"{part!a} is not text: it holds half a letter")
    if isinstance(part, int) and part.bit_length() > _BITS:
        raise _refused(f"a number of {part.bit_length():,} bits is too large for a filter")


def typed(field: str, text: str) -> Value:
    """What is written for a field: numbers as numbers, except for the columns that hold text."""
    if field in TEXT_COLUMNS:
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
class _Clause:
    """SQL, its values in order, and how many conditions are in it."""

    text: str
    values: list[Any]
    weight: int = 1


def _clause(part: Condition | Filter, *, negated: bool) -> _Clause:
    """Negations are carried down to single conditions, where NULL (a field that is not there) is false first."""
    if not isinstance(part, Filter):
        text, values = _condition(*part)
        return _Clause(f"NOT ifnull({text}, 0)" if negated else text, values)
    negated ^= part.join == "not"
    if not part.conditions:
        return _Clause("0" if negated else "1", [])
    clauses = [_clause(one, negated=negated) for one in part.conditions]
    return _balanced(clauses, "OR" if (part.join == "any") != negated else "AND")


def _balanced(clauses: list[_Clause], word: str) -> _Clause:
    """A tree of pairs, the heavier first: SQLite's parser has room for about thirty open right sides, its expressions
    for a depth of a thousand, and a chain of conditions is as deep as it is long."""
    if len(clauses) == 1:
        return clauses[0]
    clauses = sorted(clauses, key=lambda clause: -clause.weight)
    half, cut, first = sum(clause.weight for clause in clauses) / 2, 1, clauses[0].weight
    while first < half and cut < len(clauses) - 1:
        first += clauses[cut].weight
        cut += 1
    left, right = _balanced(clauses[:cut], word), _balanced(clauses[cut:], word)
    text = f"({left.text} {word} {right.text})"
    return _Clause(text, left.values + right.values, left.weight + right.weight)


def _condition(field: str, operator: str, value: Any) -> tuple[str, list[Any]]:
    values: list[Any] = []
    column = COLUMNS.get(field)
    if column is None:
        column = "json_extract(fields, ?)"
        values.append(path_of(field))
    if operator == "in":
        return f"{column} IN ({', '.join('?' * len(value))})", values + [_storable(v) for v in value]
    values.append(_storable(value))
    if operator == "contains":
        return f"instr(lower({column}), lower(?)) > 0", values
    if operator == "eq" and value is not None:
        return f"{column} = ?", values  # by the index over labels, which IS would not use
    return f"{column} {_COMPARE[operator]} ?", values


def path_of(field: str) -> str:
    """Where SQLite finds one of a collection's own fields. Raises QueryError for a name that has no such path."""
    if '"' in field:
        raise _refused(f"a field's name has no quotation marks: {field}")
    return f'$."{field}"'


def _storable(value: Any) -> Any:
    """SQLite's integers have 64 bits; as a float, a larger one still compares as it should."""
    return float(str(value)) if isinstance(value, int) and abs(value) >= 1 << 63 else value
