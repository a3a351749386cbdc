"""A server goes on through a change of the encoder: with the old one before, with the new one after, with no gap."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nearsight.encode.encoder import create
from nearsight.http import room as rooms
from nearsight.search.migration import Migration, forget
from nearsight.search.store.check import Finding, check
from serving import Served, snow, until

NEW = "colour?bins=4"


def encoder(served: Served) -> str:
    return str(served.get("/collections").json()["collections"][0]["encoder"])


def followed(served: Served, name: str) -> None:
    until(lambda: encoder(served).startswith(name), "the server did not follow")


def test_searches_go_on_through_the_switch_and_back(mine: Served, tmp_path: Path) -> None:
    before, stop, failures, seen = encoder(mine), threading.Event(), [], set()

    def look() -> None:
        while not stop.is_set():
            answer = mine.search(query="@3", k=12)
            if answer.status_code != 200 or len(answer.json()["hits"]) < 12 or answer.json()["hits"][0]["key"] != 3:
                failures.append(answer.text)
            seen.add(round(answer.json()["hits"][1]["score"], 4))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        with Migration(tmp_path / "mine.ns", create(NEW)) as migration:
            list(migration.encode())
            assert encoder(mine) == before
            list(migration.switch())
        followed(mine, NEW)
        told = mine.get("/collections").json()["collections"][0]
        assert (told["items"], told["modalities"]) == (12, ["image"])
        with Migration(tmp_path / "mine.ns") as migration:
            list(migration.encode())
            list(migration.switch())
        followed(mine, before)
    finally:
        stop.set()
        thread.join()
    assert not failures, failures[0]
    assert len(seen) == 2, "the answers of both encoders, and no others"
    assert mine.keys(query="red", k=4), "words are understood again"


def test_what_is_uploaded_labelled_and_deleted_meanwhile_is_not_lost(mine: Served, tmp_path: Path) -> None:
    with Migration(tmp_path / "mine.ns", create(NEW)) as migration:
        list(migration.encode())
        key = mine.upload(snow(5), label="late").json()["items"][0]["key"]
        assert mine.ask("DELETE", "/items/2").status_code in (200, 204)
        generation = mine.get("/collections").json()["collections"][0]["generation"]
        list(migration.switch())  # waits until the server lets go of the lock
    followed(mine, NEW)
    told = mine.get("/collections").json()["collections"][0]
    assert told["generation"] > generation, "it never falls"
    assert told["items"] == 12
    found = mine.search({"a": snow(5)}, examples=[{"picture": "a"}]).json()["hits"][0]
    assert (found["key"], found["label"]) == (key, "late")
    assert found["score"] == pytest.approx(1)
    assert mine.get(f"/items/{key}/picture").status_code == 200


def test_an_upload_that_was_encoded_before_the_switch_is_encoded_again(
    mine: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors of one encoder never come among those of another, even where they are of one length."""
    with Migration(tmp_path / "mine.ns", create(NEW)) as migration:
        list(migration.encode())
        monkeypatch.setattr(rooms.Room, "rest", lambda self: None)  # it has not noticed when the upload comes
        list(migration.switch())
    key = mine.upload(snow(6)).json()["items"][0]["key"]
    assert encoder(mine).startswith(NEW), "whoever writes follows at once"
    found = mine.search({"a": snow(6)}, examples=[{"picture": "a"}]).json()["hits"][0]
    assert (found["key"], found["score"]) == (key, pytest.approx(1))
    assert [f for f in check(tmp_path / "mine.ns") if isinstance(f, Finding) and not f.harmless] == []


def test_its_progress_is_seen(mine: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearsight.search.sync import progress

    monkeypatch.setattr(progress, "_SECONDS", 0.0)
    seen = []
    with Migration(tmp_path / "mine.ns", create(NEW)) as migration:
        for _ in migration.encode():
            seen += mine.get("/progress").json()["jobs"]
    assert [job for job in seen if job["stage"] == "encode"][-1]["done"] == 12
    assert mine.get("/progress").json() == {"jobs": []}


def test_the_old_vectors_can_be_forgotten_while_it_is_served(mine: Served, tmp_path: Path) -> None:
    with Migration(tmp_path / "mine.ns", create(NEW)) as migration:
        list(migration.encode())
        list(migration.switch())
    forget(tmp_path / "mine.ns")
    assert mine.search(query="@3", k=3).status_code == 200
    followed(mine, NEW)
    assert mine.search(query="@3", k=3).status_code == 200
