"""``nearsight train`` on a table of captions: an encoder that finds pictures by words, without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.command import Ran, spawn
from unit.study.crossmodal_data import TOWER, drawn_rows, word_file, written

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytestmark = pytest.mark.torch
Run = Callable[..., Ran]
NO_TORCH = "import sys; sys.modules['torch'] = None; sys.modules['lightning_fabric'] = None"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A training of seconds; its table has a caption that is empty, and a row without a picture."""
    monkeypatch.setenv("NEARSIGHT_CACHE", str(tmp_path / "cache"))
    rows = drawn_rows(tmp_path)
    rows[0]["caption"] = rows[1]["caption"] = "  "
    rows.append({"path": "gone.jpg", "caption": "a street", "split": "train"})
    table = written(rows, tmp_path / "t.csv")
    words = word_file(rows, tmp_path / "w.txt", more=["broken 1 2"])
    return ["train", "--data", table, "--words", f"vectors/{words}", "--tower", TOWER, "-o", tmp_path / "out",
            "--batch", "32", "--epochs", "2", "--set", "dim=8", "--set", "loop.precision=fp32",
            "--device", "cpu"]  # fmt: skip


def test_captions_become_a_search_by_words(run: Run, command: list[object], tmp_path: Path) -> None:
    said = run(*command)
    assert said.code == 0, said.err
    assert "rSum" in said.out
    assert said.err.count("epoch ") == 2
    for told in ("4 left out", "dataset/empty-caption", "dataset/missing-picture", "words/numbers: ", "w.txt:"):
        assert told in said.err, "what is left out is named and counted"
    out = tmp_path / "out"
    assert str(out / "report.html") in said.out
    pictures = next(tmp_path.glob("drawn-*"))
    for arguments in (
        ["index", pictures, "--encoder", out / "encoder"],
        ["search", "a street by day", "-c", pictures, "-k", "3", "-f"],
    ):
        process = spawn(*arguments, code=NO_TORCH)
        told, wrong = process.communicate(timeout=120)
        assert process.returncode == 0, wrong.decode()
    assert len(told.splitlines()) == 3


def test_options_of_the_other_kind_are_refused(run: Run, command: list[object], tmp_path: Path) -> None:
    for extra, code in ((["--head", "linear"], "recipe/kind"), (["--set", "data.validation="], "recipe/value"),
                        (["--set", "data.test=testing"], "dataset/split")):  # fmt: skip
        said = run(*command, *extra)
        assert said.code != 0
        assert code in said.err
    assert not (tmp_path / "out" / "checkpoint").exists()
