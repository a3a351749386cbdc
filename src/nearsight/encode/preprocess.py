"""What a network is shown: declared as plain data, executed with Pillow and numpy, the same with and without torch.

A picture becomes (size, size, 3) uint8; casting and normalising belong to the network's graph, so that batches are
cheap to stack and to send.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.errors import InputError

FITS = ("crop", "squash")
CHANNELS = ("rgb", "bgr")
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

Triple = tuple[float, float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Resize, centre crop, and the numbers that normalise.

    size           side of the network's square input, pixels
    resize         crop: the shorter side is resized to this; squash: both sides are; then the middle `size` is kept
    fit            ``crop`` keeps proportions, ``squash`` does not
    interpolation  one of INTERPOLATIONS, always antialiased
    mean, std      of each channel on the scale 0..1, in the order of `channels`
    channels       ``rgb`` or ``bgr``

    Raises InputError (code ``preprocess``) for anything else.
    """

    size: int
    resize: int
    fit: str = "crop"
    interpolation: str = "bicubic"
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)
    channels: str = "rgb"

    def __post_init__(self) -> None:
        for name, allowed in (("fit", FITS), ("interpolation", INTERPOLATIONS), ("channels", CHANNELS)):
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}", code="preprocess"
                )
        if not 1 <= self.size <= self.resize <= 4096:
            raise InputError(f"1 <= size <= resize <= 4096, not {self.size} and {self.resize}", code="preprocess")
        if len(self.mean) != 3 or len(self.std) != 3 or not np.isfinite([*self.mean, *self.std]).all():
            raise InputError("mean and std are three finite numbers each", code="preprocess")
        if min(self.std) <= 0:
            raise InputError(f"std must be positive, not {self.std}", code="preprocess")

    def __call__(self, picture: Image.Image) -> NDArray[np.uint8]:
        """One picture of any size -> (size, size, 3) uint8. Thread-safe.

        The crop's box is computed in the source and only that is resized: the same pixels as resizing everything and
        cropping then (torchvision's and timm's order), but a 1 x 60,000 strip costs nothing.
        """
        return self.channelled(self.shrunk(picture, self.box(*picture.size)))

    def box(self, width: int, height: int) -> Box:
        """(left, top, right, bottom) of what is shown of a picture of that size, in its pixels."""
        if self.fit == "squash":
            wide = tall = self.resize
        elif width <= height:
            wide, tall = self.resize, int(self.resize * height / width)
        else:
            wide, tall = int(self.resize * width / height), self.resize
        left, top = round((wide - self.size) / 2), round((tall - self.size) / 2)
        x, y = width / wide, height / tall
        return left * x, top * y, min(width, (left + self.size) * x), min(height, (top + self.size) * y)

    def shrunk(self, picture: Image.Image, box: Box) -> Image.Image:
        """That box of a picture, RGB, `size` x `size`."""
        rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
        return rgb.resize((self.size, self.size), INTERPOLATIONS[self.interpolation], box=box)

    def channelled(self, small: Image.Image) -> NDArray[np.uint8]:
        """RGB (size, size) -> (size, size, 3) uint8 in the order of `channels`."""
        pixels = np.asarray(small)
        return np.ascontiguousarray(pixels[..., ::-1]) if self.channels == "bgr" else pixels

    def facts(self) -> dict[str, Any]:
        """Plain data for JSON; `of` reads it back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """What `facts` gave. Raises InputError (code ``preprocess``) for missing, unknown or wrong fields."""
        try:
            mean, std = (tuple(float(v) for v in facts[k]) for k in ("mean", "std"))
            return cls(**{**facts, "mean": mean, "std": std})
        except (TypeError, KeyError, ValueError) as error:
            raise InputError(f"not a description of preprocessing: {error}", code="preprocess") from error

    def changed(
        self, *, size: int = 0, resize: int = 0, fit: str = "", interpolation: str = "", mean: str = "", std: str = ""
    ) -> Self:
        """A copy with the options of an address in place; 0 and "" keep what is.

        A new `size` keeps the proportion of `resize` to it, and a new `fit` shows the whole picture, unless `resize`
        is given too. `mean` and `std` are one number or three with commas.
        """
        new_size = size or self.size
        share = new_size if fit and fit != self.fit else self.resize * new_size // self.size
        given = {"fit": fit, "interpolation": interpolation, "mean": _triple(mean), "std": _triple(std)}
        return replace(self, size=new_size, resize=resize or share, **{k: v for k, v in given.items() if v})  # type: ignore[arg-type]


def _triple(text: str) -> Triple | None:
    if not text:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"{text!r} is not one number or three with commas", code="preprocess") from error
    if len(values) == 1:
        values *= 3
    if len(values) != 3:
        raise InputError(f"{text!r} is not one number or three with commas", code="preprocess")
    return values[0], values[1], values[2]
