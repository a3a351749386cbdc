"""What a request asks for -> a `Query` that opens no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nearsight.core.errors import QueryError
from nearsight.http.bodies import loads
from nearsight.http.schemas import EXAMPLES, JUDGED, Example, SearchRequest
from nearsight.search.filters import Condition, Filter
from nearsight.search.grammar import parse_filter, write_filter
from nearsight.search.query import Query, Region, Source, Text

T = TypeVar("T")


def query_of(asked: SearchRequest, pictures: Mapping[str, bytes]) -> Query:
    """`pictures`: form field -> content. Raises QueryError, GrammarError."""
    written = Query.parse(asked.query) if asked.query is not None else Query(())
    examples = ((_source(example, pictures), example.weight) for example in asked.examples)
    return safe(
        Query(
            (*written.examples, *examples),
            written.where & filter_of(asked.where),
            _chosen(asked.min_score, written.min_score),
            _chosen(asked.fold, written.fold),
            _chosen(asked.verdict, written.verdict),
            (*written.up, *asked.up),
            (*written.down, *asked.down),
            asked.unjudged or written.unjudged,
        )
    )


def safe(query: Query) -> Query:
    """The query itself. Raises QueryError for one that names a file of the server's, or asks for too much work."""
    if len(query.examples) > EXAMPLES or len(query.up) + len(query.down) > JUDGED:
        raise QueryError(
            f"a query has at most {EXAMPLES} examples and {JUDGED:,} judged answers here", code="query/too-much"
        )
    for source, _ in query.examples:
        inner = source.picture if isinstance(source, Region) else source
        if isinstance(inner, Path):
            raise QueryError(
                f"'{inner}' names a file, and the server opens none for a query",
                code="query/path",
                hint='send the picture itself; words that look like a file stand in quotes: "cat\\.jpg"',
            )
    _without_paths(query.where)
    return query


def filter_of(where: Mapping[str, Any] | str | None) -> Filter:
    """A filter from JSON, or from its written form. Raises QueryError, GrammarError."""
    if where is None or (isinstance(where, str) and not where.strip()):
        return Filter()
    if isinstance(where, str) and where.lstrip().startswith("{"):
        where = loads(where)
    found = parse_filter(where) if isinstance(where, str) else Filter.of(where)
    _without_paths(found)
    return found


def parts(query: Query) -> dict[str, Any]:
    """A written query, taken apart for whoever shows it in pieces."""
    where = query.where.conditions
    return {
        "examples": [{**_example(source), "weight": weight} for source, weight in query.examples],
        "where": _spec(query.where) if where else None,
        "filter": write_filter(query.where) if where else None,
        "min_score": query.min_score,
        "fold": query.fold,
        "verdict": query.verdict,
        "up": list(query.up),
        "down": list(query.down),
        "unjudged": query.unjudged,
    }


def _source(example: Example, pictures: Mapping[str, bytes]) -> Source:
    if example.text is not None:
        return Text(example.text)
    if example.vector is not None:
        return np.array(example.vector, dtype=np.float64)
    inner: bytes | int
    if example.picture is not None:
        if example.picture not in pictures:
            raise QueryError(
                f"no picture came in the form field {example.picture!r}",
                code="query/picture",
                hint="send multipart/form-data: the JSON in the field 'request', each picture in a field of its own",
            )
        inner = pictures[example.picture]
    else:
        inner = example.key or 0
    return inner if example.box is None else Region(inner, _box(example.box))


def _box(box: Sequence[int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    return left, top, right, bottom


def _chosen(first: T | None, second: T | None) -> T | None:
    return second if first is None else first


def _without_paths(where: Filter) -> None:
    if any(field == "path" for field, _, _ in where.leaves()):
        raise QueryError("paths of the server's files are not searched", code="query/path")


def _example(source: Source) -> dict[str, Any]:
    if isinstance(source, Region):
        return {**_example(source.picture), "box": [int(edge) for edge in source.box]}
    return {"text": source.words} if isinstance(source, Text) else {"key": int(source)}  # type: ignore[arg-type]


def _spec(part: Filter | Condition) -> dict[str, Any]:
    """What `Filter.of` reads as the same filter."""
    if not isinstance(part, Filter):
        field, operator, value = part
        return {field: {operator: list(value) if operator == "in" else value}}
    inner = [_spec(one) for one in part.conditions]
    if part.join == "not":
        return {"not": inner[0] if len(inner) == 1 else {"all": inner}}
    return inner[0] if len(inner) == 1 else {part.join: inner}
