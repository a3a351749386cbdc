"""Verdicts and judgements as a user has them: calibrate, search, judge, keep, export, train."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.command import COLOURS, Ran, hits, labels, paint
from nearsight import Collection

Run = Callable[..., Ran]


@pytest.fixture
def shop(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three classes of twenty, indexed by colour; the working folder is among them."""
    folder = tmp_path / "shop"
    for at, (name, colour) in enumerate(COLOURS.items()):
        for number in range(20):
            paint(folder / name / f"{name}_{number}.jpg", colour, 100 * at + number)
    assert run("index", folder, "-e", "colour", "--labels", "folder").code == 0
    monkeypatch.chdir(folder)
    return folder


def test_calibrated_answers_say_what_they_are(run: Run, shop: Path, tmp_path: Path) -> None:
    plain = hits(run("search", "red/red_0.jpg", "--json"))
    assert [hit["verdict"] for hit in plain] == [None] * 10
    refused = run("search", "red/red_0.jpg", "--verdict", "likely")
    assert (refused.code, "query/verdict" in refused.err, "nearsight calibrate" in refused.err) == (1, True, True)
    assert run("calibrate", "--show").code == 1
    ran = run("calibrate")
    assert ran.code == 0, ran.err
    assert "picture, likely  0." in ran.out
    assert re.search(r"^picture, sure +- +1%$", ran.out, re.MULTILINE)
    assert "30 unrelated queries are too few to say what only 1% of them reach" in ran.err
    assert run("calibrate", "--show").out == ran.out
    told = json.loads(run("calibrate", "--show", "--json").out)
    assert told["pictures"]["how"] == "labels"
    assert hits(run("search", "red/red_0.jpg", "--json"))[1]["verdict"] == "likely"
    table = run("search", "red/red_0.jpg")
    assert "score   verdict  label  picture" in table.out
    assert "no match" not in table.err
    paint(tmp_path / "strange.jpg", (250, 250, 30), 1)
    strange = run("search", tmp_path / "strange.jpg")
    assert "chance" in strange.out
    assert "no match: the best score, 0." in strange.err
    assert "which is what chance" not in strange.out
    nothing = run("search", tmp_path / "strange.jpg", "--verdict", "likely")
    assert (nothing.code, nothing.out, nothing.err.splitlines()[-1]) == (0, "", "nothing found")
    by_key = run("search", "--query", "@1; verdict=likely", "--json", "-k", "60")
    assert set(labels(by_key)) == {hits(by_key)[0]["label"]}


def test_a_calibration_that_is_stale_is_said_to_be(run: Run, shop: Path) -> None:
    assert run("calibrate").code == 0
    for number in range(80):
        paint(shop / "blue" / f"more_{number}.jpg", COLOURS["blue"], 900 + number)
    assert run("index", shop).code == 0
    ran = run("search", "red/red_0.jpg")
    assert "calibrated with 60 items and has 140 now" in ran.err
    assert "calibrated with 60 items" in run("calibrate", "--show").err


def test_answers_are_judged_kept_labelled_and_exported(run: Run, shop: Path, tmp_path: Path) -> None:
    found = hits(run("search", "red/red_0.jpg", "blue/blue_0.jpg", "--json", "-k", "60"))
    red = [hit["key"] for hit in found if hit["label"] == "red"][:3]
    blue = [hit["key"] for hit in found if hit["label"] == "blue"][:3]
    judged = [part for key in red for part in ("--up", key)] + [part for key in blue for part in ("--down", key)]
    ran = run("search", "red/red_0.jpg", "blue/blue_0.jpg", *judged, "--json", "--keep", "--as-label", "warm", "-k", 60)
    refined = hits(ran)
    assert {hit["method"] for hit in refined} == {"rocchio"}
    assert not {*blue} & {hit["key"] for hit in refined}
    assert "kept what was judged" in ran.err
    with Collection.open(shop / ".nearsight", read_only=True) as kept:
        assert [item.label for item in kept.items(red)] == ["warm"] * 3
    up, down = (",".join(f"@{key}" for key in keys) for keys in (red, blue))
    written = run("search", "--query", f"./red/red_0.jpg + ./blue/blue_0.jpg; up={up}; down={down}", "--json", "-k", 60)
    assert [hit["score"] for hit in hits(written)] == [hit["score"] for hit in refined]
    fresh = hits(run("search", "--up", red[0], "--unjudged", "--json", "--sheet", tmp_path / "sheet.png"))
    assert red[0] not in {hit["key"] for hit in fresh}
    assert (tmp_path / "sheet.png").exists()
    assert run("search", "red/red_0.jpg", "--keep").code == 1
    ran = run("export", "--feedback", tmp_path / "judged.csv")
    assert "6 judged pictures" in ran.err
    with open(tmp_path / "judged.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(row["label"] == "red/red_0.jpg + blue/blue_0.jpg" for row in rows) == 3
    assert len({row["label"] for row in rows}) == 4


@pytest.mark.torch
def test_what_was_judged_is_trained_on(run: Run, shop: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("lightning_fabric")
    with Collection.open(shop / ".nearsight") as kept:
        keys = {name: [item.key for item in kept.items() if item.label == name] for name in COLOURS}
        for name, others in (("red", "blue"), ("blue", "green")):
            kept.keep_feedback(keys[name][0], up=keys[name][1:8], down=keys[others][10:13])
    table = tmp_path / "judged.csv"
    assert run("export", "--feedback", table).code == 0
    quick = ["--tower", "small_cnn/modern?size=16", "--batch", "8", "--epochs", "1", "--set", "loop.precision=fp32"]
    ran = run("train", "--data", table, "-o", tmp_path / "out", "--no-maps", *quick)
    assert ran.code == 0, ran.err
    assert (tmp_path / "out" / "encoder" / "manifest.json").exists()
