"""An engine's index is built step by step, beside those who search, and what was built is not built again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nearsight.core.arrays import unit
from nearsight.core.errors import WriteFailed
from nearsight.core.events import Step
from nearsight.search import building
from nearsight.search.candidates import Searcher
from nearsight.search.collection import Collection
from nearsight.search.engines import ENGINES
from nearsight.search.engines._faiss_index import FaissIndex
from nearsight.search.store.store import Record

ENGINE = "faiss/IVF4,Flat?nprobe=4"  # all lists: exact, but learned and saved


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows FAISS was given, call by call; pieces are small."""
    counts, add = list[int](), FaissIndex.add

    def counted(self: FaissIndex, keys: np.ndarray, vectors: np.ndarray) -> None:
        counts.append(len(keys))
        add(self, keys, vectors)

    monkeypatch.setattr(FaissIndex, "add", counted)
    monkeypatch.setattr(building, "_ADD", 100)
    return counts


def right(collection: Collection, vectors: np.ndarray, gone: tuple[int, ...] = ()) -> bool:
    scores = vectors @ vectors[:20].T
    scores[np.array(gone, int) - 1] = -2
    return np.array_equal(
        collection.search_vectors(vectors[:20], 5).keys, np.argsort(-scores.T, kind="stable")[:, :5] + 1
    )


def covered(collection: Collection) -> int:
    stamp = json.loads((collection.store.folder / "engine" / "stamp.json").read_text())["meta"]
    return sum(stamp["covered"].values())


def test_its_progress_is_told(external: Callable, added: list[int]) -> None:
    collection, _ = external(950, engine=ENGINE)
    steps = list(collection.building())
    assert steps == [Step("engine", min(n, 950), 950) for n in range(100, 1001, 100)]
    assert sum(added) == 950
    assert list(collection.building()) == []


@pytest.mark.parametrize("end", ["closed", "killed"])
def test_what_was_built_is_not_built_again(
    external: Callable, added: list[int], monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    collection, vectors = external(950, engine=ENGINE)
    monkeypatch.setattr(building, "_WORTH" if end == "closed" else "_KEEP_EVERY", 0.0)
    monkeypatch.setattr(building.time, "monotonic", _Clock())
    work = collection.building()
    for _ in range(6):
        next(work)
    if end == "closed":
        work.close()
    else:
        with monkeypatch.context() as killed:
            killed.setattr(FaissIndex, "add", _interrupted)
            with pytest.raises(KeyboardInterrupt):
                next(work)
    collection.close()
    with Collection.open(collection.folder) as again:
        there = covered(again)
        assert there == (600 if end == "closed" else 100), "keeping is to take a twentieth of the time"
        assert right(again, vectors), "what is not built yet is looked at"
        again.delete([3, 940])
        assert right(again, vectors, (3, 940))
        added.clear()
        assert again.build_engine()
        assert sum(added) == 950 - there - 1
        assert (right(again, vectors, (3, 940)), again.engine_state) == (True, "ready")
        assert covered(again) == 950
        assert [p.name for p in (again.folder / "engine").glob("*.index")] == [_file(again)]


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


class _Clock:
    """A second passes from look to look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def _file(collection: Collection) -> str:
    return str(json.loads((collection.folder / "engine" / "stamp.json").read_text())["meta"]["file"])


def test_searches_and_writes_go_on_meanwhile(external: Callable, added: list[int]) -> None:
    collection, vectors = external(950, engine=ENGINE)
    for step in collection.building():
        assert right(collection, vectors, tuple(range(30, 30 + step.done // 100 - 1)))
        collection.delete([29 + step.done // 100])
        vectors = np.concatenate([vectors, unit(np.random.default_rng(step.done).normal(size=(1, 16)))])
        collection.add(vectors[-1:], [Record(f"later-{step.done}".encode())])
    gone = tuple({29 + n // 100 for n in [*range(100, 901, 100), 950]})
    assert right(collection, vectors, gone)
    assert collection.engine_state == "ready"
    assert covered(collection) == 950, "who came later is the next build's"
    collection.close()
    with Collection.open(collection.folder, read_only=True) as again:
        assert right(again, vectors, gone)


def test_who_searches_takes_up_the_index_that_another_process_has_built(
    external: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, vectors = external(950, engine=ENGINE)
    collection.build_engine()
    vectors = np.concatenate([vectors, unit(np.random.default_rng(8).normal(size=(500, 16)))])
    monkeypatch.setattr("nearsight.search.candidates._LONG", 200)
    loads, load = list[Path](), FaissIndex.load

    def counted(self: FaissIndex, path: Path) -> None:
        loads.append(path)
        load(self, path)

    with Collection.open(collection.folder, read_only=True) as reader:
        assert right(reader, vectors[:950])
        collection.add(vectors[950:], [Record(f"more-{i}".encode()) for i in range(500)])
        assert right(reader, vectors)
        assert len(reader._looks.searcher._tail) == 500
        collection.build_engine()
        monkeypatch.setattr(FaissIndex, "load", counted)
        for _ in range(3):
            assert right(reader, vectors)
        assert (len(reader._looks.searcher._main), len(reader._looks.searcher._tail), len(loads)) == (1450, 0, 1)
        collection.add(vectors[:300], [Record(f"again-{i}".encode()) for i in range(300)])
        collection.build_engine()
        newest = collection.folder / "engine" / _file(collection)
        newest.write_bytes(newest.read_bytes()[:-100])
        loads.clear()
        for _ in range(3):
            reader.search_vectors(vectors[:20], 5)
        assert (len(reader._looks.searcher._tail), len(loads), reader.engine_state) == (300, 0, "ready"), (
            "the old one serves"
        )


def test_a_build_that_cannot_be_kept_half_way_says_so(
    external: Callable, added: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, vectors = external(950, engine=ENGINE)
    monkeypatch.setattr(building, "_KEEP_EVERY", -1.0)
    before = []

    def keep(self: FaissIndex, path: Path) -> None:
        before.append(path)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(FaissIndex, "save", keep)
        with pytest.raises(WriteFailed, match="space"):
            collection.build_engine()
    assert len(before) == 1
    assert right(collection, vectors)
    assert collection.build_engine()


def test_it_learns_for_as_many_as_there_are_and_again_when_they_are_many_more(external: Callable) -> None:
    n = 156 * 156
    collection, _ = external(n, dim=8, engine="faiss/IVF,SQ8")
    more = unit(np.random.default_rng(6).normal(size=(n, 8)))

    def learned() -> tuple[int, int]:
        engine = ENGINES.build("faiss/IVF,SQ8", dim=8)
        Searcher(collection.folder, "faiss/IVF,SQ8", 8, collection.fingerprint)._saved.load(
            engine, collection.store.verified()
        )
        return engine._learned_for, engine._index.nlist

    assert collection.build_engine()
    assert learned() == (n, 4 * 156)
    collection.add(more[: n // 2], [Record(f"a{i}".encode()) for i in range(n // 2)])
    assert collection.build_engine()
    assert learned() == (n, 4 * 156), "half as many again are added"
    collection.add(more[n // 2 :], [Record(f"b{i}".encode()) for i in range(n - n // 2)])
    assert collection.build_engine()
    assert learned() == (2 * n, int(4 * (2 * n) ** 0.5)), "many more are learned from anew"


def test_what_an_engine_learns_from_is_a_fair_sample(external: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first rows may all be of one kind: the lists must not be."""
    given = []

    def learn(self: FaissIndex, vectors: np.ndarray) -> None:
        given.append(vectors)
        plain(self, vectors)

    plain = FaissIndex.learn
    monkeypatch.setattr(FaissIndex, "learn", learn)
    collection, vectors = external(3000, engine="faiss/IVF8,Flat?train_size=600")
    collection.delete(list(range(1, 1001)))
    assert collection.build_engine()
    rows = [int(np.flatnonzero((vectors == row).all(axis=1))[0]) for row in given[0]]
    assert (len(given), len(set(rows))) == (1, 600)
    assert min(rows) >= 1000, "the dead teach nothing"
    assert 250 < sum(row >= 2000 for row in rows) < 350
