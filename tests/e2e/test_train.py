"""``nearsight train`` as its users have it: a folder in, a better encoder and its proof out."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.command import Ran, paint, spawn
from nearsight import Encoder
from nearsight.study.report import Report

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytestmark = pytest.mark.torch
Run = Callable[..., Ran]
QUICK = ["--tower", "small_cnn/modern?size=16", "--loss", "supcon", "--sampler", "pk?k=4", "--batch", "12"]
QUICK += ["--epochs", "3", "--lr", "0.01", "--set", "loop.precision=fp32", "--no-maps"]
NO_TORCH = "import sys; sys.modules['torch'] = None; sys.modules['lightning_fabric'] = None"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes of ten."""
    folder = tmp_path / "pictures"
    for at, (name, colour) in enumerate({"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 40, 40)}.items()):
        for number in range(10):
            paint(folder / name / f"{name}_{number}.jpg", colour, 100 * at + number)
    return folder


def test_a_folder_becomes_an_encoder_and_its_proof(run: Run, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run("train", "--data", pictures, "-o", out, *QUICK)
    assert said.code == 0, said.err
    assert "test->train: 6 queries in 24 pictures" in said.out
    assert f"nearsight index FOLDER --encoder {out / 'encoder'}" in said.out
    assert said.err.count("epoch ") == 3
    for name in ("before", "after"):
        reports = [Report.from_json(json.dumps(one)) for one in json.loads((out / f"{name}.json").read_text())]
        assert [report.card.protocol for report in reports] == ["test->train", "test-loo"]
    page = (out / "report.html").read_text()
    assert "<script" not in page
    assert "supcon" in page
    assert len((out / "history.jsonl").read_text().splitlines()) == 3
    told = json.loads((out / "encoder" / "training.json").read_text())
    assert set(told["after"]) == {"test->train", "test-loo"}
    assert len(told["facts"]["data sha256"]) == 64
    assert (out / "encoder" / "recipe.toml").read_text() == (out / "recipe.toml").read_text()
    assert Encoder.load(out / "encoder").spec.fingerprint == reports[0].card.encoder


def test_a_folder_may_be_called_anything(run: Run, pictures: Path, tmp_path: Path) -> None:
    odd = pictures.rename(tmp_path / "me@home what? a=b&c é")
    said = run("train", "--data", odd, "-o", tmp_path / "out", *QUICK)
    assert said.code == 0, said.err
    assert "6 queries in 24 pictures" in said.out


def test_the_encoder_needs_no_torch(run: Run, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("train", "--data", pictures, "-o", out, *QUICK).code == 0
    for arguments in (
        ["index", pictures, "--encoder", out / "encoder"],
        ["search", "-c", pictures, pictures / "red" / "red_3.jpg", "-k", "3", "-f"],
        ["eval", pictures],
        ["show", out / "encoder"],
    ):
        process = spawn(*arguments, code=NO_TORCH)
        said, wrong = process.communicate(timeout=120)
        assert process.returncode == 0, wrong.decode()
        if arguments[0] == "search":
            assert all(b"/red_" in line for line in said.splitlines()), "it has learned what red is"


def test_the_same_command_goes_on_and_does_nothing_twice(run: Run, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["train", "--data", pictures, "-o", out, *QUICK]
    assert run(*command).code == 0
    encoder = Encoder.load(out / "encoder").spec.fingerprint
    again = run(*command)
    assert again.code == 0
    assert "epoch " not in again.err
    assert len((out / "history.jsonl").read_text().splitlines()) == 3
    assert Encoder.load(out / "encoder").spec.fingerprint == encoder
    other = run(*command, "--seed", "1")
    assert other.code == 1
    assert "training/other-" in other.err
    assert "--fresh" in other.err
    assert "seed = 0" in (out / "recipe.toml").read_text(), "what lies there is not overwritten"
    assert run(*command, "--seed", "1", "--fresh").code == 0
    assert Encoder.load(out / "encoder").spec.fingerprint != encoder


def test_training_goes_on_from_an_encoder_folder(run: Run, pictures: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert run("train", "--data", pictures, "-o", one, *QUICK).code == 0
    said = run("train", "--data", pictures, "-o", two, *QUICK[2:], "--tower", one / "encoder", "--epochs", "1")
    assert said.code == 0, said.err
    after, before = (
        json.loads((folder / f"{name}.json").read_text()) for folder, name in ((one, "after"), (two, "before"))
    )
    assert after[0]["measures"] == before[0]["measures"], "what it was after is what it is before"


@pytest.mark.slow
def test_ctrl_c_saves_and_the_same_command_goes_on(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    long = ["train", "--data", pictures, "-o", out, *QUICK, "--epochs", "2000", "--set", "loop.checkpoint_s=3600"]
    process = spawn(*long)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(b"epoch    3"):
            process.send_signal(signal.SIGINT)
            break
    _, wrong = process.communicate(timeout=120)
    assert process.returncode == 130, wrong.decode()
    assert (out / "checkpoint" / "manifest.json").exists()
    assert not (out / "encoder").exists()
    place = json.loads((out / "checkpoint" / "manifest.json").read_text())["meta"]["place"]
    assert place[0] >= 3


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        ("nothing", "recipe/data"), ("empty folder", "dataset/layout"), ("one class", "dataset/one-class"),
        ("classes of one", "dataset/alone"), ("no files", "dataset/"), ("unknown setting", "settings/unknown"),
        ("colour", "encoder/untrainable"), ("unknown loss", "name/unknown"), ("missing", "name/unknown"),
    ],
)  # fmt: skip
def test_bad_input_is_told_with_its_repair(break_it: str, code: str, run: Run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    count = {"one class": (1, 6), "classes of one": (4, 1)}.get(break_it, (3, 6))
    for label in range(count[0]):
        for number in range(count[1]):
            paint(data / f"class{label}" / f"{number}.jpg", (90 * label, 60, 60), 10 * label + number)
    arguments = ["--data", data]
    if break_it == "nothing":
        arguments = []
    if break_it == "empty folder":
        arguments = ["--data", tmp_path / "empty"]
        (tmp_path / "empty").mkdir()
    if break_it == "missing":
        arguments = ["--data", "no_such_set"]
    if break_it == "no files":
        table = tmp_path / "table.csv"
        table.write_text("path,label\nnone1.jpg,a\nnone2.jpg,a\nnone3.jpg,b\nnone4.jpg,b\n")
        arguments = ["--data", table]
    extra = {
        "unknown setting": ["--set", "loop.epoch=3"], "colour": ["--tower", "colour"],
        "unknown loss": ["--loss", "tripled"],
    }.get(break_it, [])  # fmt: skip
    said = run("train", *arguments, "-o", tmp_path / "out", *QUICK, *extra)
    assert said.code == 1
    assert f"[{code}" in said.err
    assert "repair:" in said.err
    assert not (tmp_path / "out" / "encoder").exists()


def test_a_class_of_one_picture_trains_and_is_named(run: Run, pictures: Path, tmp_path: Path) -> None:
    paint(pictures / "lone" / "lone.jpg", (200, 200, 20), 7)
    (pictures / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of a picture")
    said = run("train", "--data", pictures, "-o", tmp_path / "out", *QUICK)
    assert said.code == 0, said.err
    assert "lone.jpg" in said.err
    assert "broken.jpg" in said.err


@pytest.mark.parametrize(
    ("columns", "flags", "code", "repair"),
    [
        ("path,caption", ["--words", "fasttext"], "dataset/split", "column `split`"),
        ("path,caption,split", ["--words", "fastext"], "name/unknown", "fasttext"),
        ("path,caption,split", ["--words", "fasttext", "--head", "mlp"], "recipe/kind", "pictures.head"),
        ("path,caption,split", [], "dataset/unlabelled", "--words"),
    ],
)
def test_what_captions_lack_is_told_with_its_repair(
    columns: str, flags: list[str], code: str, repair: str, run: Run, pictures: Path, tmp_path: Path
) -> None:
    table = tmp_path / "captions.csv"
    rows = [f"{file},what {file.stem} shows,train"[: None if "split" in columns else -len(",train")]
            for file in sorted(pictures.rglob("*.jpg"))]  # fmt: skip
    table.write_text("\n".join([columns, *rows]) + "\n")
    said = run("train", "--data", table, "--tower", "small_cnn/modern?size=32", "-o", tmp_path / "out", *flags)
    assert (said.code, f"[{code}]" in said.err) == (1, True), said.err
    assert repair in " ".join(said.err.split())
