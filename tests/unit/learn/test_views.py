"""Views for two networks that look at the same thing: any picture will do, if it is the same one again."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import InputError
from nearsight.encode.preprocess import Preprocess
from nearsight.learn.augment import Augment
from nearsight.learn.views import Views, mixed

SHOWN = Preprocess(48, 48, fit="squash", interpolation="bilinear")
PICTURE = Image.fromarray(np.random.default_rng(5).integers(0, 100, (40, 60, 3), dtype=np.uint8))


def seen(views: Views, seed: int) -> np.ndarray:
    return views(PICTURE, SHOWN, np.random.default_rng(seed))


def test_the_same_draw_gives_the_same_view_and_another_one_another() -> None:
    views = Views()
    assert np.array_equal(seen(views, 3), seen(views, 3))
    assert len({seen(views, seed).tobytes() for seed in range(20)}) == 20
    assert seen(views, 3).shape == (48, 48, 3)
    assert seen(views, 3).dtype == np.uint8


def test_without_plain_ground_it_is_the_augmentation() -> None:
    augment = Augment(scale=0.4)
    draw = np.random.default_rng(2)
    draw.random()
    assert np.array_equal(seen(Views(augment, plain=0), 2), augment(PICTURE, SHOWN, draw))


def test_on_plain_ground_a_picture_is_smaller_and_half_the_grounds_are_white() -> None:
    white = 0
    for seed in range(200):
        view = seen(Views(plain=1), seed)
        colours, counts = np.unique(view.reshape(-1, 3), axis=0, return_counts=True)
        ground = colours[counts.argmax()]
        share = counts.max() / 48**2
        assert share > 0.05
        white += bool((ground == 255).all())
    assert 80 < white < 120


@pytest.mark.torch
def test_a_share_of_a_batch_is_mixed_with_the_rest() -> None:
    torch = pytest.importorskip("torch")
    pixels = torch.randint(0, 256, (8, 4, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = mixed(pixels, 0.25, 7)
    assert torch.equal(found, mixed(pixels, 0.25, 7))
    assert found.dtype == torch.uint8
    assert torch.equal(found[2:], pixels[2:])
    for row, other in ((0, 7), (1, 6)):
        low, high = (f(pixels[row].int(), pixels[other].int()) for f in (torch.minimum, torch.maximum))
        assert ((found[row] >= low) & (found[row] <= high)).all()
        assert not torch.equal(found[row], pixels[row])
    assert mixed(pixels, 0, 7) is pixels


@pytest.mark.parametrize("wrong", [{"plain": -0.1}, {"plain": 1.5}, {"mix": 2.0}])
def test_what_is_no_chance_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError) as caught:
        Views(**wrong)
    assert caught.value.code == "recipe/augment"
