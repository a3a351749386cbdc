"""Drawn scenes with captions as a table, word vectors of their words in a file, and a recipe that learns from both."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nearsight.data.datasets import load
from nearsight.learn.recipe import Captioned, Loop, PairRecipe, PictureSide, TextSide

T = TypeVar("T")
SPLITS = {"train": 32, "val": 16, "test": 16}
TOWER = "small_cnn/modern?size=16"
HEAD = "mlp?hidden=12"
Rows = list[dict[str, str]]


def drawn_rows(folder: Path) -> Rows:
    """64 scenes of 32 pixels, each with five captions: a row a caption."""
    items = load("drawn?n=64&size=32", folder).items
    names = [name for name, count in SPLITS.items() for _ in range(count)]
    return [
        {"path": str(item.path), "caption": caption, "split": name}
        for item, name in zip(items, names, strict=True)
        for caption in item.captions
    ]


def written(rows: Rows, file: Path) -> Path:
    """The rows as a table."""
    with file.open("w", newline="", encoding="utf-8") as handle:
        table = csv.DictWriter(handle, ["path", "caption", "split"])
        table.writeheader()
        table.writerows(rows)
    return file


def word_file(rows: Rows, file: Path, *, more: Sequence[str] = ()) -> Path:
    """A vector of eight numbers for every word of the captions, drawn; `more` are lines behind them."""
    words = sorted({word.strip(".,:;!") for row in rows for word in row["caption"].lower().split()})
    draw = np.random.default_rng(0)
    lines = [" ".join([word, *(f"{x:.4f}" for x in draw.standard_normal(8))]) for word in words if word]
    file.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    return file


def recipe_of(table: Path, words: Path, **loop: Any) -> PairRecipe:
    """Two small heads on a small network with random weights."""
    given = {"epochs": 3, "batch": 32, "lr": 0.01, "warmup": 0.0, "precision": "fp32", "select": "best",
             "measure": "rsum", "checkpoint_s": 3600.0, **loop}  # fmt: skip
    return PairRecipe(
        name="scenes",
        dim=8,
        data=Captioned("table", str(table)),
        pictures=PictureSide(TOWER, head=HEAD),
        text=TextSide(f"vectors/{words}", head=HEAD),
        loop=Loop(**given),
    )


def finish(work: Generator[Any, None, T], see: Callable[[Any], object] = lambda event: None) -> T:
    """Run it to its end."""
    while True:
        try:
            see(next(work))
        except StopIteration as end:
            found: T = end.value
            return found


def quick(recipe: PairRecipe) -> list[str]:
    """Assignments that make any recipe for pairs as small as `recipe`, on its data."""
    return [
        f"data.source={recipe.data.source}", f"data.root={recipe.data.root}", f"pictures.tower={TOWER}",
        f"text.words={recipe.text.words}", "loop.epochs=1", "loop.batch=48", "loop.precision=fp32",
    ]  # fmt: skip


def with_data(recipe: PairRecipe, **changes: Any) -> PairRecipe:
    return replace(recipe, data=replace(recipe.data, **changes))
