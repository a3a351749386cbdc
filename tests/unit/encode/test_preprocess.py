"""Preprocessing as data gives the pixels that the networks' own libraries give."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import InputError
from nearsight.encode.preprocess import Preprocess

PLAIN = Preprocess(size=32, resize=40)


def picture(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(width * height).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [(60, 60), (90, 50), (51, 97), (33, 31), (20, 300), (7, 5)], ids=str)
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_cropping_the_source_is_resizing_everything_and_cropping_then(size: tuple[int, int], method: str) -> None:
    plain = Preprocess(size=32, resize=40, interpolation=method)
    shown = picture(*size)
    width, height = size
    whole = (40, int(40 * height / width)) if width <= height else (int(40 * width / height), 40)
    left, top = (round((side - 32) / 2) for side in whole)
    slow = shown.resize(whole, Image.Resampling[method.upper()]).crop((left, top, left + 32, top + 32))
    assert np.abs(plain(shown).astype(int) - np.asarray(slow).astype(int)).max() <= 1


def test_squash_shows_everything() -> None:
    plain = Preprocess(size=32, resize=32, fit="squash")
    shown = picture(90, 50)
    assert np.array_equal(plain(shown), np.asarray(shown.resize((32, 32), Image.Resampling.BICUBIC)))


def test_channel_order_and_modes() -> None:
    red = Image.new("RGB", (50, 50), (255, 1, 2))
    assert PLAIN(red)[0, 0].tolist() == [255, 1, 2]
    bgr = Preprocess(size=32, resize=40, channels="bgr")(red)
    assert bgr[0, 0].tolist() == [2, 1, 255]
    assert bgr.flags.c_contiguous
    assert PLAIN(Image.new("L", (50, 50), 9)).shape == (32, 32, 3)


def test_a_strip_costs_nothing() -> None:
    start = time.process_time()
    assert PLAIN(Image.new("RGB", (1, 60_000))).shape == (32, 32, 3)
    assert time.process_time() - start < 0.5


def test_facts_come_back() -> None:
    made = Preprocess(size=8, resize=9, fit="squash", mean=(0, 0.5, 1), std=(1, 2, 3), channels="bgr")
    assert Preprocess.of(json.loads(json.dumps(made.facts()))) == made


@pytest.mark.parametrize(
    "wrong",
    [{"size": 50}, {"fit": "stretch"}, {"interpolation": "magic"}, {"std": [0, 1, 1]}, {"mean": [1, 2]},
     {"mean": [float("nan")] * 3}, {"unknown": 1}, {"size": 0}, {"resize": 10**9}, {"mean": "abc"}],
    ids=str,
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong: dict) -> None:
    with pytest.raises(InputError) as caught:
        Preprocess.of({**PLAIN.facts(), **wrong})
    assert caught.value.code == "preprocess"


def test_options_of_an_address() -> None:
    assert PLAIN.changed() == PLAIN
    assert PLAIN.changed(size=64).resize == 80
    assert PLAIN.changed(fit="squash") == Preprocess(size=32, resize=32, fit="squash")
    assert PLAIN.changed(mean="0.5", std="1,2,3").std == (1, 2, 3)
    for wrong in ("a", "1,2", "1,2,3,4"):
        with pytest.raises(InputError):
            PLAIN.changed(mean=wrong)


def require_the_same(plain: Preprocess, transform) -> None:
    """Pillow takes the crop's box as 32-bit floats, so a few pixels in a thousand round to a neighbouring level."""
    for size in ((500, 375), (301, 999)):
        theirs = transform(picture(*size)).numpy().transpose(1, 2, 0)
        levels = np.abs((theirs * plain.std + plain.mean) * 255 - plain(picture(*size)))
        assert levels.max() < 2.01
        assert (levels > 0.5).mean() < 0.01


@pytest.mark.torch
@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2", "efficientnet_b1", "vit_b_16"])
def test_torchvision_s_transform(name: str) -> None:
    torchvision = pytest.importorskip("torchvision")
    from nearsight.encode.encoder import TOWERS

    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    plain = TOWERS.module("torchvision").preset_of(preset)
    require_the_same(plain, preset)


@pytest.mark.torch
@pytest.mark.parametrize(
    "name", ["resnet10t", "vit_tiny_patch16_224", "test_vit", "test_byobnet", "vit_tiny_patch16_384"]
)
def test_timm_s_transform(name: str) -> None:
    timm = pytest.importorskip("timm")
    from nearsight.encode.encoder import TOWERS

    config = timm.data.resolve_data_config(timm.get_pretrained_cfg(name).to_dict())
    plain = TOWERS.module("timm").preprocess_of(config, name)
    require_the_same(plain, timm.data.create_transform(**config))
