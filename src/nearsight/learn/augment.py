"""Pictures as training sees them: cropped, mirrored, recoloured, partly covered at random. Pillow and numpy only.

What is drawn follows from the generator alone, so that a run that stopped goes on as it would have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.errors import InputError
from nearsight.encode.preprocess import Box, Preprocess

ERASED = (0.02, 0.25)
"""Smallest and largest share of the picture that is covered."""
ERASED_RATIO = 1 / 0.3
"""Most that the sides of what is covered differ."""
LUMA = np.array([0.299, 0.587, 0.114])
"""Shares of R, G and B in grey (ITU-R BT.601, as Pillow has it)."""


@dataclass(frozen=True, slots=True)
class Augment:
    """How pictures are changed at random while a network learns.

    scale   smallest share of the picture's area that a random crop keeps; the share is uniform in [scale, 1]
            (Szegedy et al., CVPR 2015). 1: no random crop, but the preprocessing's own
    ratio   most that a crop's proportions differ from those the preprocessing fits into its square (a square, with
            ``squash`` the picture's own), log-uniform in [1/ratio, ratio]
    flip    chance of a mirrored picture
    jitter  brightness, contrast and saturation are multiplied by a factor each, in [1 - jitter, 1 + jitter]
    grey    chance of a picture without colours
    erase   chance of one rectangle, 2% to 25% of the area, in the picture's mean colour (Zhong et al., AAAI 2020)

    Raises InputError (code ``recipe/augment``) for values out of their range.
    """

    scale: float = 0.5
    ratio: float = 4 / 3
    flip: float = 0.5
    jitter: float = 0.0
    grey: float = 0.0
    erase: float = 0.0

    def __post_init__(self) -> None:
        _require(0 < self.scale <= 1, "scale", self.scale, "a share of the area, above 0 and at most 1 (1: no crop)")
        _require(1 <= self.ratio < math.inf, "ratio", self.ratio, "1 or more (1: proportions stay)")
        for name in ("flip", "grey", "erase"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a chance, 0 to 1 (0: never)")
        _require(0 <= self.jitter < 1, "jitter", self.jitter, "0 or more, and below 1 (0: colours stay)")

    def __call__(self, picture: Image.Image, preprocess: Preprocess, draw: np.random.Generator) -> NDArray[np.uint8]:
        """One picture of any size -> (size, size, 3) uint8, laid out as `preprocess` does. Thread-safe, if each thread
        has its own `draw`. Without any augmentation it is ``preprocess(picture)``.
        """
        box = preprocess.box(*picture.size) if self.scale == 1 else self._crop(picture, preprocess, draw)
        small = preprocess.shrunk(picture, box)
        if self.flip and draw.random() < self.flip:
            small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.jitter or self.grey:
            small = self._recoloured(small, draw)
        if self.erase and draw.random() < self.erase:
            small = _erased(small, draw)
        return preprocess.channelled(small)

    def _crop(self, picture: Image.Image, preprocess: Preprocess, draw: np.random.Generator) -> Box:
        """A box of the drawn area, its proportions drawn among those that fit into the picture.

        Where none of them do (a strip, of which a square is asked), the nearest, as large as it can be.
        """
        width, height = picture.size
        own = width / height if preprocess.fit == "squash" else 1.0
        area = draw.uniform(self.scale, 1) * width * height
        low, high = max(own / self.ratio, area / height**2), min(own * self.ratio, width**2 / area)
        if low <= high:
            ratio = math.exp(draw.uniform(math.log(low), math.log(high)))
        else:
            ratio = min(max(width / height, own / self.ratio), own * self.ratio)
            area = min(width**2 / ratio, height**2 * ratio)
        wide, tall = min(width, math.sqrt(area * ratio)), min(height, math.sqrt(area / ratio))
        left, top = draw.random() * (width - wide), draw.random() * (height - tall)
        return left, top, min(width, left + wide), min(height, top + tall)

    def _recoloured(self, small: Image.Image, draw: np.random.Generator) -> Image.Image:
        """All changes of colour as one matrix: brightness, contrast about the mean grey, saturation about the grey.

        What lies between is not clipped, so that nothing is lost to a step that another one takes back.
        """
        bright, contrast, saturation = (1 + self.jitter * draw.uniform(-1, 1, 3)).tolist() if self.jitter else (1, 1, 1)
        if self.grey and draw.random() < self.grey:
            saturation = 0
        colours = saturation * np.eye(3) + (1 - saturation) * LUMA
        shift = (1 - contrast) * bright * float(LUMA @ _mean(small)) if contrast != 1 else 0.0
        rows = np.column_stack([bright * contrast * colours, np.full(3, shift)])
        return small.convert("RGB", tuple(rows.ravel().tolist()))


def _erased(small: Image.Image, draw: np.random.Generator) -> Image.Image:
    """`small` itself, which `Preprocess.shrunk` made anew."""
    side = small.width
    share, ratio = draw.uniform(*ERASED), _log_uniform(ERASED_RATIO, draw)
    wide, tall = (min(side, max(1, round(side * math.sqrt(share * r)))) for r in (ratio, 1 / ratio))
    left, top = int(draw.integers(side - wide + 1)), int(draw.integers(side - tall + 1))
    red, green, blue = (round(float(value)) for value in _mean(small))
    small.paste((red, green, blue), (left, top, left + wide, top + tall))
    return small


def _mean(small: Image.Image) -> NDArray[np.float64]:
    """(3,) the mean colour, 0 .. 255."""
    # by columns first: a sum down long rows is several times as fast as one over threes
    mean: NDArray[np.float64] = np.asarray(small).reshape(small.height, -1).mean(axis=0).reshape(-1, 3).mean(axis=0)
    return mean


def _log_uniform(most: float, draw: np.random.Generator) -> float:
    """In [1/most, most], as likely above 1 as below."""
    return math.exp(draw.uniform(-1, 1) * math.log(most))


def _require(right: bool, name: str, value: float, what: str) -> None:
    if not right:
        raise InputError(f"augment: {name} cannot be {value}", code="recipe/augment", hint=f"{name} is {what}")
