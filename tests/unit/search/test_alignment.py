"""Laid over each other: copies are like each other whatever was done to them, other pictures are not."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from nearsight.data.drawing import draw
from nearsight.data.drawing.scene import sample
from nearsight.search.duplicates.alignment import SAME, likeness
from nearsight.search.duplicates.signatures import Signatures, signature, signatures

COUNT = 24


@pytest.fixture(scope="module")
def scenes() -> list[Image.Image]:
    return [draw(sample(2, index), 96) for index in range(COUNT)]


def of(pictures: list[Image.Image]) -> Signatures:
    return signatures(np.concatenate([signature(picture, picture.size, bytes(32)) for picture in pictures]))


def cut(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = picture.size
    return picture.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


@pytest.mark.parametrize(
    "box", [(0, 0, 1, 0.9), (0.1, 0, 1, 1), (0, 0.1, 0.9, 1), (0.1, 0.1, 1, 1), (0.05, 0.05, 0.95, 0.95)]
)
def test_what_is_cut_is_the_same_either_way(scenes: list[Image.Image], box: tuple[float, ...]) -> None:
    whole, parts = of(scenes), of([cut(scene, *box) for scene in scenes])
    assert (likeness(whole, parts) >= SAME).mean() >= 0.95
    assert (likeness(parts, whole) >= SAME).mean() >= 0.95


@pytest.mark.parametrize("change", ["smaller", "squashed", "darker", "itself"])
def test_what_is_resized_or_darkened_is_the_same(scenes: list[Image.Image], change: str) -> None:
    done = {
        "smaller": lambda scene: scene.resize((50, 50)),
        "squashed": lambda scene: scene.resize((96, 60)),
        "darker": lambda scene: cut(ImageEnhance.Brightness(scene).enhance(0.6), 0.1, 0.1, 1, 1),
        "itself": lambda scene: scene,
    }[change]
    found = likeness(of(scenes), of([done(scene) for scene in scenes]))
    assert (found >= SAME).mean() >= (0.9 if change == "darker" else 1)
    if change == "itself":
        np.testing.assert_allclose(found, 1, atol=0.15)


def test_different_pictures_are_not(scenes: list[Image.Image]) -> None:
    one, other = np.triu_indices(COUNT, 1)
    all_of = of(scenes)
    found = likeness(
        Signatures(all_of.luma[one], all_of.chroma[one]), Signatures(all_of.luma[other], all_of.chroma[other])
    )
    assert found.max() < SAME


def test_a_half_is_another_picture_and_so_is_its_mirror(scenes: list[Image.Image]) -> None:
    assert likeness(of(scenes), of([cut(scene, 0.3, 0.3, 1, 1) for scene in scenes])).max() < SAME
    mirrored = [scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for scene in scenes]
    assert np.median(likeness(of(scenes), of(mirrored))) < 0.3


def test_pictures_without_detail_have_no_likeness() -> None:
    plain = [Image.new("RGB", (64, 64), (level, level, level)) for level in (0, 128, 255)]
    slope = [Image.linear_gradient("L").convert("RGB").rotate(turn) for turn in (0, 0, 90)]
    assert likeness(of(plain), of(plain)).max() == 0
    assert likeness(of(slope), of(slope[::-1]))[0] < SAME
    assert np.isfinite(likeness(of(plain), of(slope))).all()


def test_no_pairs() -> None:
    none = Signatures(np.empty((0, 32, 32), np.uint8), np.empty((0, 8, 8, 2), np.uint8))
    assert likeness(none, none).shape == (0,)


def test_each_pair_is_judged_alone(scenes: list[Image.Image]) -> None:
    whole, parts = of(scenes), of([cut(scene, 0.1, 0, 1, 0.9) for scene in scenes])
    together = likeness(whole, parts)
    for at in range(0, COUNT, 7):
        some = slice(at, at + 1)
        alone = likeness(
            Signatures(whole.luma[some], whole.chroma[some]), Signatures(parts.luma[some], parts.chroma[some])
        )
        assert alone[0] == pytest.approx(together[at], abs=1e-3)
