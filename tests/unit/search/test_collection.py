"""What users hold: searching agrees with brute force whatever was deleted, replaced, filtered, compacted, reopened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nearsight.core.arrays import unit
from nearsight.core.errors import (
    Damaged,
    EncoderError,
    EncoderMismatch,
    InputError,
    QueryError,
    ReadOnly,
    StoreError,
    UnknownName,
    WriteFailed,
)
from nearsight.encode import create
from nearsight.search.collection import Collection
from nearsight.search.query import Filter, Query
from nearsight.search.store.store import Record

ENGINES = ["exact", "faiss/Flat", "faiss/HNSW16", "faiss/IVF8,Flat", "faiss/SQ8"]


def brute(vectors: np.ndarray, query: np.ndarray, keys: np.ndarray, k: int) -> list[int]:
    scores = (vectors[keys - 1].astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
    return keys[np.lexsort((keys, -scores))][:k].tolist()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_search_follows_every_change(external: Callable, engine: str, dtype: str) -> None:
    collection, vectors = external(1500, engine=engine, dtype=dtype)
    if dtype == "float16":
        vectors = vectors.astype(np.float16).astype(np.float32)
    alive = np.arange(1, 1501)
    exact = engine in ("exact", "faiss/Flat")
    queries = unit(np.random.default_rng(1).normal(size=(20, 16)))

    def judge(c: Collection, where: Filter | None = None, among: np.ndarray | None = None) -> None:
        keys = alive if among is None else np.intersect1d(alive, among)
        hits = c.search_vectors(queries, 10, where=where)
        assert ((hits.keys >= 0).sum(axis=1) == min(10, len(keys))).all(), "k is guaranteed"
        assert np.isin(hits.keys[hits.keys >= 0], keys).all()
        good = [set(hits.keys[i].tolist()) & set(brute(vectors, q, keys, 10)) for i, q in enumerate(queries)]
        recall = sum(map(len, good)) / (20 * min(10, len(keys)))
        assert recall == 1.0 if exact else recall > 0.6
        if exact:
            found = [[key for key in row if key >= 0] for row in hits.keys.tolist()]
            assert found == [brute(vectors, q, keys, 10) for q in queries]
        true = np.einsum("qkd,qd->qk", vectors[np.maximum(hits.keys, 1) - 1], queries)
        assert np.abs(true - hits.scores)[hits.keys >= 0].max() < 1e-6, "scores are true cosines"

    judge(collection)
    collection.build_engine()
    judge(collection)
    gone = np.arange(3, 1500, 7)
    assert collection.delete(gone.tolist()) == len(gone)
    assert collection.delete(gone.tolist()) == 0
    alive = np.setdiff1d(alive, gone)
    judge(collection)
    swapped = alive[::5]
    vectors[swapped - 1] = unit(np.random.default_rng(9).normal(size=(len(swapped), 16)))
    if dtype == "float16":
        vectors = vectors.astype(np.float16).astype(np.float32)
    records = [Record(f"item-{key - 1}".encode(), label="ab"[(key - 1) % 2]) for key in swapped]
    collection.store.append(records, unit(vectors[swapped - 1]), replacing=swapped.tolist())
    judge(collection)
    judge(collection, Filter.of({"label": "a"}), np.arange(1, 1501, 2))
    judge(collection, Filter.of({"key": {"in": [1, 2, 4, 5]}}), np.array([1, 2, 4, 5]))
    with Collection.open(collection.folder, read_only=True) as reader:
        judge(reader)
        collection.build_engine()
        judge(reader)
        freed = collection.compact()
        assert freed == len(gone) + len(swapped)
        assert collection.stats()["dead"] == 0
        judge(collection)
        judge(reader)
    collection.close()
    with Collection.open(collection.folder) as again:
        judge(again)
        assert again.engine_state == "ready"
        fresh = again.add(queries[:1], [Record(b"new")])
        assert fresh[0] == 1501, "keys are never used again"
        assert again.search(int(fresh[0]), 1)[0].item.key == 1501


def test_search_by_picture_path_bytes_key_and_vector_agree(folder: Path, tmp_path: Path) -> None:
    with Collection.create(tmp_path / "c", create("colour")) as collection:
        list(collection.sync(folder))
        path = folder / "red" / "00.png"
        key = next(m.item.key for m in collection.search(path, 1))
        by = [collection.search(source, 5) for source in (path, str(path), path.read_bytes(), key)]
        by.append(collection.search(collection.vector(Query.like(path)), 5))
        answers = [[(m.item.key, m.rank) for m in matches] for matches in by]
        assert all(answer == answers[0] for answer in answers)
        best = by[0][0]
        assert best.item.path == path.resolve()
        assert best.score == pytest.approx(1.0, abs=1e-6)


def test_several_examples_are_weighed(external: Callable) -> None:
    collection, vectors = external(50)
    with collection:
        both = collection.vector(Query(((1, 1.0), (2, 3.0))))
        assert both == pytest.approx(unit((vectors[0] + 3.0 * vectors[1])[None])[0], abs=1e-6)
        with pytest.raises(QueryError, match="cancel"):
            collection.search(Query(((1, 1.0), (1, -1.0))))


def test_asking_for_more_than_there_is_and_for_nothing(external: Callable) -> None:
    collection, _ = external(5)
    with collection:
        assert len(collection.search(1, 50)) == 5
        for k in (0, -1):
            with pytest.raises(QueryError):
                collection.search(1, k)
        with pytest.raises(QueryError):
            collection.search(99)
        collection.delete([1, 2, 3, 4, 5])
        assert collection.search_vectors(np.eye(16, dtype=np.float32)[:2], 3).keys.tolist() == [[-1] * 3] * 2
        assert len(collection) == 0


def test_equal_vectors_are_ordered_by_key_in_every_engine(tmp_path: Path) -> None:
    from nearsight.encode import EncoderSpec

    vector = unit(np.ones((1, 8)))
    for engine in ("exact", "faiss/Flat"):
        spec = EncoderSpec("elsewhere", 8, (), "cd" * 32, {})
        with Collection.create(tmp_path / engine, spec, engine=engine) as c:
            c.add(np.repeat(vector, 60, axis=0), [Record(f"{i}".encode()) for i in range(60)])
            assert c.search_vectors(vector, 7).keys.tolist() == [[1, 2, 3, 4, 5, 6, 7]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_vectors_without_direction_are_refused_and_nothing_changes(external: Callable, bad: float) -> None:
    collection, vectors = external(10)
    with collection:
        rows = np.concatenate([vectors[:2], np.full((1, 16), bad, np.float32)])
        with pytest.raises(InputError) as error:
            collection.add(rows, [Record(b"x")] * 3)
        assert error.value.code == "vectors"
        assert len(collection) == 10


def test_annotations_change_without_touching_vectors(external: Callable) -> None:
    collection, vectors = external(4)
    with collection:
        collection.annotate(2, label="z", captions=["one", "two"], fields={"year": 2020})
        item = collection.item(2)
        assert (item.label, item.captions, dict(item.fields)) == ("z", ("one", "two"), {"year": 2020})
        collection.annotate(2, label=None)
        assert collection.item(2).label is None
        assert collection.item(2).captions == ("one", "two")
        assert collection.search(vectors[1], 1)[0].item.key == 2
        with pytest.raises(InputError):
            collection.annotate(77, label="x")


def test_opening_refuses_what_is_not_one(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(StoreError) as error:
        Collection.open(tmp_path / "nothing")
    assert error.value.code == "store/none"
    with pytest.raises(UnknownName):
        Collection.create(tmp_path / "c", create("colour"), engine="fais")
    assert not (tmp_path / "c").exists(), "a failed creation leaves nothing"
    with Collection.create(tmp_path / "c", create("colour")) as collection:
        with pytest.raises(StoreError, match="already"):
            Collection.create(tmp_path / "c", create("colour"))
        list(collection.sync(folder))
    with pytest.raises(EncoderMismatch):
        Collection.open(tmp_path / "c", encoder=create("colour?bins=8"))
    with Collection.open(tmp_path / "c", read_only=True) as reader:
        with pytest.raises(ReadOnly):
            reader.delete([1])
        with pytest.raises(ReadOnly):
            list(reader.sync(folder))
        assert len(reader) == 12


def test_a_collection_of_foreign_vectors_says_why_it_takes_no_picture(external: Callable, folder: Path) -> None:
    collection, _ = external(3)
    with collection, pytest.raises(EncoderError, match="came from elsewhere"):
        collection.search(folder / "red" / "00.png")


@pytest.mark.parametrize("engine", ["faiss/HNSW16", "faiss/IVF8,Flat"])
def test_a_damaged_or_missing_saved_index_is_answered_around_and_rebuilt(external: Callable, engine: str) -> None:
    collection, vectors = external(1200, engine=engine)
    collection.build_engine()
    collection.close()
    index = next((collection.folder / "engine").glob("*.index"))
    content = bytearray(index.read_bytes())
    content[len(content) // 2] ^= 16
    index.write_bytes(content)
    keys = np.arange(1, 1201)
    with Collection.open(collection.folder) as again:
        found = again.search_vectors(vectors[:5], 10).keys.tolist()
        assert found == [brute(vectors, v, keys, 10) for v in vectors[:5]], "the exact scan answers"
        assert "not the index that was written" in again.engine_state
        assert again.build_engine()
        assert again.engine_state == "ready"
    next((collection.folder / "engine").glob("*.index")).unlink()
    with Collection.open(collection.folder, read_only=True) as again:
        assert again.search_vectors(vectors[:5], 10).keys.tolist() == found


def test_a_damaged_vector_is_named_and_never_answered_from(external: Callable) -> None:
    collection, vectors = external(30)
    collection.close()
    segment = collection.folder / "segments" / "000001.vec"
    content = bytearray(segment.read_bytes())
    content[4096 + 16 * 4 * 7 + 3] ^= 1
    segment.write_bytes(content)
    with Collection.open(collection.folder) as again:
        with pytest.raises(Damaged, match="item-7") as error:
            again.search(vectors[0])
        assert "repair" in error.value.hint
        again.delete([8])
        assert len(again.search(vectors[0], 29)) == 29, "without the damaged item the rest answers"


@pytest.mark.parametrize("at", ["add", "engine:before"])
def test_an_index_that_could_not_be_built_or_saved_is_not_searched(
    external: Callable, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Ctrl-C while it is built, or a full disk: the items are found all the same, each once."""
    collection, vectors = external(300, engine="faiss/HNSW16")
    collection.build_engine()
    more = unit(np.random.default_rng(6).normal(size=(200, 16)))
    collection.add(more, [Record(f"more-{i}".encode()) for i in range(200)])
    before = collection.search(vectors[7], 500)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    def full(step: str) -> None:
        if step == at:
            raise OSError("no space left")

    with monkeypatch.context() as broken:
        if at == "add":
            broken.setattr("nearsight.search.engines._faiss_index.FaissIndex.add", stop)
        broken.setattr("nearsight.search.store.disk.fault", full)
        with pytest.raises((KeyboardInterrupt, WriteFailed)):
            collection.build_engine()
    assert collection.search(vectors[7], 500) == before
    assert collection.build_engine()
    assert len({match.item.key for match in collection.search(vectors[7], 500)}) == 500


def test_an_index_that_a_writer_removes_while_it_is_opened_is_not_missed(
    external: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, vectors = external(300, engine="faiss/HNSW16")
    collection.build_engine()

    def gone(path: Path) -> int:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr("nearsight.search.saved._file_sum", gone)
    with Collection.open(collection.folder, read_only=True) as reader:
        assert reader.search(vectors[7], 1)[0].item.key == 8
        assert "No such file" in reader.engine_state


def test_a_narrow_filter_misses_nothing_and_a_wide_one_little(external: Callable) -> None:
    """An index that reads one list of 64 meets few of those that are allowed."""
    collection, vectors = external(24_000, engine="faiss/IVF64,Flat?nprobe=1")
    collection.build_engine()
    queries = unit(np.random.default_rng(1).normal(size=(20, 16)))
    recalls = []
    for most in (9_000, 12_000, 24_000):
        hits = collection.search_vectors(queries, 10, where=Filter.of({"n": {"lt": most}}))
        truth = [brute(vectors, query, np.arange(1, most + 1), 10) for query in queries]
        recalls.append(np.mean([np.isin(found, true).mean() for found, true in zip(hits.keys, truth, strict=True)]))
    assert recalls[0] == 1
    assert recalls[2] < 0.5
    engine = collection._looks.searcher._main
    core = engine._index
    assert [engine._width(core, 10, share)[0] for share in (1, 2, 16, 1e6)] == [1, 1, 4, 64]
