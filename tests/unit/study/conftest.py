"""Fixtures: drawn scenes with captions, and a recipe that learns from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearsight.learn.recipe import PairRecipe
from unit.study.crossmodal_data import Rows, drawn_rows, recipe_of, word_file, written


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rows, Path, Path]:
    """Rows, their table and the file of their words; nobody may change these files."""
    folder = tmp_path_factory.mktemp("scenes")
    rows = drawn_rows(folder)
    return rows, written(rows, folder / "scenes.csv"), word_file(rows, folder / "words.txt")


@pytest.fixture
def recipe(scenes: tuple[Rows, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PairRecipe:
    """Of all scenes; features are kept in a folder of the test's own."""
    monkeypatch.setenv("NEARSIGHT_CACHE", str(tmp_path / "cache"))
    return recipe_of(*scenes[1:])
