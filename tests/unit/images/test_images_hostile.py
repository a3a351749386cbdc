"""Damaged, disguised and malicious files: a picture or a named refusal, within bounded memory, and nothing else."""

from __future__ import annotations

import gc
import os
import random
import struct
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from image_files import (
    RGB_FORMATS,
    chunk,
    exif,
    gradient,
    noise,
    outcome,
    pixels,
    plain_tiff,
    png,
    reason,
    saved,
    tiff,
)
from PIL import Image, ImageFile

from nearsight.core.errors import InputError, PictureError
from nearsight.data.images import REASONS, Limits, decode, read
from nearsight.data.images.limits import _REPAIRS

ALL_FORMATS = [*RGB_FORMATS, "HEIF"]


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """No warning (the suite makes them errors), no file left open."""
    before = psutil.Process().num_fds()
    yield
    gc.collect()
    assert psutil.Process().num_fds() <= before


def whole(form: str) -> bytes:
    if form == "HEIF":
        pytest.importorskip("pillow_heif")
    return saved(noise(64, 48), form)


def peak(call: Callable[[], object]) -> float:
    """Megabytes that Python and the growth of the process add while calling."""
    process = psutil.Process()
    before = process.memory_info().rss
    tracemalloc.start()
    try:
        outcome(call)
    finally:
        python = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return max(python, process.memory_info().rss - before) / 2**20


def test_0_bytes() -> None:
    assert reason(lambda: decode(b"")) == "empty"


@pytest.mark.parametrize("form", ALL_FORMATS)
def test_truncated_at_every_1_percent(form: str) -> None:
    data = whole(form)
    for percent in range(1, 100):
        cut = data[: len(data) * percent // 100]
        # of a few bytes one cannot even tell what they were
        assert reason(lambda cut=cut: decode(cut)) in (
            {"truncated", "not-a-picture"} if len(cut) < 64 else {"truncated"}
        )


@pytest.mark.parametrize("form", ["JPEG", "BMP", "PNG", "GIF", "TIFF"])
def test_truncated_is_refused_where_the_host_paints_it_grey(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for options in ({}, {"progressive": True} if form == "JPEG" else {}):
        data = saved(noise(64, 48), form, **options)
        for percent in (40, 60, 80, 95):
            cut = data[: len(data) * percent // 100]
            assert reason(lambda cut=cut: decode(cut)) == "truncated"


def test_truncated_progressive_and_reduced() -> None:
    data = saved(noise(400, 300), "JPEG", progressive=True)
    for percent in range(5, 100, 5):
        assert reason(lambda p=percent: decode(data[: len(data) * p // 100], side=40)) == "truncated"


@pytest.mark.parametrize("form", ALL_FORMATS)
def test_random_flips(form: str) -> None:
    data = whole(form)
    chance = random.Random(form)
    refused = 0
    limits = Limits(max_pixels=1 << 22)
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 1, 4, 32))):
            broken[chance.randrange(min(len(data), chance.choice((64, 1024, len(data)))))] = chance.randrange(256)
        found = outcome(lambda broken=broken: decode(bytes(broken), limits=limits))
        if isinstance(found, Image.Image):
            assert found.mode == "RGB"
            assert found.width * found.height <= limits.max_pixels
        else:
            refused += 1
            assert found in REASONS
    assert refused


def test_random_flips_of_tiff_headers_and_kinds() -> None:
    chance = random.Random(1)
    files = [
        saved(noise(20, 20), "TIFF", compression=c) for c in ("raw", "tiff_lzw", "jpeg", "packbits", "tiff_deflate")
    ]
    files.append(saved(noise(20, 20).convert("1"), "TIFF", compression="group4"))
    for data in files:
        spots = [i for i in range(len(data)) if not data[8:].startswith(data[i : i + 40]) or i < 300][:600]
        for _ in range(150):
            broken = bytearray(data)
            for _ in range(chance.choice((1, 2, 8))):
                broken[chance.choice(spots)] = chance.randrange(256)
            found = outcome(lambda broken=broken: decode(bytes(broken), limits=Limits(max_pixels=1 << 20)))
            assert isinstance(found, Image.Image) or found in REASONS


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.txt", "a", "a.exe"])
def test_wrong_extension_goes_by_content(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(saved(gradient(), "WEBP", lossless=True))
    assert (pixels(decode(read(tmp_path / name))) == pixels(gradient())).all()


XXE = b"""<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><text>&x;</text></svg>"""


@pytest.mark.parametrize(
    "content",
    [
        b"hello, world\n" * 10,
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + b"0" * 100,
        b"\x7fELF\x02\x01\x01" + b"\0" * 100,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) (r) file\n",
        b"\xc5\xd0\xd3\xc6" + b"\0" * 100,
        XXE,
        b"PK\x03\x04" + b"\0" * 100,
        b"BMW and other cars, a list of them in a text that begins with two letters",
        b"P6\n10 10\n255\n" + b"\0" * 300,
        b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 60,
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 60,
        b"\0" * 1000,
        b"\xff\xd8",
    ],
    ids=["text", "pdf", "elf", "eps", "eps-dos", "svg-xxe", "zip", "bm-text", "ppm", "wav", "mp4", "zeros", "2-bytes"],
)
def test_what_is_no_picture(tmp_path: Path, content: bytes) -> None:
    assert reason(lambda: decode(content)) == "not-a-picture"
    (tmp_path / "a.jpg").write_bytes(content)
    assert reason(lambda: read(tmp_path / "a.jpg")) == "not-a-picture"


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"8BPS\0\x01", "Photoshop"), (b"\xff\x0a\0\0", "JPEG XL"), (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000")],
)
def test_pictures_of_other_kinds_are_named(content: bytes, name: str) -> None:
    with pytest.raises(PictureError, match=name) as caught:
        decode(content.ljust(100, b"\0"))
    assert caught.value.reason == "format"
    assert caught.value.hint


def test_jpeg_and_html_at_once_is_a_picture() -> None:
    data = saved(gradient(), "JPEG", comment=b"<script>alert(1)</script>") + b"<html><script>alert(2)</script></html>"
    picture = decode(data)
    assert picture.size == (48, 32)
    assert not picture.info


# --- bombs


def test_pixel_bombs_are_refused_from_the_header() -> None:
    bombs = {
        "png": png(65_000, 65_000, 8, 2, b"\0" * 10_000_000),
        "bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
        "gif": b"GIF89a"
        + struct.pack("<HH", 65_000, 65_000)
        + b"\0\0\0"
        + b"\x2c"
        + b"\0" * 4
        + b"\xff\xf0\xff\xf0\0\x02\x01\0\0;",
        "tiff": tiff(*plain_tiff(60_000, 60_000), pixels=b"0" * 16),
        "webp": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\xdf\x2e\0" * 2,
        "jpeg": saved(gradient(), "JPEG").replace(struct.pack(">HH", 32, 48), struct.pack(">HH", 65_000, 65_000)),
    }
    for name, data in bombs.items():
        assert reason(lambda data=data: decode(data)) == "too-many-pixels", name
        assert peak(lambda data=data: decode(data)) < 64, name


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_large_avif_and_heic_are_refused_before_decoding(form: str) -> None:
    data = saved(Image.new("RGB", (512, 512)), form) if form == "AVIF" else whole("HEIF")
    assert reason(lambda: decode(data, limits=Limits(max_pixels=64 * 48 * 2 - 1))) == "too-many-pixels"


def test_tiles_larger_than_their_picture() -> None:
    entries = [e for e in plain_tiff() if e[0] not in (273, 278, 279)]
    tiles = [(322, 4, 1, 60_000), (323, 4, 1, 60_000), (324, 4, 1, 8), (325, 4, 1, 16)]
    assert reason(lambda: decode(tiff(*entries, *tiles))) == "too-many-pixels"


def test_1_by_60000() -> None:
    for form in ("PNG", "JPEG", "BMP", "TIFF"):
        strip = saved(Image.new("RGB", (1, 60_000)), form)
        assert reason(lambda strip=strip: decode(strip)) == "aspect"
        assert decode(strip, limits=Limits(max_aspect=60_000)).size == (1, 60_000)


def test_each_limit_just_kept_and_just_broken() -> None:
    data = saved(gradient(40, 20), "PNG")
    kept = Limits(max_bytes=len(data), max_side=40, max_pixels=800, max_aspect=2)
    assert decode(data, limits=kept).size == (40, 20)
    for broken, why in (
        (Limits(max_bytes=len(data) - 1), "too-many-bytes"),
        (Limits(max_side=39), "too-long-side"),
        (Limits(max_pixels=799), "too-many-pixels"),
        (Limits(max_aspect=1.9), "aspect"),
    ):
        assert reason(lambda broken=broken: decode(data, limits=broken)) == why
    with pytest.raises(InputError):
        Limits(max_side=0)


def test_larger_than_pillows_own_limit_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1200)  # Pillow warns from here and refuses from twice that
    for form in ("JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP", "AVIF"):
        assert decode(saved(gradient(48, 32), form)).size == (48, 32)
    assert decode(saved(gradient(48, 32), "TIFF", compression="tiff_lzw")).size == (48, 32)
    gif = saved(gradient(40, 30).quantize(16), "GIF")
    at = gif.index(b"\x2c\0\0\0\0")
    assert decode(gif[:at] + b"\x2c\x05\0\0\0" + gif[at + 5 :]).size == (45, 30)  # a frame beyond its canvas


def test_png_text_bombs_are_left_aside() -> None:
    bomb = zlib.compress(b"\0" * 50_000_000, 9)
    texts = [
        chunk(b"zTXt", b"Comment\0\0" + bomb),
        chunk(b"iTXt", b"XML\0\x01\0\0\0" + bomb),
        chunk(b"tEXt", b"a\0" + b"b" * 1000),
    ]
    data = png(2, 1, 8, 0, b"\0\x10\x20", *texts, *texts, *texts)
    assert pixels(decode(data))[0, :, 0].tolist() == [0x10, 0x20]
    assert peak(lambda: decode(data)) < 16


def test_png_icc_bomb_is_ignored() -> None:
    data = png(2, 1, 8, 2, b"\0" + bytes(range(6)), chunk(b"iCCP", b"p\0\0" + zlib.compress(b"\0" * 100_000_000, 9)))
    assert pixels(decode(data))[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert peak(lambda: decode(data)) < 40


def test_10000_frames_cost_as_much_as_one() -> None:
    frame = saved(gradient().quantize(16), "GIF")
    body = frame[13 + 48 : -1]
    gif = frame[:-1] + body * 10_000 + b";"
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 1, 2, 1, 0, 0, 1, 10, 0, 0))
    still = png(2, 1, 8, 0, b"\0\x10\x20")
    apng = still[:-12] + (control + chunk(b"fdAT", b"\0\0\0\1x")) * 10_000 + still[-12:]
    apng = apng[:33] + chunk(b"acTL", struct.pack(">II", 10_001, 0)) + apng[33:]
    for data in (gif, apng):
        start = time.process_time()
        decode(data)
        assert time.process_time() - start < 0.5


def test_tiff_loops() -> None:
    itself = tiff(*plain_tiff(), following=24)  # its directory is at 8 + 16
    assert pixels(decode(itself)).max() == 128
    nested = tiff(*plain_tiff(), (330, 4, 1, 24), (34665, 4, 1, 24), following=24)  # sub-directories that are itself
    assert pixels(decode(nested)).max() == 128
    assert reason(lambda: decode(b"II*\0\x08\0\0\0" + b"\xff\xff" * 10)) in ("truncated", "metadata")
    assert reason(lambda: decode(b"II*\0\0\0\0\0" + b"\0" * 100)) == "damaged"


def test_tiff_pixels_beyond_the_end() -> None:
    for replaced in ((273, 4, 1, 1 << 30), (279, 4, 1, 1 << 30)):
        entries = [replaced if e[0] == replaced[0] else e for e in plain_tiff()]
        assert reason(lambda entries=entries: decode(tiff(*entries))) == "truncated"


def test_endless_segments() -> None:
    many = b"\xff\xe5\0\x02" * 250_000
    assert reason(lambda: decode(b"\xff\xd8" + many)) == "metadata"
    assert reason(lambda: decode(b"\x89PNG\r\n\x1a\n" + chunk(b"teXt", b"") * 250_000)) == "metadata"
    assert reason(lambda: decode(b"GIF89a\1\0\1\0\0\0\0" + b"\x21\xfe\0" * 250_000)) == "metadata"


def test_png_checksums_are_verified() -> None:
    data = bytearray(saved(noise(64, 64), "PNG", compress_level=0))  # a flip that no inflating would notice
    data[len(data) // 2] ^= 1
    with pytest.raises(PictureError, match="checksum of IDAT") as caught:
        decode(bytes(data))
    assert caught.value.reason == "damaged"


def test_every_refusal_has_a_sentence_and_repairs_belong_to_reasons() -> None:
    assert set(_REPAIRS) <= set(REASONS)
    for why, sentence in REASONS.items():
        assert why == why.lower()
        assert sentence
        assert not sentence.endswith(".")


def test_whatever_a_decoder_raises_is_a_picture_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from nearsight.data.images import decoding

    data = saved(gradient(), "PNG")
    for error, why in (
        (MemoryError(), "memory"),
        (RecursionError(), "damaged"),
        (Image.DecompressionBombError("x"), "too-many-pixels"),
        (KeyError("mode"), "damaged"),
        (OSError("image file is truncated"), "truncated"),
    ):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(decoding, "_open", fail)
        assert reason(lambda: decode(data)) == why


def test_warnings_of_the_host_stay_as_they_are() -> None:
    before = list(warnings.filters)
    decode(saved(gradient(), "JPEG", exif=exif(6)[:-8]))
    assert list(warnings.filters) == before


def test_memory_comes_back() -> None:
    process = psutil.Process()
    files = [whole(form) for form in RGB_FORMATS]
    broken = [f[: len(f) // 2] for f in files] + [bytes(np.random.default_rng(0).bytes(200))]

    def rounds(n: int) -> None:
        for _ in range(n):
            for data in files:
                decode(data)
            for data in broken:
                with pytest.raises(PictureError):
                    decode(data)

    rounds(10)
    gc.collect()
    before = process.memory_info().rss
    rounds(60)
    gc.collect()
    assert process.memory_info().rss - before < 12 << 20


@pytest.mark.real
def test_real_pictures_equal_plain_pillow() -> None:
    root = Path(os.environ.get("NEARSIGHT_DATA", Path(__file__).parents[4] / "shared" / "data"))
    files = sorted(root.glob("variety/*/**/*.jpg"))[::100]
    if not files:
        pytest.skip(f"no pictures in {root}")
    from nearsight.data.images.containers import jpeg

    for path in files:
        data = read(path)
        if jpeg(data).profile or jpeg(data).turn != 1:
            continue
        with Image.open(path) as plain:
            assert (pixels(decode(data)) == np.asarray(plain.convert("RGB"))).all(), path
