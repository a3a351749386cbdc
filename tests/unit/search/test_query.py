"""Filters: both spellings, every operator, and what cannot be meant."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nearsight.core.errors import QueryError
from nearsight.search.filters import Condition
from nearsight.search.query import Filter, Query, Region

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


NESTED = [
    ({"any": [{"label": "forest"}, {"year": 2019}]}, {0, 1}),
    ({"all": [{"label": "coast"}, {"year": {"gt": 2020}}]}, {2}),
    ({"not": {"label": "coast"}}, {1, 3}),
    ({"not": {"label": "coast", "year": 2019}}, {1, 2, 3}),
    ({"not": {"title": {"contains": "car"}}}, {1, 3}),
    ({"not": {"title": {"lt": "b"}}}, {1, 2}),
    ({"not": {"title": {"in": ["100%"]}}}, {0, 1, 2}),
    ({"label": "coast", "any": [{"year": {"lt": 2020}}, {"not": {"any": [{"title": {"contains": "cars"}}]}}]}, {0}),
    ({"not": {"not": {"label": "coast"}}}, {0, 2}),
    ({"any": [{"label": {"in": ["x"]}}, {"year": {"in": []}}]}, set()),
    ({"all": []}, {0, 1, 2, 3}),
]


@pytest.mark.parametrize(("spec", "wanted"), NESTED, ids=lambda v: str(v))
def test_nested_filters_select(collection, spec: dict, wanted: set[int]) -> None:
    assert {k - 1 for k in collection.keys(Filter.of(spec)).tolist()} == wanted
    found = collection.search(Query.like(1, where=spec), 4)
    assert {match.item.key - 1 for match in found} == wanted


def met(row: dict, part: Condition | Filter) -> bool:
    """The slow truth: what a filter says of one item."""
    if isinstance(part, Filter):
        each = [met(row, one) for one in part.conditions]
        return {"all": all(each), "any": any(each), "not": not all(each)}[part.join]
    field, operator, value = part
    there = row.get(field)
    alike = isinstance(there, str) == isinstance(value, str)
    compare: dict[str, Any] = {
        "eq": lambda: there == value,
        "ne": lambda: there != value,
        "in": lambda: there in value,
        "lt": lambda: there is not None and alike and there < value,
        "gte": lambda: there is not None and alike and there >= value,
        "contains": lambda: there is not None and value.lower() in str(there).lower(),
    }
    return bool(compare[operator]())


def grown(draw: random.Random, levels: int) -> dict:
    kind = draw.choice(["leaf", "all", "any", "not"] if levels else ["leaf"])
    if kind == "leaf":
        operator, value = draw.choice(
            [("eq", 2020), ("ne", 2020), ("lt", 2021), ("gte", 2020), ("in", [2019, 2022]), ("eq", 9)]
        )
        return draw.choice(
            [{"year": {operator: value}}, {"label": draw.choice(["coast", "sea"])}, {"title": {"contains": "car"}}]
        )
    if kind == "not":
        return {"not": grown(draw, levels - 1)}
    return {kind: [grown(draw, levels - 1) for _ in range(draw.randint(1, 3))]}


def test_nested_filters_are_judged_by_a_slow_loop(collection) -> None:
    draw, several = random.Random(3), 0
    for _ in range(300):
        asked = Filter.of(grown(draw, 5))
        wanted = [key for key, row in enumerate(ROWS, start=1) if met(row, asked)]
        assert collection.keys(asked).tolist() == wanted
        several += 0 < len(wanted) < len(ROWS)
    assert several > 50


@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize("wide", ["one", "two", "first"])
def test_the_largest_filters_are_answered(collection, negate: bool, wide: str) -> None:
    """Parsers and expressions of SQLite have bounds of their own."""
    leaf, part = {"year": {"gte": 2020}}, {"label": "coast"}
    for level in range(15):
        join = ("any", "all")[level % 2]
        fill = [leaf] * (1 if wide == "one" else 60)
        twin = [{("all", "any")[level % 2]: [leaf, {"label": "sea"}]}] if wide == "two" else []
        part = {join: [part, *twin, *fill] if wide == "first" else [*fill, *twin, part]}
        if negate:
            part = {"not": {"label": "coast", **part}}
    asked = Filter.of(part)
    assert collection.keys(asked).tolist() == [k for k, row in enumerate(ROWS, start=1) if met(row, asked)]
    flat = Filter.of({"any": [{"year": n} for n in range(1021, 2021)]})
    assert collection.keys(flat).tolist() == [1, 2]
    assert collection.keys(Filter.of({"all": [{"year": {"ne": n}} for n in range(1021, 2021)]})).tolist() == [3, 4]


@pytest.mark.parametrize(
    "spec",
    [
        {"any": []},
        {"any": [{}]},
        {"any": {"label": "coast"}},
        {"not": {"all": []}},
        {"all": ["label"]},
        {"not": {"any": [{"label": {"like": "c"}}]}},
        {3: 4},
        {"a": "\ud800"},
        {"a": 10**4000},
    ],
    ids=str,
)
def test_nested_filters_that_mean_nothing_are_refused(spec: dict) -> None:
    with pytest.raises(QueryError) as error:
        Filter.of(spec)
    assert error.value.code == "query/filter"


def test_nesting_is_bounded() -> None:
    deep: dict = {"a": 1}
    for _ in range(100_000):
        deep = {"not": deep}
    with pytest.raises(QueryError, match="too large"):
        Filter.of(deep)
    with pytest.raises(QueryError, match="too large"):
        Filter.of({"any": [{"a": n} for n in range(1001)]})
    with pytest.raises(QueryError):
        Filter((), "any")
    with pytest.raises(QueryError):
        Filter((("a", "eq", 1),), "some")


def test_old_meanings_of_the_new_words_stay(collection) -> None:
    collection.annotate(1, fields={"not": 1, "any": "x", "all": 2})
    assert collection.keys(Filter.of({"not": {"eq": 1}, "any": "x", "all": {"lt": 3}})).tolist() == [1]


def test_a_misspelt_field_in_an_alternative_is_an_error(collection) -> None:
    with pytest.raises(QueryError, match="no item has a field 'lable'"):
        collection.keys(Filter.of({"any": [{"lable": "coast"}, {"label": "coast"}]}))
    assert collection.keys(Filter.of({"any": [{"year": 2019}, {"label": "coast"}]})).tolist() == [1, 3]


def test_filters_join(collection) -> None:
    both = Filter.of({"label": "coast"}) & Filter.of({"not": {"year": 2019}})
    assert collection.keys(both).tolist() == [3]
    assert Filter() & Filter.of({"a": 1}) == Filter.of({"a": 1})


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_weights_are_finite(weight: float) -> None:
    with pytest.raises(QueryError) as error:
        Query(((1, weight),))
    assert error.value.code == "query/weight"


@pytest.mark.parametrize("more", [{"min_score": 1.5}, {"min_score": float("nan")}, {"fold": 0.0}, {"fold": 1.01}])
def test_scores_are_cosines(more: dict) -> None:
    with pytest.raises(QueryError):
        Query.like(1, **more)


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (3, 0, 2, 5), (0, 5, 9, 5), (-1, 0, 5, 5), (0, 0, 5), (0, 0, 5.5, 5)])
def test_boxes_are_within_and_not_empty(box: tuple) -> None:
    with pytest.raises(QueryError) as error:
        Region("cat.jpg", box)
    assert error.value.code == "query/region"


def test_a_plain_text_is_the_path_of_a_picture() -> None:
    assert Query.like("cat.jpg") == Query.like(Path("cat.jpg"))
    assert Region("cat.jpg", (0, 0, 1, 1)) == Region(Path("cat.jpg"), (0, 0, 1, 1))
