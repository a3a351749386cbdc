"""``nearsight reproduce`` for tables of pictures and words and the waterfall, made tiny."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.command import Ran
from unit.study.crossmodal_data import drawn_rows, quick, recipe_of, word_file, written

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytestmark = pytest.mark.torch
Run = Callable[..., Ran]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options that make every table small."""
    monkeypatch.setenv("NEARSIGHT_CACHE", str(tmp_path / "cache"))
    rows = drawn_rows(tmp_path)
    rows[0]["caption"] = "qwxz"
    recipe = recipe_of(written(rows, tmp_path / "t.csv"), word_file(rows[1:], tmp_path / "w.txt"))
    return ["--device", "cpu", *(part for one in quick(recipe) for part in ("--set", one))]


def test_a_table_of_pictures_and_words(run: Run, tiny: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run("reproduce", "table2", "-o", out, "--sizes", "8,256,8", "--seeds", "2", *tiny)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].split()[:4] == ["row", "size", "published", "acc"]
    assert [line.split()[0] for line in lines[1:7]] == ["as", "as", "ours,", "ours,", "ours,", "ours,"]
    assert "0.146 / 0.163  0.103" in said.out
    assert "Changed for all rows: data.source=table" in said.out
    assert all(len(line) <= 100 for line in lines[7:]), "notes are wrapped"
    assert said.err.count("epoch 1 of 1") == 10
    assert "modern/words, size 256, seed 1: " in said.err
    assert "text/empty" in said.err
    body = json.loads((out / "table2.json").read_text())
    assert len(body["rows"]) == 6
    assert "table2" in (out / "table2.html").read_text()
    again = run("reproduce", "table2", "-o", out, "--sizes", "256,8", "--seeds", "2", *tiny)
    assert again.out == said.out
    assert "epoch" not in again.err


def test_the_waterfall(run: Run, tiny: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run("reproduce", "waterfall", "-o", out, "--seeds", "1", *tiny, "--set", "dim=8")
    assert said.code == 0, said.err
    assert said.out.startswith("with all above")
    assert "the report's recipe" in said.out
    assert "hubness correction" in said.out
    assert json.loads((out / "waterfall.json").read_text())["stages"]
    assert "<svg" in (out / "waterfall.html").read_text()


def test_what_fails_is_told(run: Run, tiny: list[str], tmp_path: Path) -> None:
    said = run("reproduce", "table3", "-o", tmp_path / "o", "--sizes", "8", *tiny, "--set", "loop.lr=1e30",
               "--set", "loop.epochs=3")  # fmt: skip
    assert said.code == 0, said.err
    assert "failed" in said.out
    assert "doctor: ours, both ways, 8: seed 0: " in said.out


@pytest.mark.parametrize(
    ("arguments", "code", "repair"),
    [
        (["table9"], "name/unknown", "table1, table2, table3, table4, waterfall"),
        (["table2", "--only", "report/siamese"], "name/unknown", "report/vgg_image_to_text, modern/words"),
        (["table1", "--sizes", "256"], "reproduce/option", "leave out --sizes"),
        (["waterfall", "--sizes", "256"], "reproduce/option", "leave out --sizes"),
        (["waterfall", "--only", "modern/words"], "reproduce/option", "leave out --only"),
        (["table2", "--sizes", "big"], "reproduce/option", "--sizes 256,512"),
        (["table2", "--sizes", "0"], "reproduce/option", "--sizes 256,512"),
        (["table2", "--sizes", ","], "reproduce/option", "--sizes 256,512"),
        (["table2", "--set", "loop.epoch=1"], "settings/unknown", "loop.epochs"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(run: Run, tmp_path: Path, arguments: list[str], code: str, repair: str) -> None:
    said = run("reproduce", "-o", tmp_path / "out", *arguments)
    assert said.code != 0
    assert code in said.err
    assert repair in said.err
    assert not (tmp_path / "out").exists()
