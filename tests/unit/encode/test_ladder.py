"""What an encoder's file says of it is so: its dimension, its words, its size, where it comes from, how good it was."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nearsight.core.errors import UnknownName
from nearsight.encode import create, ladder, speeds
from nearsight.encode.encoder import TOWERS
from nearsight.encode.ladder import Rung, rung_of, rungs_of

ROOT = Path(__file__).parents[3]
OWN = [name for name in TOWERS.names() if not name.startswith("exported")]
STATED = [rung for name in OWN for rung in getattr(TOWERS.module(name), "LADDER", ())]
OFFLINE = [rung for rung in STATED if not rung.address.startswith(("clip/", "open_clip/"))]
NETWORKS = ("timm", "torchvision", "faster_rcnn")


def kind(rung: Rung) -> str:
    return rung.address.partition("/")[0].partition("?")[0]


def marks(rung: Rung) -> list[pytest.MarkDecorator]:
    return [pytest.mark.torch] if "torch" in rung.packages else []


def test_every_encoder_that_comes_with_nearsight_is_on_it() -> None:
    assert {name for name in OWN for _ in rungs_of(name)} == set(OWN)
    assert len({rung.address for rung in ladder.ladder()}) == len(ladder.ladder())
    for rung in STATED:
        assert kind(rung) in OWN
        TOWERS.check(rung.address)
        assert len(rung.told) <= 34, "the table has room for so much at 120 columns"
        assert len(rung.address.partition("?")[0]) <= 35
        assert bool(rung.packages) == bool(rung.extra)
    assert not list(rungs_of("exported"))
    with pytest.raises(UnknownName):
        list(rungs_of("nothing"))


@pytest.mark.parametrize("rung", [pytest.param(rung, marks=marks(rung), id=rung.address) for rung in OFFLINE])
def test_what_is_built_is_what_was_told(rung: Rung) -> None:
    for package in rung.packages:
        pytest.importorskip(package)
    encoder = create(rung.address + "?pretrained=false" * (kind(rung) in NETWORKS))
    assert encoder.tower.dim == rung.dim
    assert (encoder.text is not None) == rung.words
    if rung.weights == "random":
        size = sum(p.numel() * p.element_size() for p in encoder.tower.module.parameters()) / 1e6
        assert rung.megabytes == pytest.approx(size, rel=0.05)


@pytest.mark.torch
@pytest.mark.parametrize("rung", [rung for rung in STATED if kind(rung) == "timm"], ids=lambda rung: rung.address)
def test_timms_sizes_and_repositories(rung: Rung) -> None:
    timm = pytest.importorskip("timm")
    whole = timm.create_model(rung.address.removeprefix("timm/"), pretrained=False)
    size = sum(p.numel() * p.element_size() for p in whole.parameters()) / 1e6
    assert rung.megabytes == pytest.approx(size, rel=0.05)
    assert rung.weights == f"hub:{whole.pretrained_cfg['hf_hub_id']}"


@pytest.mark.torch
@pytest.mark.parametrize(
    "rung", [rung for rung in STATED if rung.weights.startswith("torch:")], ids=lambda rung: rung.address
)
def test_torchvisions_sizes_and_files(rung: Rung) -> None:
    models = pytest.importorskip("torchvision").models
    name = rung.address.removeprefix("torchvision/").replace("faster_rcnn/", "fasterrcnn_")
    weights = models.get_model_weights(name).DEFAULT
    assert rung.megabytes == pytest.approx(weights.meta["_file_size"] * 1.048576, rel=0.05)
    assert Path(weights.url.rpartition("/")[2]).match(rung.weights.removeprefix("torch:"))


@pytest.mark.torch
@pytest.mark.slow
def test_open_clips_size_dimension_and_repository() -> None:
    open_clip = pytest.importorskip("open_clip")
    (rung,) = rungs_of("open_clip")
    name, tag = rung.address.removeprefix("open_clip/").split("?pretrained=")
    network = open_clip.create_model(name)
    assert rung.megabytes == pytest.approx(sum(p.numel() for p in network.parameters()) * 4 / 1e6, rel=0.05)
    assert rung.dim == open_clip.get_model_config(name)["embed_dim"]
    repository = open_clip.get_pretrained_cfg(name, tag)["hf_hub"].strip("/")
    assert rung.weights == f"hub:{repository}"


@pytest.mark.parametrize(
    "rung",
    [rung for rung in (*STATED, *rungs_of("bundled")) if rung.measured is not None],
    ids=lambda rung: rung.address,
)
def test_quality_is_what_is_published(rung: Rung) -> None:
    file, _, row_id = rung.row.partition(":")
    rows = {row["id"]: row for row in json.loads((ROOT / "docs" / "results" / f"{file}.json").read_text())["rows"]}
    assert rung.measured == round(rows[row_id]["value"], 4)
    assert f"mAP test->train, {rung.address}, exact" == rows[row_id]["what"]


def test_the_order_is_by_what_it_takes_to_have_it() -> None:
    steps = [rung.step for rung in ladder.ladder()]
    assert steps == sorted(steps)
    assert [rung.address for rung in ladder.ladder()][:2] == ["bundled", "colour"]


def test_what_is_lacking_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    rung = Rung("timm/some", 8, "", megabytes=12, packages=("no_such_package",), extra="models", weights="hub:a/some")
    assert (rung.status, rung.get) == ("install", "pip install 'nearsight[models]'")
    rung = replace(rung, packages=("json",))
    assert (rung.status, rung.get) == ("download", "downloaded when it is first used (12 MB)")
    file = tmp_path / "hf" / "hub" / "models--a--some" / "snapshots" / "abc" / "model.safetensors"
    file.parent.mkdir(parents=True)
    (file.parent / "config.json").touch()
    assert rung.status == "download", "a model without its weights is not there"
    file.touch()
    assert (rung.status, rung.get) == ("ready", "it is here")
    rung = replace(rung, weights="torch:some-*.pth")
    assert rung.status == "download"
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "torch" / "hub" / "checkpoints" / "some-12ab.pth").touch()
    assert rung.status == "ready"
    assert replace(rung, weights="random").status == "train"


def test_an_encoder_folder_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create("colour?bins=4").save(tmp_path / "encoder")
    rung = rung_of(tmp_path / "encoder")
    assert (rung.dim, rung.words, rung.status) == (create("colour?bins=4").tower.dim, False, "ready")
    bundled = TOWERS.module("bundled")
    monkeypatch.setattr(bundled, "FOLDER", tmp_path / "encoder")
    monkeypatch.setattr(bundled, "MEASURED", (0.5, "file:row"), raising=False)
    (rung,) = rungs_of("bundled")
    assert (rung.address, rung.dim, rung.measured, rung.status) == ("bundled", 256, 0.5, "ready")
    monkeypatch.setattr(bundled, "FOLDER", tmp_path / "nothing")
    (rung,) = rungs_of("bundled")
    assert rung.status == "absent"


def test_looking_loads_nothing_heavy() -> None:
    code = (
        "import sys; from nearsight.encode.ladder import ladder; [rung.get for rung in ladder()];"
        "print({m.partition('.')[0] for m in sys.modules} & {'torch', 'timm', 'cv2', 'skimage', 'transformers'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


# speeds


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEARSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "speeds.json"


def test_a_speed_is_remembered_for_an_encoder_on_a_machine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert speeds.speed_of("colour") is None
    speeds.note("colour?bins=12&grid=2", 123.456, speeds.SEEN)
    assert speeds.speed_of("colour") == speeds.Speed(123.46, "index"), "options at their defaults are no other encoder"
    assert speeds.speed_of("colour?bins=4") is None
    speeds.note("colour", 99, speeds.MEASURED)
    assert speeds.speed_of("colour") == speeds.Speed(99, "measure"), "the last word counts"
    monkeypatch.setattr(speeds, "machine", lambda: "another machine")
    assert speeds.speed_of("colour") is None


@pytest.mark.parametrize("junk", ["", "{", "[]", '{"a": 1}', '{"a": {"rate": "x", "how": 1}}', '{"a": {"b": 1}}'])
def test_a_damaged_file_is_as_none(cache: Path, junk: str) -> None:
    cache.parent.mkdir()
    cache.write_text(junk)
    assert speeds.speed_of("colour") is None
    speeds.note("colour", 5, speeds.SEEN)
    assert speeds.speed_of("colour") == speeds.Speed(5, "index")


def test_a_cache_that_cannot_be_written_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NEARSIGHT_CACHE", str(tmp_path / "file" / "cache"))
    speeds.note("colour", 5, speeds.SEEN)
    assert speeds.speed_of("colour") is None


def test_measuring_counts_the_pictures_of_the_time_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = create("colour")
    seen: list[int] = []
    encode = encoder.encode_images
    monkeypatch.setattr(encoder, "encode_images", lambda images: seen.append(len(images)) or encode(images))
    ticks = iter(range(100))
    monkeypatch.setattr(speeds.time, "perf_counter", lambda: float(next(ticks)))
    found = speeds.measure(encoder, seconds=3)
    assert seen == [1, 8, 8, 8], "the first one is not counted"
    assert found == speeds.Speed(8.0, "measure")
