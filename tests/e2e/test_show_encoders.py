"""``nearsight show encoders``, as people and programs see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.command import COLOURS, Ran, paint
from nearsight.encode import speeds

Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARSIGHT_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits(run: Run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    speeds.note("colour", 12345, speeds.SEEN)
    ran = run("show", "encoders")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert max(map(len, lines)) <= columns
    assert ("colours, roughly where" in ran.out) == (columns == 120)
    colour = next(line.split() for line in lines if line.startswith("colour"))
    assert colour[:5] == ["colour", "768", "-", "12345", "0.252"]
    assert "ready" in colour
    assert max(map(len, ran.err.splitlines())) <= 120


def test_json_has_every_fact(run: Run) -> None:
    told = {one["address"]: one for one in json.loads(run("show", "encoders", "--json").out)}
    assert told["colour"] == {
        "address": "colour",
        "looks_at": "colours, roughly where",
        "dim": 768,
        "modalities": ["image"],
        "bytes": 0,
        "rate": None,
        "rate_how": None,
        "measured": {"what": "mAP, MIT split, test->train", "value": 0.252, "published": "foundation:map_colour_exact"},
        "status": "ready",
        "get": "it is here",
    }
    clip = told["clip/openai/clip-vit-base-patch32"]
    assert clip["modalities"] == ["image", "text"]
    assert clip["bytes"] > 5e8


def test_index_and_migrate_remember_what_they_saw(run: Run, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    for number in range(speeds.WORTH_NOTING):
        paint(pictures / f"{number}.jpg", COLOURS["red"], number)
    assert run("index", pictures, "-e", "colour?bins=4").code == 0
    assert run("migrate", pictures, "-e", "colour").code == 0
    for address in ("colour?bins=4", "colour"):
        speed = speeds.speed_of(address)
        assert speed is not None, address
        assert (speed.how, speed.rate > 0) == ("index", True)
    seen = run("show", "encoders", "colour").out
    assert f"{speeds.speed_of('colour').rate:.0f} pictures a second here" in seen


def test_few_pictures_say_nothing_of_speed(run: Run, pictures: Path) -> None:
    run("index", pictures, "-e", "colour")
    assert speeds.speed_of("colour") is None


def test_one_is_explained(run: Run) -> None:
    told = run("show", "encoders", "hog").out
    assert "mAP, MIT split, test->train: 0.371" in told
    assert "1,765 numbers" in told
    assert "orientations" in told
    assert "not measured here" in told
    as_json = json.loads(run("show", "encoders", "timm", "--json").out)
    assert {one["address"] for one in as_json["encoders"]} >= {"timm/resnet50.a1_in1k"}
    assert "encoders" not in json.loads(run("show", "engines", "faiss", "--json").out)


def test_a_folder_is_one_too(run: Run, pictures: Path) -> None:
    run("index", pictures, "-e", "colour?bins=4")
    folder = pictures / ".nearsight" / "encoder"
    assert "256 numbers" in run("show", "encoders", folder).out
    (one,) = json.loads(run("show", "encoders", folder, "--json").out)["encoders"]
    assert (one["dim"], one["status"]) == (256, "ready")


def test_measure_times_what_is_here(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearsight.encode import ladder

    monkeypatch.setattr(speeds, "_SECONDS", 0.0)
    monkeypatch.setattr(speeds.measure, "__defaults__", (0.01,))
    some = [rung for rung in ladder.ladder() if rung.address in ("colour", "clip/openai/clip-vit-base-patch32")]
    monkeypatch.setattr(ladder, "ladder", lambda: some)
    ran = run("show", "encoders", "--measure", "--json")
    rates = {one["address"]: (one["rate"], one["rate_how"]) for one in json.loads(ran.out)}
    assert rates["colour"][0] > 0
    assert rates["colour"][1] == "measure"
    assert rates["clip/openai/clip-vit-base-patch32"] == (None, None), "what is not here is not downloaded for it"
    refused = run("show", "engines", "--measure")
    assert (refused.code, "[show/measure]" in refused.err) == (1, True)
