"""Random changes of pictures: what each option does, and that nothing else happens."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import InputError
from nearsight.encode.preprocess import Preprocess
from nearsight.learn.augment import Augment

NONE = {"scale": 1.0, "flip": 0.0}
SQUARE = Preprocess(size=32, resize=32, fit="squash", interpolation="bilinear")
WAYS = (SQUARE, Preprocess(size=32, resize=40), Preprocess(size=32, resize=40, channels="bgr"))


def drawn(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture(width: int = 64, height: int = 64) -> Image.Image:
    noise = drawn(width * height).integers(60, 196, (6, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BILINEAR)


def places(width: int, height: int) -> Image.Image:
    """Red says how far right a pixel is, green how far down, 0 to 255."""
    red, green = np.linspace(0, 255, width), np.linspace(0, 255, height)
    pixels = np.zeros((height, width, 3))
    pixels[..., 0], pixels[..., 1] = red[None, :], green[:, None]
    return Image.fromarray(pixels.round().astype(np.uint8))


def sides(pixels: np.ndarray) -> tuple[float, float]:
    """Shares of the width and the height of `places` that are shown."""
    span = pixels.astype(float).mean(axis=0)[:, 0], pixels.astype(float).mean(axis=1)[:, 1]
    wide, tall = (abs(line[-4] - line[3]) / 255 * len(line) / (len(line) - 7) for line in span)
    return float(wide), float(tall)


@pytest.mark.parametrize("preprocess", WAYS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_without_augmentation_it_is_the_preprocessing(preprocess: Preprocess, mode: str) -> None:
    shown = picture(70, 50).convert(mode)
    assert np.array_equal(Augment(**NONE)(shown, preprocess, drawn()), preprocess(shown))


@pytest.mark.parametrize("preprocess", WAYS, ids=str)
def test_the_draw_decides_alone(preprocess: Preprocess) -> None:
    augment = Augment(scale=0.3, jitter=0.4, grey=0.3, erase=0.5)
    one, again, other = (augment(picture(), preprocess, drawn(seed)) for seed in (1, 1, 2))
    assert one.shape == (32, 32, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("scale", [0.1, 0.5, 0.9])
def test_a_crop_keeps_its_share_and_its_proportions(scale: float) -> None:
    augment, draw = Augment(scale=scale, ratio=4 / 3, flip=0), drawn()
    found = np.array([sides(augment(places(256, 256), SQUARE, draw)) for _ in range(200)])
    areas, ratios = found.prod(axis=1), found[:, 0] / found[:, 1]
    assert scale - 0.03 <= areas.min() < scale + 0.1 * (1 - scale) + 0.03
    assert areas.max() > 1 - 0.3 * (1 - scale)
    assert 0.7 < ratios.min() < 0.99
    assert 1.01 < ratios.max() < 1.4
    assert np.abs(np.log(ratios).mean()) < 0.04


def test_crops_lie_everywhere() -> None:
    augment, draw = Augment(scale=0.1, flip=0), drawn()
    corners = [augment(places(256, 256), SQUARE, draw)[0, 0, :2] for _ in range(100)]
    far = np.max(corners, axis=0)
    assert (far > 120).all()
    assert (np.min(corners, axis=0) < 20).all()
    assert abs(np.corrcoef(np.transpose(corners))[0, 1]) < 0.6


def test_ratio_1_shows_what_is_wide_undistorted_or_as_the_preprocessing_squashes_it() -> None:
    wide = places(300, 150)
    augment, draw = Augment(scale=0.1, ratio=1, flip=0), drawn()
    squashed, cropped = (
        np.array([sides(augment(wide, Preprocess(32, 32, fit=fit), draw)) for _ in range(20)])
        for fit in ("squash", "crop")
    )
    assert np.abs(squashed[:, 0] / squashed[:, 1] - 1).max() < 0.1
    assert np.abs(cropped[:, 0] / cropped[:, 1] - 0.5).max() < 0.1


@pytest.mark.parametrize("size", [(400, 3), (3, 400), (1, 1)], ids=str)
def test_where_no_crop_fits_the_largest_is_taken(size: tuple[int, int]) -> None:
    draw = drawn()
    for _ in range(20):
        assert Augment(scale=0.8)(picture(*size), WAYS[1], draw).shape == (32, 32, 3)


def test_mirrored_as_often_as_asked() -> None:
    plain = SQUARE(picture())
    augment, draw = Augment(scale=1, flip=0.25), drawn()
    seen = [augment(picture(), SQUARE, draw) for _ in range(200)]
    mirrored = sum(np.array_equal(one, plain[:, ::-1]) for one in seen)
    assert 30 < mirrored < 70
    assert mirrored + sum(np.array_equal(one, plain) for one in seen) == 200


@pytest.mark.parametrize("preprocess", WAYS, ids=str)
def test_grey_is_the_grey_of_pillow(preprocess: Preprocess) -> None:
    found = Augment(**NONE, grey=1)(picture(), preprocess, drawn())
    rgb = preprocess(picture())[..., ::-1] if preprocess.channels == "bgr" else preprocess(picture())
    grey = np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).convert("L"))
    assert np.abs(found.astype(int) - grey[..., None].astype(int)).max() <= 1


def test_jitter_changes_brightness_contrast_and_saturation_each_within_its_bounds() -> None:
    plain = SQUARE(picture()).astype(float)
    augment, draw = Augment(**NONE, jitter=0.2), drawn()
    luma = np.array([0.299, 0.587, 0.114])
    factors = []
    for _ in range(100):
        found = augment(picture(), SQUARE, draw).astype(float)
        before, after = plain @ luma, found @ luma
        bright = after.mean() / before.mean()
        contrast = after.std() / before.std() / bright
        saturation = (found - after[..., None]).std() / (plain - before[..., None]).std() / bright / contrast
        factors.append((bright, contrast, saturation))
    low, high = np.min(factors, axis=0), np.max(factors, axis=0)
    assert (low > 0.78).all()
    assert (low < 0.84).all()
    assert (high < 1.22).all()
    assert (high > 1.16).all()
    assert (np.abs(np.corrcoef(np.transpose(factors)) - np.eye(3)) < 0.35).all()  # each by its own factor


def test_erased_is_one_rectangle_of_the_mean_colour() -> None:
    plain = SQUARE(picture())
    augment, draw, shares = Augment(**NONE, erase=1), drawn(), []
    for _ in range(100):
        found = augment(picture(), SQUARE, draw)
        covered = (found == plain.reshape(-1, 3).mean(axis=0).round()).all(axis=2)
        assert np.array_equal(found[~covered], plain[~covered])
        down, right = (np.flatnonzero(covered.any(axis=axis)) for axis in (1, 0))
        assert covered[down[0] : down[-1] + 1, right[0] : right[-1] + 1].mean() == 1
        shares.append(covered.mean())
    assert 0.01 < min(shares) < 0.05
    assert 0.2 < max(shares) < 0.28


def test_the_picture_given_stays_as_it_was() -> None:
    shown = picture(32, 32)
    before = shown.tobytes()
    Augment(**NONE, erase=1)(shown, SQUARE, drawn())
    assert shown.tobytes() == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 0},
        {"scale": 1.1},
        {"scale": float("nan")},
        {"ratio": 0.9},
        {"ratio": float("inf")},
        {"flip": -0.1},
        {"jitter": 1},
        {"grey": 2},
        {"erase": -1},
    ],
    ids=str,
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))) as caught:
        Augment(**wrong)
    assert caught.value.code == "recipe/augment"
    assert caught.value.hint
