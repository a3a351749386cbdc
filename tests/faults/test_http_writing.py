"""Writing while others search: no error, no answer that mixes two states, nothing lost, and others may write too."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from harm import harmful

from fake_words import install
from nearsight import Collection, Query
from nearsight.http import room
from nearsight.search.store import disk
from serving import Served, code, snow

ROOT = Path(__file__).parents[2]


def test_searches_while_pictures_come_labels_change_and_items_go(mine: Served) -> None:
    """Every answer is that of one generation: each hit's label is the one it had there, and nobody is missing."""
    states: dict[int, dict[int, str | None]] = {}
    answers: list[dict[str, Any]] = []

    def note(generation: int, items: dict[int, str | None]) -> None:
        states[generation] = dict(items)

    async def write() -> None:
        listed = (await mine.asked("GET", "/items?limit=500")).json()
        now: dict[int, str | None] = {item["key"]: item["label"] for item in listed["items"]}
        note(listed["generation"], now)
        for number in range(25):
            files = [("pictures", (f"{number}.png", snow(number), "image/png"))]
            added = await mine.asked("POST", "/items", files=files, data={"label": f"new {number}"})
            assert added.status_code == 201, added.text
            now[added.json()["items"][0]["key"]] = f"new {number}"
            note(added.json()["generation"], now)
            changed = await mine.asked("PATCH", f"/items/{1 + number % 12}", json={"label": f"label {number}"})
            assert changed.status_code == 200, changed.text
            now[1 + number % 12] = f"label {number}"
            note(changed.json()["generation"], now)
            if number % 3 == 2:
                gone = max(now)
                deleted = await mine.asked("DELETE", f"/items/{gone}")
                assert deleted.status_code == 204
                del now[gone]
                note(int(deleted.headers["x-generation"]), now)

    async def read(writing: asyncio.Task[None]) -> None:
        while not writing.done():
            for what in ({"query": "red", "k": 60}, {"query": "red | label ~ label", "k": 60}):
                answer = await mine.asked("POST", "/search", json=what)
                assert answer.status_code == 200, answer.text
                answers.append(answer.json() | {"what": what["query"]})

    async def both() -> None:
        writing = asyncio.create_task(write())
        await asyncio.gather(writing, *(read(writing) for _ in range(4)))

    mine.run(both(), 120)
    assert len({answer["generation"] for answer in answers}) > 10
    checked = 0
    for answer in answers:
        state = states.get(answer["generation"])  # between the first upload's new root and its item there is one more
        if state is not None:
            wanted = {k: v for k, v in state.items() if answer["what"] == "red" or "label" in (v or "")}
            assert {hit["key"]: hit["label"] for hit in answer["hits"]} == wanted
            checked += 1
    assert checked > len(answers) / 2


def test_the_last_look_waits_for_no_writer(mine: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disturbed every time, a search still ends, and with one generation."""
    from nearsight.search import finding

    reader = mine.house.room(None).reader
    times = 0
    real = finding.at_once

    def disturbed(store: Any, keys: Any) -> Any:
        nonlocal times
        times += 1
        if times <= finding._LOOKS:
            assert mine.ask("PATCH", "/items/1", json={"label": f"no {times}"}).status_code == 200
        return real(store, keys)

    monkeypatch.setattr(finding, "at_once", disturbed)
    found = reader.find(Query.words("blue"), 12)
    assert times == finding._LOOKS + 1
    assert {match.item.label for match in found.matches if match.item.key == 1} == {f"no {finding._LOOKS}"}
    assert found.generation == reader.store.snapshot().generation


def test_another_process_may_write_in_between(mine: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_KEEP_WRITER", 0.2)
    folder = tmp_path / "mine.ns"
    with Collection.open(folder) as other:
        answer = mine.ask("PATCH", "/items/1", json={"label": "x"})
        assert (answer.status_code, code(answer)) == (409, "store/locked")
        assert "pid" not in answer.text
        assert mine.keys(query="red", k=3)
        other.annotate(2, label="theirs")
    assert mine.get("/items/2").json()["label"] == "theirs"
    assert mine.ask("PATCH", "/items/1", json={"label": "x"}).status_code == 200
    given_back = threading.Event()
    for _ in range(100):
        try:
            with Collection.open(folder) as other:
                other.annotate(3, label="theirs too")
                given_back.set()
                break
        except Exception:  # noqa: BLE001 (it is still locked)
            threading.Event().wait(0.1)
    assert given_back.is_set()
    assert mine.get("/items/3").json()["label"] == "theirs too"


def test_a_full_disk_loses_nothing_that_was_acknowledged(mine: Served, tmp_path: Path) -> None:
    kept = mine.upload(snow(1)).json()["items"][0]["key"]
    for point in ("upload:before", "write:before", "sync:before", "commit:before"):

        def fault(name: str, point: str = point) -> None:
            if name == point:
                raise OSError(28, "No space left on device")

        disk.fault = fault
        answer = mine.upload(snow(2))
        disk.fault = None
        assert (answer.status_code, code(answer)) == (507, "store/write-failed"), point
        assert str(tmp_path) not in answer.text
        assert mine.get("/items").json()["total"] == 13
    again = mine.upload(snow(2))
    assert again.json()["items"][0]["status"] == "added"
    assert mine.get(f"/items/{kept}").status_code == 200
    assert harmful(tmp_path / "mine.ns") == []


KILLED = """
import sys
from pathlib import Path
import numpy as np
from nearsight.search.collection import Collection
from nearsight.search.store import disk
from nearsight.search.uploads import Upload, keep
sys.path[:0] = [sys.argv[3]]
from serving import snow
left = int(sys.argv[2])
def fault(name):
    global left
    left -= 1
    if left < 0:
        import os
        os.kill(os.getpid(), 9)
with Collection.open(Path(sys.argv[1])) as collection:
    disk.fault = fault
    vector = np.eye(1, collection.dim, dtype=np.float32)[0]
    for number in range(3):
        print(keep(collection, [Upload(snow(number), vector, f"{number}.png")])[0], flush=True)
"""


@pytest.mark.parametrize("point", [0, 1, 2, 3, 5, 8, 13, 18])
def test_killed_while_uploads_are_kept(shop_made: Path, tmp_path: Path, point: int) -> None:
    """What was acknowledged is there with its picture, what was not is not there at all, or whole."""
    import shutil

    folder = tmp_path / "c.ns"
    shutil.copytree(shop_made, folder)
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-c", KILLED, str(folder), str(point), str(ROOT / "tests")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == -9, done.stderr
    acknowledged = [int(line) for line in done.stdout.split()]
    with Collection.open(folder) as collection:
        uploaded = [item for item in collection.items() if item.key > 12]
        assert {*acknowledged} <= {item.key for item in uploaded} <= {*acknowledged, 13 + len(acknowledged)}
        for item in uploaded:
            assert item.path.read_bytes() == snow(item.key - 13)
    assert harmful(folder) == []


def test_a_read_only_medium_is_searched_and_not_changed(
    shop_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    install(monkeypatch)
    folder = tmp_path / "still.ns"
    shutil.copytree(shop_made, folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    before = sorted(str(path) for path in folder.rglob("*"))
    try:
        with Served([folder]) as still:
            assert still.keys(query="red", k=3)
            assert still.get("/items/1/thumbnail").status_code == 200
            assert code(still.ask("DELETE", "/items/1")) == "store/read-only"
        assert sorted(str(path) for path in folder.rglob("*")) == before
    finally:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_damage_is_not_answered_from(shop_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    install(monkeypatch)
    folder = tmp_path / "harmed.ns"
    shutil.copytree(shop_made, folder)
    with open(folder / "segments" / "000001.vec", "r+b") as file:
        file.seek(4096 + 1000)
        file.write(b"\xff\xff\xff\xff")
    with Served([folder]) as harmed:
        answer = harmed.search(query="red")
        assert (answer.status_code, code(answer)) == (500, "store/damaged")
        assert "repair" in answer.json()["hint"]
        assert str(tmp_path) not in answer.text
        ready = harmed.get("/ready")
        assert (ready.status_code, json.loads(ready.text)["collections"]) == (503, {"harmed": "store/damaged"})
