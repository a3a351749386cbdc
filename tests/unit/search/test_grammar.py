"""The written form of a query: what it means, where an error points, and that writing and reading are inverse."""

from __future__ import annotations

import contextlib
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nearsight.core.errors import GrammarError, QueryError
from nearsight.search.grammar import LONGEST, SUFFIXES, parse, parse_filter
from nearsight.search.query import Filter, Query, Region, Text

MEANT = [
    ("horse", [(Text("horse"), 1)]),
    ('horse + stripes - "car"', [(Text("horse"), 1), (Text("stripes"), 1), (Text("car"), -1)]),
    ("horse +stripes -car", [(Text("horse"), 1), (Text("stripes"), 1), (Text("car"), -1)]),
    ("two dogs  on a beach", [(Text("two dogs  on a beach"), 1)]),
    ("a t-shirt, black+white", [(Text("a t-shirt, black+white"), 1)]),
    ('"a - b" - c', [(Text("a - b"), 1), (Text("c"), -1)]),
    ("./cat.jpg[10,20,200,180]", [(Region(Path("cat.jpg"), (10, 20, 200, 180)), 1)]),
    ("@12[ 0, 0 ,5,6 ] + @7", [(Region(12, (0, 0, 5, 6)), 1), (7, 1)]),
    ("2: sunset + ./beach.jpg", [(Text("sunset"), 2), (Path("beach.jpg"), 1)]),
    ("- .5:car + 1e1 : bus", [(Text("car"), -0.5), (Text("bus"), 10)]),
    ("photos/b.PNG + ../c + /d + ~/e", [(Path(p), 1) for p in ("photos/b.PNG", "../c", "/d", "~/e")]),
    ('"./my cat" - "my dog.jpg"', [(Path("my cat"), 1), (Path("my dog.jpg"), -1)]),
    (r'"my dog\.jpg" + "\./x" + "say \"hi\" \\"', [(Text(t), 1) for t in ("my dog.jpg", "./x", 'say "hi" \\')]),
    ("and/or", [(Text("and/or"), 1)]),
    ('"a"+"b"-@3', [(Text("a"), 1), (Text("b"), 1), (3, -1)]),
    ("犬 + 🐕", [(Text("犬"), 1), (Text("🐕"), 1)]),
]


@pytest.mark.parametrize(("text", "examples"), MEANT, ids=[text for text, _ in MEANT])
def test_what_is_written_is_what_is_meant(text: str, examples: list) -> None:
    assert Query.parse(text) == Query(tuple(examples))
    assert Query.parse(f"  {text}\n") == Query(tuple(examples))


def test_a_whole_query_has_a_filter_and_settings() -> None:
    text = 'horse - car | label = coast, forest and (year>=2020 or not "a b" ~ old); min_score=-0.5 ; fold = .97'
    where = {
        "label": {"in": ["coast", "forest"]},
        "any": [{"year": {"gte": 2020}}, {"not": {"a b": {"contains": "old"}}}],
    }
    assert Query.parse(text) == Query(
        ((Text("horse"), 1.0), (Text("car"), -1.0)), Filter.of(where), min_score=-0.5, fold=0.97
    )
    assert Query.parse("horse; fold=1").fold == 1.0
    assert str(Query.parse("2:horse  -  0.25: car|a=1;fold=1")) == "2: horse - 0.25: car | a = 1; fold=1"


FILTERS = [
    ("a = 1", {"a": 1}),
    ("a==1 AND b!=x and c<2 and d<=2.5 and e>-1 and f>=1e3 and g~12", {
        "a": 1, "b": {"ne": "x"}, "c": {"lt": 2}, "d": {"lte": 2.5}, "e": {"gt": -1}, "f": {"gte": 1000.0},
        "g": {"contains": "12"},
    }),
    ('a = "1" and b = true and label = 1984 and label != true', {
        "a": "1", "b": True, "label": "1984", "all": [{"label": {"ne": "true"}}],
    }),
    ("a=1 or b=2 and c=3", {"any": [{"a": 1}, {"b": 2, "c": 3}]}),
    ("(a=1 or b=2) and c=3", {"any": [{"a": 1}, {"b": 2}], "c": 3}),
    ("((a=1) and (b=2)) and c=3", {"a": 1, "b": 2, "c": 3}),
    ("not (a=1 and b=2)", {"not": {"a": 1, "b": 2}}),
    ("not a=1 or not not b=2", {"any": [{"not": {"a": 1}}, {"b": 2}]}),
    ("not (a=1 or b=2)", {"not": {"any": [{"a": 1}, {"b": 2}]}}),
    ("a = x, and and b in () and c in(1) and d IN (y, 2)", {
        "a": {"in": ["x", "and"]}, "b": {"in": []}, "c": {"in": [1]}, "d": {"in": ["y", 2]},
    }),
    ('"not" = 1 and notes = 2', {"not": 1, "notes": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "spec"), FILTERS, ids=[text for text, _ in FILTERS])
def test_a_written_filter_is_its_dict(text: str, spec: dict) -> None:
    assert parse_filter(text) == Filter.of(spec)
    assert Filter.parse([f"({text})"]) == Filter.of(spec)
    assert parse_filter(str(Filter.of(spec))) == Filter.of(spec)


ERRORS = [
    ("horse + - car", 8, "words or a picture are missing here"),
    ("", 0, "words or a picture are missing here"),
    ("   ", 3, "words or a picture are missing here"),
    ("horse +", 7, "words or a picture are missing here"),
    ("2:", 2, "words or a picture are missing here"),
    ('horse "car', 6, "+ or - is missing here"),
    ('"car', 0, "this quotation mark is never closed"),
    ('""', 0, "there are no words to look for"),
    ("two dogs ./x.jpg", 9, "+ or - is missing here"),
    ("./x.jpg two dogs", 8, "+ or - is missing here"),
    ("horse @3", 6, "+ or - is missing here"),
    ("@home", 0, "the key of an item is missing here"),
    ("horse[1,2,3,4]", 5, "a box stands behind a picture or an item"),
    ("./x.jpg[1,2,3]", 7, "a box is [left,top,right,bottom]"),
    ("./x.jpg[5,2,5,4]", 7, "the box [5, 2, 5, 4] is empty"),
    ("./x.jpg[-5,2,5,4]", 7, "the box [-5, 2, 5, 4] begins outside"),
    ("1e999: horse", 0, "this weight is too large"),
    ("horse ]", 6, "+ or - is missing here"),
    ("<picture>", 0, "words or a picture are missing here"),
    ("./a\0.jpg", 0, "a path has no NUL in it"),
    ("horse |", 7, "a condition is missing here"),
    ("horse | year", 12, "an operator is missing here"),
    ("horse | year >", 14, "a value is missing here"),
    ("horse | year = 3,", 17, "a value is missing here"),
    ("horse | year in 3", 16, "( is missing here"),
    ("horse | year in (3", 16, "this parenthesis is never closed"),
    ("horse | year = 3 4", 17, "this is not understood"),
    ("horse | (year = 3", 8, "this parenthesis is never closed"),
    ("horse | (year = 3 label = 4)", 18, "and, or, ) is missing here"),
    ("horse | year = 3 and", 20, "a condition is missing here"),
    ("horse; k=3", 7, "min_score=NUMBER, fold=NUMBER, verdict=likely, up="),
    ("horse; fold=1; fold=1", 15, "min_score=NUMBER, fold=NUMBER, verdict=likely, up="),
    ("horse; fold 1", 12, "= is missing here"),
    ("horse; fold=x", 12, "a number is missing here"),
    ("x" * (LONGEST + 1), LONGEST, "a query has at most 20,000 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "at", "told"), ERRORS, ids=[text[:40] for text, _, _ in ERRORS])
def test_errors_point_at_the_character(text: str, at: int, told: str) -> None:
    with pytest.raises(GrammarError) as caught:
        Query.parse(text)
    error = caught.value
    assert error.message.startswith(told)
    assert (error.code, error.text, error.start) == ("query/grammar", text, at)
    assert error.end > error.start
    again = pickle.loads(pickle.dumps(error))
    assert vars(again) == vars(error)
    assert again.args == error.args


def test_bounds_of_filters() -> None:
    deep = "(" * 31 + "a=1" + ")" * 31
    assert parse_filter(deep) == Filter.of({"a": 1})
    many = " and ".join(["a=1"] * 1000)
    assert len(list(parse_filter(many).leaves())) == 1000
    for text in (f"({deep})", "(" * 9000, f"{many} or a=1"):
        with pytest.raises(QueryError, match="too large"):
            Query.parse(f"x | {text}")
    with pytest.raises(QueryError, match="too large"):
        Filter.of({"a": {"in": list(range(30_001))}})


@pytest.mark.parametrize(
    "part", ["a", "1", "a ", "- a", "@1", '"', '"\\', "1:", ".1", "|a=1", "|(", "|not ", "| a=1,", "[1,"]
)
def test_reading_takes_time_in_proportion(part: str) -> None:
    text = (part * LONGEST)[:LONGEST]
    start = time.process_time()
    for one in (text, "x | " + text[4:], "@1 + ./x.jpg" + text[12:]):
        with contextlib.suppress(QueryError):
            Query.parse(one)
    assert time.process_time() - start < 2


def test_what_lies_in_memory_has_no_written_form() -> None:
    for source in (b"\x89PNG", Image.new("RGB", (2, 2)), np.ones(3), Region(b"\x89PNG", (0, 0, 1, 1))):
        written = str(Query.like(source))
        assert written.startswith("<")
        with pytest.raises(GrammarError):
            Query.parse(written)
    assert str(Query.like(np.int64(3), "a b.jpg")) == '@3 + "a b.jpg"'
    with pytest.raises(GrammarError):
        Query.parse(str(Query.like(3, where={"label": 3})))


SIGNS = st.sampled_from([*'+-:;|@[]()<>="~!,.\\/# \t\n0123456789', "and", "or", "not", "./", ".jpg", "[1,2,3,4]", "2:"])
SOUP = st.lists(SIGNS | st.characters(), max_size=40).map("".join)
WORDS = (SOUP | st.text(min_size=1)).filter(lambda t: t.strip() and not any("\ud800" <= c <= "\udfff" for c in t))
PATHS = (SOUP | st.text()).map(lambda t: t.replace("\0", "")) | SOUP.map(lambda t: t.replace("\0", "") + ".jpg")
PICTURES = PATHS.map(Path) | st.integers(0, 1 << 62)
BOXES = st.tuples(*[st.integers(0, 10_000)] * 4).map(lambda b: (b[0], b[1], b[0] + b[2] + 1, b[1] + b[3] + 1))
SOURCES = WORDS.map(Text) | PICTURES | st.builds(Region, PICTURES, BOXES)
WEIGHTS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9).map(float)
FIELDS = SOUP.filter(lambda t: not any("\ud800" <= c <= "\udfff" for c in t)) | st.sampled_from(
    ["label", "path", "not"]
)
STRINGS = WORDS | st.just("") | st.sampled_from(["true", "1", "1e5", "nan", "and", "=x"])
VALUES = STRINGS | st.integers() | st.booleans() | st.floats(allow_nan=False)
LEAVES = st.one_of(
    st.dictionaries(FIELDS, VALUES, min_size=1, max_size=3),
    st.dictionaries(FIELDS, st.dictionaries(st.sampled_from(["ne", "lt", "lte", "gt", "gte"]), VALUES, min_size=1)),
    st.dictionaries(FIELDS, st.fixed_dictionaries({"in": st.lists(VALUES, max_size=3)}), min_size=1, max_size=2),
    st.dictionaries(FIELDS, st.fixed_dictionaries({"contains": STRINGS}), min_size=1, max_size=2),
)
TEXT_FIELDS = ("label", "path")


def grown(inner: st.SearchStrategy) -> st.SearchStrategy:
    lists = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.fixed_dictionaries({"any": lists}),
        st.fixed_dictionaries({"all": lists}),
        st.fixed_dictionaries({"not": inner}),
    )


def understood(spec: dict) -> Filter | None:
    """The filter of a dict, where it has one that can be written: text for what holds text."""
    try:
        found = Filter.of(spec)
    except QueryError:
        return None
    for field, operator, value in found.leaves():
        parts = value if operator == "in" else [value]
        if field in TEXT_FIELDS and not all(isinstance(part, str) for part in parts):
            return None
    return found


FILTER = st.recursive(LEAVES, grown, max_leaves=8).map(understood).filter(lambda found: found is not None)
KEYS = st.lists(st.integers(0, 10**17), max_size=3).map(tuple)


@st.composite
def queries(draw: st.DrawFn) -> Query:
    up = draw(KEYS)
    down = tuple(key for key in draw(KEYS) if key not in up)
    return Query(
        tuple(draw(st.lists(st.tuples(SOURCES, WEIGHTS), min_size=0 if up or down else 1, max_size=4))),
        draw(st.just(Filter()) | FILTER),
        draw(st.none() | st.floats(-1, 1)),
        draw(st.none() | st.floats(0, 1, exclude_min=True)),
        draw(st.sampled_from([None, "likely", "sure"])),
        up,
        down,
        draw(st.booleans()),
    )


@given(queries())
def test_writing_and_reading_are_inverse(query: Query) -> None:
    assert Query.parse(str(query)) == query


@given(SOUP | st.text())
def test_reading_raises_query_errors_and_nothing_else(text: str) -> None:
    for one in (text, f"x | {text}", f"x; {text}"):
        query = None
        with contextlib.suppress(QueryError):
            query = Query.parse(one)
        assert query is None or Query.parse(str(query)) == query


def test_every_suffix_makes_a_picture() -> None:
    for suffix in SUFFIXES:
        assert parse(f"a{suffix.upper()}").examples[0][0] == Path(f"a{suffix.upper()}")
