"""Files for the tests of `nearsight.data.images`, built by hand where no library writes such a thing."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import PictureError

RGB_FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"]


def gradient(width: int = 48, height: int = 32) -> Image.Image:
    """Every corner another colour, so that no turn goes unseen."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    if form == "HEIF":
        import pillow_heif

        out = io.BytesIO()
        pillow_heif.from_pillow(picture).save(out, **options)
        return out.getvalue()
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, depth: int, colours: int, rows: bytes, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    )


def tiff(*entries: tuple[int, int, int, int], pixels: bytes = b"\x80" * 16, following: int = 0) -> bytes:
    """A little-endian TIFF: 8 bytes of header, pixels, one directory of (tag, type, count, value)."""
    start = 8 + len(pixels)
    directory = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return (
        b"II*\0"
        + struct.pack("<I", start)
        + pixels
        + struct.pack("<H", len(entries))
        + directory
        + struct.pack("<I", following)
    )


def plain_tiff(width: int = 4, height: int = 4, **tags: int) -> list[tuple[int, int, int, int]]:
    """Entries of an uncompressed grey TIFF whose one strip is at byte 8."""
    return [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, width * height)),
    ]


def exif(orientation: int) -> bytes:
    return b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(">HH", orientation, 0) + b"\0" * 4


def reason(call: Callable[[], object]) -> str:
    """Why a call is refused."""
    with pytest.raises(PictureError) as caught:
        call()
    assert caught.value.code.startswith("picture/")
    return caught.value.reason


def outcome(call: Callable[[], object]) -> object:
    """What a call gives, or why it is refused; any other error is the test's failure."""
    try:
        return call()
    except PictureError as error:
        return error.reason


def pixels(picture: Image.Image) -> np.ndarray:
    assert picture.mode == "RGB"
    return np.asarray(picture).astype(int)
