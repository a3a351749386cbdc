"""Searching over HTTP: what is found, what the answer says, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nearsight import Collection, Query
from nearsight.http.schemas import QueryAnswer, SearchAnswer
from serving import EACH, Served, code, png

BLUE, GREEN, RED = (set(range(1 + i * EACH, 1 + (i + 1) * EACH)) for i in range(3))


def test_words_pictures_keys_and_vectors_find_what_they_mean(served: Served, shop: Path) -> None:
    assert set(served.keys(query="red", k=EACH)) == RED
    assert set(served.keys(examples=[{"text": "green"}], k=EACH)) == GREEN
    assert served.keys(examples=[{"key": 2}], k=1) == [2]
    assert set(served.keys({"a": png("blue")}, examples=[{"picture": "a"}], k=EACH)) == BLUE
    with Collection.open(shop, read_only=True) as collection:
        vector = collection.vectors(np.array([7]))[0] * 3
    assert served.keys(examples=[{"vector": vector.tolist()}], k=1) == [7]


def test_answers_are_those_of_python(served: Served, shop: Path) -> None:
    text = 'red + 0.5: @3 - "green" | year >= 2021'
    with Collection.open(shop, read_only=True) as collection:
        expected = collection.search(Query.parse(text), 6)
        generation = collection.store.snapshot().generation
    answer = served.search(query=text, k=6).json()
    SearchAnswer.model_validate(answer)
    assert [(hit["key"], hit["score"], hit["rank"]) for hit in answer["hits"]] == [
        (match.item.key, match.score, match.rank) for match in expected
    ]
    assert answer["query"] == str(Query.parse(text))
    assert answer["generation"] == generation
    first, item = answer["hits"][0], expected[0].item
    assert (first["name"], first["label"], first["captions"]) == (item.path.name, item.label, list(item.captions))
    assert first["fields"] == dict(item.fields)
    assert answer["verdict"] is None
    assert answer["method"] is None
    took = answer["took_ms"]
    assert 0 <= took["encode"] + took["search"] + took["rerank"] <= took["total"]


def test_a_written_query_and_examples_count_together(served: Served) -> None:
    both = served.search({"it": png("green")}, query="red", examples=[{"picture": "it", "weight": -2}], k=12).json()
    assert both["query"] == "red - 2: <picture>"
    assert {hit["key"] for hit in both["hits"][-EACH:]} == GREEN


def test_words_that_mean_nothing_here_are_named(served: Served) -> None:
    answer = served.search(query='a red zebra - "blue zebra"', examples=[{"text": "two green"}, {"key": 2}]).json()
    assert answer["unknown"] == ["a", "zebra", "two"]
    assert served.search(query="red", k=1).json()["unknown"] == []
    assert served.search(examples=[{"key": 2}], k=1).json()["unknown"] == []


def test_pages_of_hits_are_one_ranking(served: Served) -> None:
    whole = served.search(query="red", k=12).json()
    assert whole["more"] is False
    pages = [served.search(query="red", k=5, offset=offset).json() for offset in (0, 5, 10)]
    assert [hit["key"] for page in pages for hit in page["hits"]] == [hit["key"] for hit in whole["hits"]]
    assert [hit["rank"] for page in pages for hit in page["hits"]] == list(range(1, 13))
    assert [page["more"] for page in pages] == [True, True, False]
    assert served.search(query="red", k=5, offset=12).json()["hits"] == []


@pytest.mark.parametrize("where", [{"label": {"eq": "green"}}, {"all": [{"label": "green"}]}, "label = green"])
def test_filters(served: Served, where: object) -> None:
    assert set(served.keys(query="red", k=12, where=where)) == GREEN
    assert served.keys(query="red | year = 2021", k=12, where=where) == [6]
    assert served.keys(examples=[{"key": 1}], where={"key": {"eq": 9}}, k=1) == [9]


def test_min_score_and_fold(served: Served) -> None:
    hits = served.search(query="red", k=12).json()["hits"]
    between = (hits[3]["score"] + hits[4]["score"]) / 2
    assert set(served.keys(query="red", k=12, min_score=between)) == RED
    folded = served.search(query="red", k=12, fold=0.6).json()["hits"]
    assert sum(1 + len(hit["folded"]) for hit in folded) == 12
    assert len(folded) < 12


def test_a_region_of_an_item_and_of_an_upload(served: Served) -> None:
    wide = png("blue", 5)
    query = [{"picture": "p", "box": [0, 0, 32, 24]}]
    assert set(served.keys({"p": wide}, examples=query, k=EACH)) == BLUE
    assert served.search(examples=[{"key": 3, "box": [0, 0, 20, 20]}]).json()["query"] == "@3[0,0,20,20]"
    outside = served.search(examples=[{"key": 3, "box": [0, 0, 2000, 20]}])
    assert (outside.status_code, code(outside)) == (400, "query/region")


def test_captions(served: Served) -> None:
    answer = served.search(query="green", captions=True, k=EACH).json()
    SearchAnswer.model_validate(answer)
    assert {hit["key"] for hit in answer["hits"]} == GREEN
    assert {hit["caption"] for hit in answer["hits"]} == {"something green"}


def test_feedback_says_how_it_counted(served: Served) -> None:
    answer = served.ask("POST", "/feedback", json={"query": "red", "up": [5], "down": [9], "k": 12}).json()
    assert answer["method"] == "rocchio"
    assert 9 not in {hit["key"] for hit in answer["hits"]}
    assert {hit["key"] for hit in served.search(up=[6], k=EACH).json()["hits"]} == GREEN


def test_a_written_query_is_taken_apart(served: Served) -> None:
    text = "red - 2: @12[1,2,30,40] | label = coast and not year > 2020; fold=0.97"
    answer = served.ask("POST", "/query", json={"query": text}).json()
    QueryAnswer.model_validate(answer)
    assert answer["examples"] == [{"text": "red", "weight": 1.0}, {"key": 12, "box": [1, 2, 30, 40], "weight": -2.0}]
    assert answer["fold"] == 0.97
    assert answer["min_score"] is None
    again = Query.parse(f"red | {answer['filter']}").where
    assert again == Query.parse(text).where
    assert served.ask("POST", "/query", json={"query": "red"}).json()["where"] is None
    from nearsight import Filter

    assert Filter.of(answer["where"]) == again


def test_an_error_points_at_the_character(served: Served) -> None:
    for path in ("/search", "/query"):
        answer = served.ask("POST", path, json={"query": "red + - car"})
        assert (answer.status_code, code(answer)) == (400, "query/grammar")
        assert answer.json()["start"] == 6
        assert answer.json()["end"] > 6


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        ({"query": "./pictures/red.png"}, "query/path"),
        ({"query": "/etc/passwd.jpg[0,0,5,5]"}, "query/path"),
        ({"query": "red | path ~ red"}, "query/path"),
        ({"query": "red", "where": {"any": [{"path": {"contains": "a"}}, {"label": "b"}]}}, "query/path"),
        ({"query": "zebra"}, "text/empty"),
        ({"query": "red - red"}, "query/cancelled"),
        ({}, "query/empty"),
        ({"examples": [{"key": 99}]}, "query/key"),
        ({"examples": [{"vector": [1.0, 2.0]}]}, "query/vector"),
        ({"examples": [{"picture": "p"}]}, "query/picture"),
        ({"query": "red", "where": {"lable": "x"}}, "query/field"),
        ({"query": "red", "verdict": "sure"}, "query/verdict"),
        ({"query": "red", "up": [1], "down": [1]}, "query/judged"),
        ({"examples": [{}]}, "request/invalid"),
        ({"examples": [{"text": "red", "key": 1}]}, "request/invalid"),
        ({"examples": [{"text": "red", "box": [1, 2, 3, 4]}]}, "request/invalid"),
        ({"examples": [{"text": "red", "wieght": 1}]}, "request/invalid"),
        ({"query": "red", "k": "10"}, "request/invalid"),
    ],
)
def test_what_cannot_be_answered_is_said_with_a_code(served: Served, what: dict, wanted: str) -> None:
    answer = served.search(**what)
    assert (answer.status_code, code(answer)) == (400, wanted)


def test_no_path_of_the_server_is_said(served: Served, shop: Path) -> None:
    texts = [served.search(query=text).text for text in ("red", "zebra", "./a.jpg", "@1", "@77", "+")]
    texts += [served.get(path).text for path in ("/collections", "/items", "/items/1", "/items/77", "/openapi.json")]
    texts += [json.dumps(dict(served.get("/items/1/picture").headers))]
    for text in texts:
        assert str(shop.parent) not in text
        assert "pictures/" not in text


def test_a_collection_is_named_or_the_first_one(served: Served) -> None:
    assert served.keys(collection="shop", query="red", k=1)
    answer = served.search(collection="other", query="red")
    assert (answer.status_code, code(answer)) == (404, "collection/unknown")
    assert "shop" in answer.json()["hint"]
