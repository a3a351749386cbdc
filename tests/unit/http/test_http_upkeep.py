"""A server brings the engine's index up to date by itself, and goes on with the engine that somebody has chosen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nearsight.core.errors import Locked, WriteFailed
from nearsight.http import room as rooms
from nearsight.http import upkeep
from nearsight.search import building
from nearsight.search.collection import Collection
from nearsight.search.engines._faiss_index import FaissIndex
from serving import Served, snow, until

GRAPH = "faiss/HNSW8"


@pytest.fixture
def graph(mine: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Served while somebody lets a graph search it: twelve items are enough to build it for."""
    monkeypatch.setattr(rooms, "_KEEP_WRITER", 0.1)
    monkeypatch.setattr(upkeep, "_LONG", 14)
    with Collection.open(tmp_path / "mine.ns") as collection:
        collection.change_engine(GRAPH)
    until(lambda: engine(mine) == GRAPH, "the server goes on with the old engine")
    assert mine.keys(query="@3", k=3)[0] == 3
    return mine


def engine(served: Served) -> str:
    return served.house.room(None).reader.engine


def index(folder: Path) -> Path:
    return folder / "mine.ns" / "engine" / "stamp.json"


def jobs(served: Served) -> list[dict[str, Any]]:
    return served.get("/progress").json()["jobs"]


def free(folder: Path) -> bool:
    """Whether another process could write."""
    try:
        Collection.open(folder / "mine.ns").close()
    except Locked:
        return False
    return True


def test_what_was_uploaded_is_taken_into_the_index(
    graph: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph.upload(snow(1))
    until(lambda: free(tmp_path), "the server keeps the collection to itself")
    assert not index(tmp_path).exists(), "thirteen are sooner looked at"
    monkeypatch.setattr("nearsight.search.candidates._LONG", 1)
    graph.upload(snow(2), snow(3))
    until(index(tmp_path).exists, "no index was built")
    until(lambda: free(tmp_path), "the server keeps the collection to itself")
    with Collection.open(tmp_path / "mine.ns", read_only=True) as collection:
        assert collection.unindexed == 0
    for key in (3, 13, 15):
        assert graph.keys(query=f"@{key}", k=15)[0] == key
        assert len(set(graph.keys(query=f"@{key}", k=15))) == 15
    assert len(graph.house.room(None).reader._looks.searcher._main) == 15, "it searches with what it has built"


@pytest.fixture
def steps(graph: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """How many steps a build may take, none at first; each takes in one item."""
    go, add = threading.Semaphore(0), FaissIndex.add

    def wait(self: FaissIndex, keys: object, vectors: object) -> None:
        assert go.acquire(timeout=60)
        add(self, keys, vectors)

    monkeypatch.setattr(building, "_ADD", 1)
    monkeypatch.setattr(FaissIndex, "add", wait)
    yield go
    go.release(1000)


def test_searches_and_uploads_go_on_beside_a_build_and_its_progress_is_told(
    graph: Served, steps: threading.Semaphore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearsight.search.sync.progress._SECONDS", 0.0)
    room = graph.house.room(None)
    graph.upload(snow(1), snow(2))
    until(lambda: room._upkeep.going, "no build began")
    assert graph.keys(query="@13", k=3)[0] == 13
    key = graph.upload(snow(3)).json()["items"][0]["key"]
    assert graph.keys(query=f"@{key}", k=3)[0] == key
    assert graph.ask("PATCH", f"/items/{key}", json={"label": "late"}).status_code == 200
    assert room._upkeep.going
    assert not free(tmp_path)
    steps.release(3)
    told = ("engine", 3, 14)
    until(lambda: told in [(job["stage"], job["done"], job["total"]) for job in jobs(graph)], "nothing is told")
    steps.release(1000)
    until(lambda: index(tmp_path).exists(), "no index was built")
    until(lambda: free(tmp_path), "the server keeps the collection to itself")
    assert jobs(graph) == []
    assert graph.keys(query=f"@{key}", k=3)[0] == key


def test_a_build_that_fails_is_told_and_tried_again_after_the_next_change(
    graph: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[Path] = []

    def full(self: FaissIndex, path: Path) -> None:
        tries.append(path)
        raise WriteFailed("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(FaissIndex, "save", full)
        graph.upload(snow(1), snow(2))
        until(lambda: "was not brought up to date: No space left" in caplog.text, "nothing is told")
        until(lambda: free(tmp_path), "the server keeps the collection to itself")
        assert graph.keys(query="@13", k=3)[0] == 13
    assert len(tries) == 1
    assert not index(tmp_path).exists()
    graph.upload(snow(3))
    until(index(tmp_path).exists, "it was not tried again")


def test_the_end_of_a_server_breaks_a_build_off(
    graph: Served, steps: threading.Semaphore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = graph.house.room(None)
    graph.upload(snow(1), snow(2))
    until(lambda: room._upkeep.going, "no build began")
    threading.Timer(0.3, steps.release, (1000,)).start()
    room.close()
    assert not room._upkeep.going
    assert free(tmp_path), "the lock is given back"
    with Collection.open(tmp_path / "mine.ns", read_only=True) as collection:
        assert collection.unindexed == 14
