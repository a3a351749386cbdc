"""Judged answers over HTTP: one label for many, kept for training; and what is there several times."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

from PIL import Image

from nearsight import Collection
from nearsight.http.schemas import DuplicatesAnswer, KeptAnswer, LabelAnswer
from nearsight.search.judgements import write_table
from serving import Served, code, png


def test_a_label_for_several(mine: Served) -> None:
    answer = mine.ask("POST", "/feedback/label", json={"label": "lamp", "keys": [1, 5, 5, 9]})
    LabelAnswer.model_validate(answer.json())
    assert answer.json()["changed"] == 3
    assert [item["key"] for item in mine.get("/items?where=label = lamp").json()["items"]] == [1, 5, 9]
    assert mine.ask("POST", "/feedback/label", json={"label": None, "keys": [1]}).status_code == 200
    assert mine.get("/items/1").json()["label"] is None
    unknown = mine.ask("POST", "/feedback/label", json={"label": "x", "keys": [2, 99]})
    assert (unknown.status_code, code(unknown)) == (404, "item/unknown")
    assert mine.get("/items/2").json()["label"] == "blue"
    assert mine.ask("POST", "/feedback/label", json={"label": "x", "keys": []}).status_code == 400


def test_judgements_are_kept(mine: Served, tmp_path: Path) -> None:
    answer = mine.ask("POST", "/feedback/pairs", json={"query": "red", "up": [9, 10], "down": [1]})
    KeptAnswer.model_validate(answer.json())
    assert answer.json()["kept"] == 3
    nothing = mine.ask("POST", "/feedback/pairs", json={"query": "red"})
    assert (nothing.status_code, code(nothing)) == (400, "feedback/none")
    with Collection.open(tmp_path / "mine.ns", read_only=True) as collection:
        list(write_table(collection, tmp_path / "judged.csv"))
    assert "red 1.png" in (tmp_path / "judged.csv").read_text()


def _duplicates(served: Served, **how: Any) -> dict[str, Any]:
    for _ in range(200):
        answer = served.get("/duplicates", params=how)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        DuplicatesAnswer.model_validate(told)
        if told["state"] == "ready":
            return told
        assert told["groups"] == []
        time.sleep(0.05)
    raise AssertionError("it never ends")


def _scene(seed: int, side: int = 96, **how: Any) -> bytes:
    file = io.BytesIO()
    coarse = Image.effect_noise((12, 12), 90 + seed).resize((96, 96), Image.Resampling.BICUBIC)
    coarse.resize((side, side)).convert("RGB").save(file, how.pop("format", "PNG"), **how)
    return file.getvalue()


def test_near_duplicates_in_the_background(mine: Served) -> None:
    assert _duplicates(mine)["groups_total"] == 0
    once = _scene(1)
    picture = Image.open(io.BytesIO(once))
    again = io.BytesIO()
    picture.resize((72, 72)).save(again, "JPEG", quality=90)
    keys = [item["key"] for item in mine.upload(once, again.getvalue(), png("red", 55)).json()["items"]]
    found = _duplicates(mine)
    assert found["groups_total"] == 1
    (group,) = found["groups"]
    assert set(group["keys"]) == set(keys[:2])
    assert group["keep"] == keys[0] == group["keys"][0]
    assert group["scores"][0] is None
    assert group["scores"][1] > 0.8
    assert _duplicates(mine, offset=1)["groups"] == []
    mine.ask("PATCH", f"/items/{keys[2]}", json={"label": "new"})
    assert mine.get("/duplicates").json()["state"] == "ready"  # nothing that counts has changed
    mine.ask("DELETE", f"/items/{keys[1]}")
    assert mine.get("/duplicates").json() == {"state": "ready", "done": 1, "total": 1, "groups": [], "groups_total": 0}
    assert code(mine.get("/duplicates?at_least=2")) == "request/invalid"
