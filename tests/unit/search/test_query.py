"""Filters: both spellings, every operator, and what cannot be meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nearsight.core.errors import QueryError
from nearsight.search.query import Filter, Query

ROWS = [
    {"label": "coast", "year": 2019, "title": "A Red car"},
    {"label": "forest", "year": 2020},
    {"label": "coast", "year": 2021.5, "title": "two cars"},
    {"year": 2022, "label": None, "title": "100%"},
]
CASES = [
    (["label=coast"], {0, 2}),
    (["label!=coast"], {1, 3}),
    (["label=coast,forest"], {0, 1, 2}),
    (["year>=2020"], {1, 2, 3}),
    (["year>2020"], {2, 3}),
    (["year<2020"], {0}),
    (["year<=2020"], {0, 1}),
    (["year=2020"], {1}),
    (["title~CAR"], {0, 2}),
    (["title~100%"], {3}),
    (["title!=two cars"], {0, 1, 3}),
    (["label=coast", "year>2020"], {2}),
    (["label = coast"], {0, 2}),
    (["path~item"], {0, 1, 2, 3}),
]


@pytest.fixture
def collection(external: Callable[..., tuple]) -> object:
    made, _ = external(4)
    for key, row in enumerate(ROWS, start=1):
        made.annotate(key, label=row["label"], fields={k: v for k, v in row.items() if k != "label"})
    yield made
    made.close()


@pytest.mark.parametrize(("texts", "wanted"), CASES, ids=lambda v: str(v))
def test_parsed_filters_select(collection, texts: list[str], wanted: set[int]) -> None:
    assert {k - 1 for k in collection.keys(Filter.parse(texts)).tolist()} == wanted


def test_the_two_spellings_agree() -> None:
    spec = {"label": "coast", "year": {"gte": 2020, "lt": 2022}, "title": {"contains": "car"}}
    assert set(Filter.of(spec).conditions) == set(
        Filter.parse(["label=coast", "year>=2020", "year<2022", "title~car"]).conditions
    )


@pytest.mark.parametrize("text", ["", "label", "=coast", "~x", ">"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="not a filter"):
        Filter.parse([text])


@pytest.mark.parametrize("spec", [{"a": {"like": 1}}, {"a": {"in": "x"}}, {"a": {"eq": None}}, {"a": {"contains": 3}}])
def test_wrong_operators_and_values_are_refused(spec: dict) -> None:
    with pytest.raises(QueryError) as error:
        Filter.of(spec)
    assert error.value.code == "query/filter"


@pytest.mark.parametrize("field", ['a"b', "x') OR 1=1 --", "a.b", "$", "ключ"])
def test_a_hostile_field_name_reaches_no_sql(collection, field: str) -> None:
    with pytest.raises(QueryError):
        collection.keys(Filter.of({field: 1}))


def test_odd_field_names_work(collection) -> None:
    collection.annotate(2, fields={"a.b c'd": 7})
    assert collection.keys(Filter.of({"a.b c'd": {"gte": 7}})).tolist() == [2]


def test_a_field_that_nobody_has_is_an_error_not_silence(collection) -> None:
    with pytest.raises(QueryError, match="no item has a field 'lable'") as error:
        collection.search(1, 3) and collection.search(Query.like(1, where={"lable": "coast"}))
    assert "label" in error.value.hint


def test_an_empty_query_is_refused() -> None:
    with pytest.raises(QueryError):
        Query.like()
