"""How large a picture is, from its head alone, as it is shown."""

from __future__ import annotations

import io

import pytest
from PIL import Image, PngImagePlugin

from nearsight.core.errors import PictureError
from nearsight.data.images import Limits, decode, dimensions


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF"])
def test_as_decoded(form: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (70, 40), (10, 90, 200)).save(file, form)
    assert dimensions(file.getvalue()) == decode(file.getvalue()).size == (70, 40)


def test_heic() -> None:
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(Image.new("RGB", (70, 40), (10, 90, 200))).save(file)
    assert dimensions(file.getvalue()) == decode(file.getvalue()).size == (70, 40)


@pytest.mark.parametrize("turn", range(1, 9))
def test_upright(turn: int) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.new("RGB", (70, 40)).save(file, "JPEG", exif=exif)
    assert dimensions(file.getvalue()) == decode(file.getvalue()).size == ((70, 40) if turn < 5 else (40, 70))


def test_a_jpeg_that_is_decoded_smaller_is_as_large_as_it_is() -> None:
    file = io.BytesIO()
    Image.new("RGB", (1600, 900)).save(file, "JPEG")
    assert decode(file.getvalue(), side=32).width < 1600
    assert dimensions(file.getvalue()) == (1600, 900)


def test_the_pixels_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    Image.new("RGB", (400, 300)).save(file, "PNG")

    def load(self: Image.Image) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    assert dimensions(file.getvalue()) == (400, 300)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"%PDF-1.4 and more of it", "not-a-picture"), (b"\xff\xd8\xff", "damaged")]
)
def test_what_is_none_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(PictureError) as caught:
        dimensions(content)
    assert caught.value.reason in (reason, "truncated")


def test_limits_hold() -> None:
    file = io.BytesIO()
    Image.new("RGB", (300, 300)).save(file, "PNG")
    with pytest.raises(PictureError) as caught:
        dimensions(file.getvalue(), limits=Limits(max_pixels=1000))
    assert caught.value.reason == "too-many-pixels"
