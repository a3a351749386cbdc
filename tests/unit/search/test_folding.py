"""Which answers count: from a score up, and nearly the same ones folded under the best of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nearsight.core.arrays import Vectors, unit
from nearsight.core.errors import QueryError
from nearsight.encode import EncoderSpec
from nearsight.search.collection import Collection
from nearsight.search.folding import folded
from nearsight.search.query import Query
from nearsight.search.store.store import Record

COPIES = (1, 40, 3, 200, 1, 2)


@pytest.fixture(params=["exact", "faiss/HNSW16"])
def crowded(tmp_path: Path, request: pytest.FixtureRequest) -> Collection:
    """Originals with many near copies each, and fifty more items, in mixed order; fields say of what each is a copy."""
    rng = np.random.default_rng(0)
    originals = rng.normal(size=(len(COPIES) + 50, 32))
    of = np.concatenate([np.repeat(np.arange(len(COPIES)), COPIES), np.arange(len(COPIES), len(originals))])
    of = rng.permutation(of)
    vectors = unit(unit(originals)[of] + 0.01 * rng.normal(size=(len(of), 32)))
    made = Collection.create(tmp_path / "c", EncoderSpec("elsewhere", 32, (), "ab" * 32, {}), engine=request.param)
    made.add(vectors, [Record(f"{i}".encode(), fields={"of": int(o)}) for i, o in enumerate(of)])
    yield made
    made.close()


def slow(collection: Collection, vector: Vectors, fold: float, k: int) -> list[tuple[int, tuple[int, ...]]]:
    """All answers, one by one, each beside every leader before it."""
    everything = collection.search_vectors(vector[None], len(collection)).keys[0]
    rows = dict(zip(everything.tolist(), collection.vectors(everything), strict=True))
    groups: list[list[int]] = []
    for key in everything.tolist():
        home = next((g for g in groups if float(rows[g[0]] @ rows[key]) >= fold), None)
        if home is None and len(groups) == k:
            break
        if home is None:
            groups.append([key])
        else:
            home.append(key)
    return [(group[0], tuple(group[1:])) for group in groups]


@pytest.mark.parametrize("k", [1, 3, 10, 56, 500])
@pytest.mark.parametrize("fold", [0.3, 0.97])
def test_k_that_differ_are_found_and_the_others_stand_under_them(crowded: Collection, k: int, fold: float) -> None:
    query = unit(crowded.vectors(np.array([5, 9])).sum(axis=0)[None])[0]
    found = crowded.search(Query.like(query, fold=fold), k)
    assert [(match.item.key, match.folded) for match in found] == slow(crowded, query, fold, k)
    assert [match.rank for match in found] == list(range(1, len(found) + 1))
    if fold == 0.97:
        assert len(found) == min(k, len(COPIES) + 50)
        for match in found:
            assert {item.fields["of"] for item in crowded.items(match.folded)} <= {match.item.fields["of"]}
    if k >= 56 and fold == 0.97:
        assert sorted((len(match.folded) + 1 for match in found), reverse=True)[:4] == [200, 40, 3, 2]


def test_folding_holds_filters_and_scores(crowded: Collection) -> None:
    vector = crowded.vectors(np.array([1]))[0]
    least = crowded.search(vector, 240)[-1].score
    found = crowded.search(Query.like(vector, where={"of": {"ne": 3}}, fold=0.97, min_score=least), 100)
    assert found
    assert all(match.score >= least and match.item.fields["of"] != 3 for match in found)
    assert not any(item.fields["of"] == 3 for match in found for item in crowded.items(match.folded))
    with pytest.raises(QueryError):
        crowded.search(Query.like(vector, fold=0.97), 0)


def test_exact_copies_fold_at_one(external: Callable) -> None:
    collection, vectors = external(100, dim=33)
    with collection:
        collection.add(vectors, [Record(f"copy-{i}".encode()) for i in range(100)])
        found = collection.search(Query.like(vectors[2], fold=1.0), 200)
        assert {(match.item.key, *match.folded) for match in found} == {(i, i + 100) for i in range(1, 101)}
        assert all(match.folded == () for match in collection.search(vectors[2], 10))


def test_no_more_is_looked_at_than_is_needed(external: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    collection, vectors = external(400)
    with collection:
        looked: list[int] = []
        search = collection.candidates
        monkeypatch.setattr(
            collection, "candidates", lambda q, k, *more, **how: looked.append(k) or search(q, k, *more, **how)
        )
        assert len(collection.search(Query.like(vectors[2], fold=0.999), 5)) == 5
        assert looked == [6]
        everything = collection.search(Query.like(vectors[2], fold=0.01), 5)
        assert len(everything) == 5
        assert len(looked) < 8


def test_a_least_score_cuts(external: Callable) -> None:
    collection, vectors = external(50)
    with collection:
        everything = collection.search(vectors[0], 50)
        some = collection.search(Query.like(vectors[0], min_score=everything[9].score), 50)
        assert some == everything[:10]
        assert collection.search(Query.like(vectors[0] + vectors[1], min_score=1.0), 3) == []
        assert collection.search(Query.like(vectors[0], min_score=-1.0), 50) == everything


def test_groups_end_at_the_last_that_is_wanted() -> None:
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 0, 2, 1, 3]]
    assert folded(vectors, 0.9, 3) == [[0, 1, 3], [2], [4]]
    assert folded(vectors, 0.9, 9) == [[0, 1, 3], [2, 5], [4], [6]]
    assert folded(vectors[:0], 0.9, 9) == []
