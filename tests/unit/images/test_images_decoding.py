"""Every kind of picture becomes the right RGB pixels."""

from __future__ import annotations

import io
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from image_files import RGB_FORMATS, chunk, exif, gradient, noise, pixels, plain_tiff, png, reason, saved, tiff
from PIL import Image, ImageCms, ImageOps

from nearsight.data import images
from nearsight.data.images import Limits, colours, decode, picture_hash, thumbnail

LOSSY = {"JPEG": 12, "AVIF": 12, "HEIF": 12, "WEBP": 16, "GIF": 40}


@pytest.mark.parametrize("form", RGB_FORMATS)
def test_each_format_gives_its_pixels(form: str) -> None:
    picture = decode(saved(gradient(), form))
    assert type(picture) is Image.Image
    assert not picture.info
    assert np.abs(pixels(picture) - pixels(gradient())).max() <= LOSSY.get(form, 0)


def test_heic_with_its_extra() -> None:
    pytest.importorskip("pillow_heif")
    picture = decode(saved(gradient(), "HEIF", quality=95))
    assert np.abs(pixels(picture) - pixels(gradient())).max() <= LOSSY["HEIF"]


def test_heic_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_heif")
    data = saved(gradient(), "HEIF")
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    assert reason(lambda: decode(data)) == "needs-heif"


def test_heic_leaves_pillow_as_it_was() -> None:
    pytest.importorskip("pillow_heif")
    data = saved(gradient(), "HEIF")
    decode(data)
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(io.BytesIO(data))


def test_jpeg_equals_plain_pillow() -> None:
    for options in ({}, {"progressive": True}, {"subsampling": 0}, {"optimize": True}, {"restart_marker_rows": 1}):
        data = saved(noise(100, 70), "JPEG", **options)
        assert (pixels(decode(data)) == pixels(Image.open(io.BytesIO(data)))).all()


def test_1_by_1() -> None:
    for form in RGB_FORMATS:
        assert decode(saved(Image.new("RGB", (1, 1), (200, 200, 200)), form)).size == (1, 1)


# --- grey, 16 bits, floats, palettes, alpha


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_high_byte(form: str) -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    assert pixels(decode(saved(Image.fromarray(values), form)))[0].tolist() == [[v] * 3 for v in (0, 0, 1, 128, 255)]


def test_16_bit_grey_big_endian_tiff() -> None:
    entries = {256: 2, 257: 1, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 4}
    directory = b"".join(struct.pack(">HHII", t, 4, 1, v) for t, v in entries.items())
    data = b"MM\0*" + struct.pack(">I", 12) + b"\x12\x34\xab\xcd" + struct.pack(">H", 9) + directory + b"\0" * 4
    assert pixels(decode(data))[0, :, 0].tolist() == [0x12, 0xAB]


def test_16_bit_colour() -> None:
    rows = b"\0" + struct.pack(">6H", 0xFF00, 0x8000, 0x0100, 0, 0xFFFF, 0x7FFF)
    assert pixels(decode(png(2, 1, 16, 2, rows)))[0].tolist() == [[255, 128, 1], [0, 255, 127]]


def test_bigtiff() -> None:
    entries = {256: 2, 257: 1, 258: 8, 259: 1, 262: 1, 273: 16, 277: 1, 278: 2**32 - 1, 279: 2}
    directory = b"".join(struct.pack("<HHQQ", t, 4, 1, v) for t, v in entries.items())
    data = b"II+\0\x08\0\0\0" + struct.pack("<Q", 24) + b"\x10\x20" + b"\0" * 6 + struct.pack("<Q", 9) + directory
    assert pixels(decode(data + b"\0" * 8))[0, :, 0].tolist() == [16, 32]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.2, 0.4, 0.6], [51, 102, 153]),  # within 0..1: as it says, not stretched
        ([-10.0, 0.0, 10.0], [0, 128, 255]),
        ([5.0, 5.0, 5.0], [0, 0, 0]),
        ([float("nan"), 0.0, 300.0], [0, 0, 255]),
        ([float("inf"), float("-inf"), 0.5], [255, 0, 128]),
        ([-3e38, 0.0, 3e38], [0, 128, 255]),
        ([float("nan")] * 3, [0, 0, 0]),
    ],
)
def test_float_samples(values: list[float], expected: list[int]) -> None:
    data = saved(Image.fromarray(np.array([values], dtype=np.float32)), "TIFF")
    assert pixels(decode(data))[0, :, 0].tolist() == expected


def test_32_bit_integers_are_stretched() -> None:
    data = saved(Image.fromarray(np.array([[-1000, 0, 1000]], dtype=np.int32)), "TIFF")
    assert pixels(decode(data))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "GIF"])
def test_1_bit(form: str) -> None:
    picture = Image.fromarray(np.array([[0, 255, 0, 255]], dtype=np.uint8)).convert("1")
    assert pixels(decode(saved(picture, form)))[0, :, 1].tolist() == [0, 255, 0, 255]


def test_grey_with_alpha_lies_on_white() -> None:
    picture = Image.new("LA", (3, 1))
    for x, value in enumerate([(0, 255), (0, 0), (100, 128)]):
        picture.putpixel((x, 0), value)
    assert pixels(decode(saved(picture, "PNG")))[0, :, 0].tolist() == [0, 255, pytest.approx(177, abs=1)]


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_transparent_pixels_are_white_whatever_is_under_them(form: str) -> None:
    picture = Image.new("RGBA", (32, 16), (0, 0, 255, 0))
    picture.paste((255, 0, 0, 255), (16, 0, 32, 16))
    out = pixels(decode(saved(picture, form, **({"lossless": True} if form == "WEBP" else {"quality": 100}))))
    assert (out[:, 2] >= 250).all()
    assert np.abs(out[:, -3] - [255, 0, 0]).max() <= 6


def test_heic_with_alpha_lies_on_white() -> None:
    pytest.importorskip("pillow_heif")
    out = pixels(decode(saved(Image.new("RGBA", (64, 64), (0, 0, 255, 0)), "HEIF")))
    assert (out >= 250).all()


def test_palette_with_and_without_transparency() -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    for x in range(3):
        picture.putpixel((x, 0), x)
    rows = [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    for form in ("PNG", "GIF", "BMP", "TIFF"):
        assert pixels(decode(saved(picture, form)))[0].tolist() == rows
    for form in ("PNG", "GIF"):
        assert pixels(decode(saved(picture, form, transparency=1)))[0].tolist() == [rows[0], [255] * 3, rows[2]]
    half = pixels(decode(saved(picture, "PNG", transparency=bytes([255, 0, 128]))))[0]
    assert half[0].tolist() == rows[0]
    assert half[1].tolist() == [255] * 3
    assert np.abs(half[2] - [162, 167, 172]).max() <= 1


@pytest.mark.parametrize(("depth", "row"), [(1, b"\x55"), (2, b"\x1b"), (4, b"\x01\x23"), (8, b"\x00\x01\x02\x03")])
def test_transparent_shade_of_grey_at_every_depth(depth: int, row: bytes) -> None:
    data = png(4, 1, depth, 0, b"\0" + row, chunk(b"tRNS", b"\0\x01"))
    grey = pixels(decode(data))[0, :, 0].tolist()
    plain = pixels(decode(png(4, 1, depth, 0, b"\0" + row)))[0, :, 0].tolist()
    clear = [1, 3] if depth == 1 else [1]
    assert grey == [255 if i in clear else v for i, v in enumerate(plain)]
    if depth != 1:
        assert plain[1] != 255


# --- CMYK and YCCK


def test_cmyk_jpeg_is_inverted_as_adobe_does() -> None:
    picture = Image.new("CMYK", (16, 16), (255, 0, 0, 0))  # pure cyan
    data = saved(picture, "JPEG", quality=95)
    assert b"Adobe" in data
    assert np.abs(pixels(decode(data))[8, 8] - [0, 255, 255]).max() <= 4


def test_cmyk_tiff() -> None:
    data = saved(Image.new("CMYK", (4, 4), (0, 255, 0, 0)), "TIFF")
    assert pixels(decode(data))[0, 0].tolist() == [255, 0, 255]


def test_ycck_jpeg() -> None:
    # libjpeg turns YCCK into CMYK when the Adobe marker says 2; the same planes said to be CMYK look otherwise.
    data = saved(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=95)
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    inverted = (0, 255, 255)  # the stored C, M, Y, taken for Y, Cb, Cr
    y, cb, cr = inverted
    rgb = np.array([y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)])
    expected = 255 - rgb.clip(0, 255)  # ink, as Adobe stores it; K is stored as 255: no black
    assert np.abs(pixels(decode(data[:at] + b"\x02" + data[at + 1 :]))[8, 8] - expected).max() <= 6


def test_lab_tiff() -> None:
    lab = Image.new("LAB", (4, 4), (255, 128, 128))
    assert pixels(decode(saved(lab, "TIFF"))).min() >= 250


def test_ycbcr_tiff() -> None:
    data = saved(gradient().convert("YCbCr"), "TIFF")
    assert np.abs(pixels(decode(data)) - pixels(gradient())).max() <= 4


def test_jpeg_in_tiff() -> None:
    data = saved(gradient(), "TIFF", compression="jpeg", quality=95)
    assert np.abs(pixels(decode(data)) - pixels(gradient())).max() <= 12


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd"])
def test_compressed_tiff(compression: str) -> None:
    assert (pixels(decode(saved(gradient(), "TIFF", compression=compression))) == pixels(gradient())).all()


def test_fax_tiff() -> None:
    picture = gradient().convert("1")
    for compression in ("group3", "group4"):
        assert (
            pixels(decode(saved(picture, "TIFF", compression=compression)))[..., 0] == np.asarray(picture) * 255
        ).all()


# --- orientation


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_pixel_exact(form: str, turn: int) -> None:
    picture = gradient()
    tags = Image.Exif()
    tags[0x0112] = turn
    options = {"PNG": {}, "TIFF": {}, "JPEG": {"quality": 100}, "WEBP": {"lossless": True}}[form]
    data = saved(picture, form, exif=tags, **options)
    upright = decode(data)
    assert upright.size == ((48, 32) if turn <= 4 else (32, 48))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert (pixels(upright) == pixels(expected)).all()


def test_orientation_corner_by_corner() -> None:
    # Where EXIF says the first row and the first column of the stored pixels belong.
    corners = {1: "ABCD", 2: "BADC", 3: "DCBA", 4: "CDAB", 5: "ACBD", 6: "CADB", 7: "DBCA", 8: "BDAC"}
    values = {"A": 10, "B": 90, "C": 170, "D": 250}
    stored = Image.fromarray(np.array([[10, 90], [170, 250]], dtype=np.uint8))
    for turn, expected in corners.items():
        tags = Image.Exif()
        tags[0x0112] = turn
        assert pixels(decode(saved(stored, "PNG", exif=tags)))[..., 0].ravel().tolist() == [values[c] for c in expected]


@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_turns_of_avif_and_heic_are_the_images_own(form: str) -> None:
    if form == "HEIF":
        pytest.importorskip("pillow_heif")
    tags = Image.Exif()
    tags[0x0112] = 6
    assert decode(saved(gradient(), form, exif=tags.tobytes())).size == (32, 48)


@pytest.mark.parametrize(
    "broken",
    [
        b"Exif\0\0",
        b"Exif\0\0MM",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0XX*\0\x08\0\0\0\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12",
        exif(0),
        exif(9),
        exif(65535),
        exif(6)[:-12],
        exif(3).replace(b"\x01\x12\0\x03", b"\x01\x12\0\x02"),
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x0e\0\x02\x7f\xff\xff\xff\0\0\0\0" + b"\0" * 9,
    ],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_broken_exif_is_ignored(form: str, broken: bytes) -> None:
    if form == "AVIF":  # whose writer parses what it is given: put in afterwards
        good = exif(1)[6:].replace(b"\x01\x12", b"\x01\x28")  # a harmless tag
        data = saved(gradient(), form, exif=good)
        assert good in data
        data = data.replace(good, broken.removeprefix(b"Exif\0\0")[: len(good)].ljust(len(good), b"\0"))
    else:
        data = saved(gradient(), form, exif=broken)
    assert decode(data).size == (48, 32)


# --- colour profiles


def matrix_profile(red: tuple[float, ...], green: tuple[float, ...], blue: tuple[float, ...], gamma: float) -> bytes:
    """An RGB profile of a matrix (columns in XYZ, D50) and a gamma."""

    def number(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(values: tuple[float, ...]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(number, values))

    curve = b"curv\0\0\0\0\0\0\0\x01" + struct.pack(">H", round(gamma * 256)) + b"\0\0"
    tags = {
        b"desc": b"desc\0\0\0\0\0\0\0\x05test\0" + b"\0" * 79,
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        b"rXYZ": xyz(red),
        b"gXYZ": xyz(green),
        b"bXYZ": xyz(blue),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body = b"", b""
    for name, value in tags.items():
        value += b"\0" * (-len(value) % 4)
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(value))
        body += value
    head = struct.pack(">I4sI", 132 + len(table) + len(body), b"test", 0x02100000) + b"mntrRGB XYZ "
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + xyz((0.9642, 1.0, 0.8249))[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


ADOBE = matrix_profile((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), 2.19922)
P3 = matrix_profile((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407), 2.2)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(
    # sRGB (150, 100, 100) told in each space, by their matrices and curves
    ("profile", "told"),
    [(ADOBE, (140, 100, 99)), (P3, (143, 102, 101))],
    ids=["adobe", "p3"],
)
def test_wide_colours_become_srgb(form: str, profile: bytes, told: tuple[int, int, int]) -> None:
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}, "AVIF": {"quality": 100}}
    data = saved(Image.new("RGB", (16, 16), told), form, icc_profile=profile, **options.get(form, {}))
    assert np.abs(pixels(decode(data))[8, 8] - [150, 100, 100]).max() <= 4


def test_heic_with_profile() -> None:
    pytest.importorskip("pillow_heif")
    picture = Image.new("RGB", (64, 64), (140, 100, 99))
    picture.info["icc_profile"] = ADOBE
    assert np.abs(pixels(decode(saved(picture, "HEIF", quality=100)))[8, 8] - [150, 100, 100]).max() <= 5


def test_srgb_under_any_name_changes_no_pixel() -> None:
    picture = noise(32, 32)
    assert (pixels(decode(saved(picture, "PNG", icc_profile=SRGB))) == pixels(picture)).all()
    assert colours._transform(SRGB, "RGB") is None  # nor costs time


@pytest.mark.parametrize(
    "profile",
    [b"x", b"\0" * 128, ADOBE[:100], ADOBE[:200], ADOBE[:36] + b"nope" + ADOBE[40:], ADOBE.replace(b"RGB ", b"CMYK")],
    ids=["byte", "zeros", "head", "half", "magic", "space"],
)
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_malformed_profile_is_ignored(form: str, profile: bytes) -> None:
    told = Image.new("RGB", (16, 16), (140, 100, 99))
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(form, {})
    data = saved(told, form, icc_profile=profile, **options)
    assert np.abs(pixels(decode(data)) - pixels(told)).max() <= 1


def test_profile_reaches_pixels_with_alpha_and_palette() -> None:
    told = Image.new("RGBA", (4, 4), (140, 100, 99, 255))
    told.putpixel((0, 0), (140, 100, 99, 0))
    out = pixels(decode(saved(told, "PNG", icc_profile=ADOBE)))
    assert out[0, 0].tolist() == [255] * 3
    assert np.abs(out[1, 1] - [150, 100, 100]).max() <= 4
    palette = told.convert("RGB").quantize(4)
    assert np.abs(pixels(decode(saved(palette, "PNG", icc_profile=ADOBE)))[1, 1] - [150, 100, 100]).max() <= 4


def test_transforms_are_kept_within_bounds() -> None:
    for i in range(colours._KEPT + 8):
        decode(saved(gradient(), "PNG", icc_profile=ADOBE + bytes([i])))
    assert len(colours._transforms) <= colours._KEPT


# --- first frames, scale, threads


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_first_frame(form: str) -> None:
    frames = [Image.new("RGB", (32, 32), c) for c in ("red", "lime", "blue")]
    data = saved(frames[0], form, save_all=True, append_images=frames[1:])
    assert np.abs(pixels(decode(data))[16, 16] - [255, 0, 0]).max() <= 6


def test_gif_frame_smaller_than_its_canvas_and_beyond_it() -> None:
    frame = saved(Image.new("RGB", (4, 4), (0, 0, 255)).quantize(2), "GIF")
    at = frame.index(b"\x2c")
    inside = frame[:6] + struct.pack("<HH", 8, 8) + frame[10:at] + b"\x2c" + struct.pack("<HH", 4, 4) + frame[at + 5 :]
    assert decode(inside).size == (8, 8)
    assert pixels(decode(inside))[6, 6].tolist() == [0, 0, 255]
    beyond = frame[:at] + b"\x2c" + struct.pack("<HH", 10, 0) + frame[at + 5 :]
    assert decode(beyond).size == (14, 4)
    assert reason(lambda: decode(beyond, limits=Limits(max_side=13))) == "too-long-side"


def test_reduced_scale_keeps_twice_the_side() -> None:
    data = saved(gradient(800, 600), "JPEG", quality=95)
    sizes = {side: decode(data, side=side).size for side in (0, 10, 37, 38, 75, 76, 150, 151, 1000)}
    assert sizes == {
        **dict.fromkeys((0, 151, 1000), (800, 600)),
        **dict.fromkeys((10, 37), (100, 75)),
        **dict.fromkeys((38, 75), (200, 150)),
        **dict.fromkeys((76, 150), (400, 300)),
    }
    small, whole = decode(data, side=75), decode(data).resize((200, 150), Image.Resampling.BOX)
    assert np.abs(pixels(small) - pixels(whole)).max() <= 8


def test_hash_is_of_the_content() -> None:
    assert picture_hash(b"abc").hex().startswith("ba7816bf8f01cfea")


def test_thumbnail() -> None:
    assert thumbnail(gradient(800, 600)).size == (256, 192)
    assert thumbnail(gradient(10, 20)).size == (10, 20)
    assert thumbnail(gradient(1000, 2), 100).size == (100, 1)
    original = gradient(300, 300)
    thumbnail(original).putpixel((0, 0), (1, 2, 3))
    assert (pixels(original) == pixels(gradient(300, 300))).all()


def test_threads_agree() -> None:
    files = [
        saved(noise(64, 64, i), form, icc_profile=ADOBE) for i in range(4) for form in ("JPEG", "PNG", "WEBP", "TIFF")
    ]
    expected = [decode(f).tobytes() for f in files]
    barrier = threading.Barrier(4)

    def work(_: int) -> list[bytes]:
        barrier.wait()
        return [decode(f).tobytes() for f in files]

    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(work, range(4)))


def test_public_names_are_sorted_and_there() -> None:
    assert images.__all__ == sorted(images.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n))
    assert all(hasattr(images, name) for name in images.__all__)


def test_huge_tiff_tags_are_not_touched() -> None:
    # a comment that claims 2 GB, a directory of GPS data far beyond the end
    data = tiff(*plain_tiff(), (270, 2, 1 << 31, 8), (34853, 4, 1, 1 << 30), (330, 4, 1, 8), following=8)
    assert pixels(decode(data)).max() == 128
