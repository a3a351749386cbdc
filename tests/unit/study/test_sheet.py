from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFont

from nearsight.study.pages import sheet as drawing
from nearsight.study.pages.sheet import Cell, contact_sheet, fit, thumbnail, written


def cell(right: bool | None = None, caption: str = "coast / 12.jpg") -> Cell:
    return Cell(Image.new("RGB", (64, 48), (90, 120, 150)), caption, 0.5, right)


def frame(image: Image.Image, number: int, columns: int, side: int) -> tuple[int, ...]:
    """The colour of the left frame of a cell."""
    pixels = np.asarray(image)
    pitch = side + 2 * drawing._FRAME + drawing._GAP
    x = drawing._GAP + number % columns * pitch + 2
    rows = np.flatnonzero(
        (pixels[:, x] != drawing._PAPER).all(axis=1) & (np.ptp(pixels[:, x].astype(int), axis=1) >= 0)
    )
    starts = [row for row in rows if row - 1 not in set(rows.tolist())]
    return tuple(pixels[starts[0] + side // 2, x].tolist())


def test_query_first_then_right_and_wrong_framed() -> None:
    image = contact_sheet([cell()], [cell(True), cell(False), cell(None)], columns=4, side=100)
    assert [frame(image, n, 4, 100) for n in range(4)] == [
        drawing._QUERY,
        drawing._RIGHT,
        drawing._WRONG,
        drawing._PLAIN,
    ]


def test_right_and_wrong_differ_without_colour() -> None:
    good, bad = (np.asarray(contact_sheet([], [cell(right)], side=100).convert("L")) for right in (True, False))
    tab = (slice(drawing._GAP, drawing._GAP + 20), slice(-drawing._GAP - 20, -drawing._GAP))
    assert ((good[tab] > 200) != (bad[tab] > 200)).sum() > 30


def test_rows_are_filled_and_several_queries_stand_first() -> None:
    one = contact_sheet([cell(), cell()], [cell(True)] * 6, columns=4, side=80)
    two = contact_sheet([cell(), cell()], [cell(True)] * 7, columns=4, side=80)
    assert one.width == two.width
    assert two.height > one.height
    assert frame(one, 1, 4, 80) == drawing._QUERY


def test_long_and_odd_captions_fit() -> None:
    font = ImageFont.load_default(14)
    for text in ("x" * 500, "a\nb\x00c\udce9", "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", ""):
        assert font.getlength(fit(text, font, 120)) <= 120
    assert fit("folder/with/a/long/name/picture.jpg", font, 150).startswith("folder")
    assert fit("folder/with/a/long/name/picture.jpg", font, 150).endswith(".jpg")
    assert fit("short", font, 150) == "short"
    contact_sheet([cell(caption="a\nb\x00c\udce9")], [], title="t" * 900, side=60)


def test_a_picture_that_is_gone_and_extreme_shapes() -> None:
    assert thumbnail(None, 90).size == (90, 90)
    for size in ((1, 1), (2000, 3), (3, 2000)):
        assert thumbnail(Image.new("RGB", size), 90).size == (90, 90)
    whole = np.asarray(thumbnail(Image.new("RGB", (100, 50), (255, 0, 0)), 100))
    assert tuple(whole[50, 50]) == (255, 0, 0)
    assert tuple(whole[5, 50]) == drawing._PAPER  # never cropped


def test_words_stand_in_a_querys_place() -> None:
    plain = np.asarray(contact_sheet([Cell(None, "", words="two dogs")], [], side=100))
    other = np.asarray(contact_sheet([Cell(None, "", words="two cats")], [], side=100))
    nothing = np.asarray(contact_sheet([Cell(None, "")], [], side=100))
    assert plain.shape == other.shape == nothing.shape
    assert (plain != other).any()
    assert (plain != nothing).any()


@pytest.mark.parametrize("words", ["a", "word " * 10_000, "x" * 5000, "собака 犬 🐕", "a\x00\n\udce9b", " ", "w " * 61])
@pytest.mark.parametrize("side", [40, 200])
def test_words_of_any_length_stay_inside(words: str, side: int) -> None:
    paper = np.asarray(written(words, side)).astype(int)
    ink = np.argwhere(np.abs(paper - drawing._PAPER).sum(axis=2) > 60)
    assert paper.shape == (side, side, 3)
    if words.strip():
        edge = side // 16 - 2
        assert ink.min() >= edge - 2
        assert ink.max() <= side - edge + 1
