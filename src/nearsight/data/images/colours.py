"""Any mode that Pillow decodes to -> RGB, 8 bits, sRGB."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict

import numpy as np
from PIL import Image, ImageCms

GROUND = (255, 255, 255)
"""What shows through transparent pixels. White: pictures with transparency are mostly logos, drawings and cut-outs made
for white pages. It is fixed, because a vector must depend on its file alone."""

_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
_KEPT = 32
_transforms: OrderedDict[tuple[bytes, str], ImageCms.ImageCmsTransform | None] = OrderedDict()
_lock = threading.Lock()


def to_rgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """A decoded picture in sRGB, transparent pixels on `GROUND`.

    16-bit samples keep their high byte. 32-bit integers and floats have no declared white: floats within 0..1 are taken
    as such, everything else is stretched from its smallest to its largest finite value; NaN is black. A profile that is
    broken or made for another kind of colours is ignored: the samples are taken as sRGB.
    """
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return _to_srgb(picture, profile) if profile else picture
    if picture.mode.startswith("I;16"):
        picture = _grey(np.asarray(picture).astype(np.uint16) >> 8)
    elif picture.mode in ("I", "F"):
        picture = _grey(_stretched(np.asarray(picture, dtype=np.float64)))
    if picture.has_transparency_data:
        return _on_ground(picture, profile)
    if picture.mode not in _SPACES:  # 1, P, RGBX, YCbCr, LAB, HSV
        picture = picture.convert("RGB")
    return _to_srgb(picture, profile)


def _on_ground(picture: Image.Image, profile: bytes) -> Image.Image:
    full = picture.convert("RGBA")
    alpha = full.getchannel("A")
    solid = _to_srgb(full.convert("RGB"), profile)
    if alpha.getextrema() == (255, 255):
        return solid
    ground = Image.new("RGB", full.size, GROUND)
    ground.paste(solid, mask=alpha)
    return ground


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8))


def _stretched(values: np.ndarray) -> np.ndarray:
    """(h, w) of any range -> (h, w) in 0..255."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    clean = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    # halves first: the span of two float64 can be beyond float64
    span = max(high / 2 - low / 2, float(np.finfo(np.float64).tiny))
    return np.asarray(np.rint((clean / 2 - low / 2) / span * 255).clip(0, 255))


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    transform = _transform(profile, picture.mode) if profile else None
    if transform is None:
        return picture.convert("RGB") if picture.mode != "RGB" else picture
    return transform.apply(picture)


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From ``profile`` to sRGB; None where it would change nothing or cannot be built. Built once for each profile."""
    key = (hashlib.sha256(profile).digest(), mode)
    with _lock:
        if key in _transforms:
            _transforms.move_to_end(key)
            return _transforms[key]
    built = _build(profile, mode)
    with _lock:
        _transforms[key] = built
        while len(_transforms) > _KEPT:
            _transforms.popitem(last=False)
    return built


def _build(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != _SPACES[mode]:
            return None
        transform = ImageCms.ImageCmsTransform(
            source,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # littleCMS refuses it
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform moves no colour of a 9 x 9 x 9 cube by more than 2 of 255: sRGB under one of its names."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    moved = np.asarray(transform.apply(Image.fromarray(cube))).astype(int) - cube
    return bool(np.abs(moved).max() <= 2)
