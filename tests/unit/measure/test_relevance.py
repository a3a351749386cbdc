from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nearsight.core.arrays import Hits
from nearsight.core.errors import DatasetError, InputError
from nearsight.core.items import Benchmark, Item
from nearsight.core.relevance import NO_GROUP, ByGroup, Grouped, KeyLists, Listed, Relevance, relevance_of


def items(labels: list[str | None], first: int = 0) -> tuple[Item, ...]:
    return tuple(Item(first + i, Path(f"{i}.jpg"), label) for i, label in enumerate(labels))


def naive(benchmark: Benchmark, query: Item, key: int) -> bool:
    own = benchmark.queries_in_gallery and key == query.key
    labels = {item.key: item.label for item in benchmark.gallery}
    return not own and query.label is not None and labels.get(key) == query.label


@pytest.mark.parametrize("in_gallery", [True, False])
@pytest.mark.parametrize("sparse", [1, 10**12])
def test_by_group_is_the_same_label(in_gallery: bool, sparse: int) -> None:
    gallery = tuple(
        Item(item.key * sparse + 5, item.path, item.label) for item in items(["a", "b", "a", None, "c", "b", "a"])
    )
    queries = gallery if in_gallery else items(["a", "z", None, "c"], first=10**15)
    benchmark = Benchmark("x", "y", queries, gallery, in_gallery)
    relevance = relevance_of(benchmark)
    asked = np.tile(np.array([item.key for item in gallery] + [-1, 3]), (len(queries), 1))
    expected = [[naive(benchmark, query, key) for key in asked[0].tolist()] for query in queries]
    assert relevance.relevant(asked).tolist() == expected
    assert relevance.counts.tolist() == np.sum(expected, axis=1).tolist()
    assert relevance.sizes.tolist() == [7 - in_gallery] * len(queries)
    assert list(relevance.classes()) == [query.label for query in queries]
    part = relevance.rows(slice(1, 3))
    assert part.relevant(asked[1:3]).tolist() == expected[1:3]
    assert part.counts.tolist() == relevance.counts[1:3].tolist()


def test_lists_junk_and_self() -> None:
    relevance = Listed.of([[1, 2, 1], [], [0]], np.arange(5), junk=[[3], [0, 4], []], own=np.array([2, -1, -1]))
    asked = np.tile(np.array([0, 1, 2, 3, 4, -1]), (3, 1))
    assert relevance.relevant(asked).astype(int).tolist() == [[0, 1, 0, 0, 0, 0], [0] * 6, [1, 0, 0, 0, 0, 0]]
    assert relevance.counts.tolist() == [1, 0, 1]
    assert relevance.sizes.tolist() == [3, 3, 5]
    assert [sorted(relevance.removed()[row].tolist()) for row in range(3)] == [[2, 3], [0, 4], []]
    tail = relevance.rows(slice(1, 3))
    assert tail.counts.tolist() == [0, 1]
    assert tail.relevant(asked[1:]).tolist() == relevance.relevant(asked)[1:].tolist()
    assert [tail.removed()[row].tolist() for row in range(2)] == [[0, 4], []]


def test_strip_closes_the_gaps() -> None:
    relevance = Listed.of([[1]], np.arange(4), junk=[[3]], own=np.array([2]))
    hits = Hits(np.array([[3, 1, 2, 0]]), np.array([[4, 3, 2, 1]], dtype=np.float32))
    stripped = relevance.strip(hits)
    assert stripped.keys.tolist() == [[1, 0, -1, -1]]
    assert stripped.scores.tolist() == [[3, 1, -np.inf, -np.inf]]
    assert relevance.strip(stripped) is stripped


def test_key_lists_rows_share_keys() -> None:
    lists = KeyLists.of([[5, 3], [], [9]])
    assert [lists[i].tolist() for i in range(3)] == [[3, 5], [], [9]]
    assert lists.rows(slice(1, 3)).pairs()[0].tolist() == [1]
    assert lists.rows(slice(1, 3)).pairs()[1].tolist() == [9]
    assert lists.rows(slice(0, 1)).keys is lists.keys
    assert len(KeyLists.of([])) == 0


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: Grouped.of(np.array([1, 1]), np.array([0, 0])), "dataset/keys"),
        (lambda: Grouped.of(np.array([-4, 1]), np.array([0, 0])), "dataset/keys"),
        (lambda: Listed.of([[7]], np.arange(3)), "dataset/relevance"),
        (lambda: Listed.of([[1]], np.arange(3), junk=[[1]]), "dataset/relevance"),
        (lambda: Listed.of([[1]], np.arange(3), junk=[]), "dataset/relevance"),
        (lambda: Listed.of([[1]], np.arange(3), own=np.array([9])), "dataset/keys"),
        (lambda: Listed.of([[1]], np.arange(3), own=np.array([1, 2])), "relevance/own"),
        (lambda: relevance_of(Benchmark("x", "y", items(["a"], 50), items(["a"]), True)), "dataset/keys"),
    ],
)
def test_contradictions_are_refused(make: object, code: str) -> None:
    with pytest.raises((DatasetError, InputError)) as caught:
        make()  # type: ignore[operator]
    assert caught.value.code == code


def test_an_empty_gallery() -> None:
    gallery = Grouped.of(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    relevance: Relevance = ByGroup(np.array([0, NO_GROUP]), np.array([-1, -1]), gallery)
    assert relevance.counts.tolist() == [0, 0]
    assert not relevance.relevant(np.array([[1, -1], [2, 3]])).any()
