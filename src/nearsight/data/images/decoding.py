"""Bytes -> a picture, or a named refusal. Identified by content, checked before pixels take memory, made RGB."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, TypeVar

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from nearsight.core.errors import PictureError
from nearsight.data.images import containers
from nearsight.data.images.colours import to_rgb
from nearsight.data.images.containers import MAX_PROFILE, Bare, orientation
from nearsight.data.images.identify import HEAD, READ, identify
from nearsight.data.images.limits import Limits, refusal
from nearsight.data.images.tiff import tiff

_T = TypeVar("_T")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, *, limits: Limits = Limits(), side: int = 0) -> Image.Image:  # noqa: B008 (frozen)
    """A picture file's content -> RGB, 8 bits a channel, sRGB, upright, first frame, transparency on white.

    With ``side`` > 0 a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, never so far that its shorter side falls
    below ``2 * side``: much faster, and enough for whoever shrinks it to ``side``.

    Thread-safe; changes none of Pillow's settings and issues no warnings. Raises PictureError and nothing else; its
    ``reason`` is one of `nearsight.data.images.REASONS`.
    """
    return decode_sized(data, limits=limits, side=side)[0]


def decode_sized(
    data: bytes,
    *,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    side: int = 0,
) -> tuple[Image.Image, tuple[int, int]]:
    """As `decode`, with the width and height that the upright picture has at its full size."""
    return _guarded(data, limits, lambda form: _decode(form, data, limits, side))


def dimensions(data: bytes, *, limits: Limits = Limits()) -> tuple[int, int]:  # noqa: B008 (frozen)
    """Width and height of a picture file in pixels, as it is shown, upright. Its pixels are not decoded.

    Raises PictureError as `decode` does, as far as the head of the file tells.
    """
    return _guarded(data, limits, lambda form: _dimensions(form, data, limits))


def _guarded(data: bytes, limits: Limits, work: Callable[[str], _T]) -> _T:
    """What `work` makes of the format that the content shows; whatever it raises becomes a PictureError."""
    if len(data) > limits.max_bytes:
        raise refusal("too-many-bytes", f"{len(data):,}; at most {limits.max_bytes:,}")
    try:
        form = identify(data[:HEAD])
        if form is None:
            raise refusal("not-a-picture" if data else "empty")
        if form not in READ:
            raise refusal("format", form)
        return work(form)
    except PictureError:
        raise
    except MemoryError as error:
        raise refusal("memory") from error
    except Image.DecompressionBombError as error:
        raise refusal("too-many-pixels", str(error)) from error
    except Exception as error:  # decoders raise whatever comes to their mind
        words = str(error)
        raise refusal("truncated" if "truncated" in words.lower() else "damaged", words) from error


def _decode(form: str, data: bytes, limits: Limits, side: int) -> tuple[Image.Image, tuple[int, int]]:
    if form == "HEIF":
        found = _heif(data, limits)
        picture: Image.Image = found.to_pillow()
        bare, size = Bare(b"", 1, _profile(found)), picture.size
    else:
        picture, bare = _open(form, data, limits)
        size = picture.size
        if side > 0 and min(size) >= 4 * side:
            picture.draft(None, (2 * side, 2 * side))
        picture.load()
    rgb = to_rgb(picture, bare.profile)
    if bare.turn in _TURNS:
        rgb = rgb.transpose(_TURNS[bare.turn])
    # The same pixels without the reader behind them, which may hold the file and a decoder's memory.
    plain = rgb._new(rgb.im)
    plain.info.clear()
    return plain, _upright(size, bare)


def _dimensions(form: str, data: bytes, limits: Limits) -> tuple[int, int]:
    if form == "HEIF":
        width, height = _heif(data, limits).size
        return width, height
    picture, bare = _open(form, data, limits)
    return _upright(picture.size, bare)


def _upright(size: tuple[int, int], bare: Bare) -> tuple[int, int]:
    return size if bare.turn < 5 else size[::-1]


class _Whole(io.BytesIO):
    """A file whose end is an error.

    A host program may have set Pillow's LOAD_TRUNCATED_IMAGES for all threads: missing rows would be painted grey.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        if not found and size:
            raise refusal("truncated")
        return found


class _Tiff(TiffImagePlugin.TiffImageFile):
    """Without Pillow's own check of the size, which warns: ours was before."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.new(self.mode, self.size).im
        super().load_prepare()


def _open(form: str, data: bytes, limits: Limits) -> tuple[Image.Image, Bare]:
    """The picture, its pixels not loaded yet, and what came with it.

    The plugins are called by name: `Image.open` would try others, and warns of sizes that the limits allow.
    """
    picture: Image.Image
    match form:
        case "JPEG":
            bare = containers.jpeg(data)
            picture = JpegImagePlugin.JpegImageFile(_Whole(bare.data))
        case "PNG":
            bare = containers.png(data)
            picture = PngImagePlugin.PngImageFile(io.BytesIO(bare.data))
        case "GIF":
            bare = containers.gif(data)
            picture = GifImagePlugin.GifImageFile(io.BytesIO(bare.data))
        case "TIFF":
            bare = tiff(data, limits)
            picture = _Tiff(io.BytesIO(bare.data))
        case "BMP":
            bare = Bare(data)
            picture = BmpImagePlugin.BmpImageFile(_Whole(data))
        case "WEBP":
            limits.check(*containers.webp_size(data), costly=True)
            picture = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
            bare = Bare(b"", orientation(picture.info.get("exif", b"")), _profile(picture))
        case _:
            picture = AvifImagePlugin.AvifImageFile(io.BytesIO(containers.boxes(data)))
            bare = Bare(b"", orientation(picture.info.get("exif", b"")), _profile(picture))
    limits.check(*picture.size, costly=form in ("WEBP", "AVIF"))
    return picture, bare


def _profile(picture: Image.Image) -> bytes:
    profile = picture.info.get("icc_profile") or b""
    return profile if len(profile) <= MAX_PROFILE else b""


def _heif(data: bytes, limits: Limits) -> Any:
    """HEIC by pillow-heif, called directly: registering it would change Pillow for the whole program."""
    try:
        import pillow_heif
    except ImportError as error:
        raise refusal("needs-heif") from error
    found = pillow_heif.open_heif(containers.boxes(data))
    limits.check(*found.size, costly=True)
    return found


def thumbnail(picture: Image.Image, side: int = 256) -> Image.Image:
    """A copy whose longer side is at most ``side`` pixels, never enlarged."""
    scale = min(1.0, side / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
