"""What a network that is taught by another is shown: far more than pictures, for any input has a right answer.

Both see the same view, so it may be anything: Beyer et al., "Knowledge distillation: a good teacher is patient and
consistent" (CVPR 2022). Numpy and Pillow only, but for `mixed`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.errors import InputError
from nearsight.encode.preprocess import Preprocess
from nearsight.learn.augment import Augment

if TYPE_CHECKING:
    from torch import Tensor

_SHARES = (0.35, 0.95)
"""Smallest and largest side of what stands on plain ground, as a share of the picture's."""
_ROUND = (2.0, 12.0)
"""Exponent of its outline |x|^p + |y|^p = 1: an ellipse, nearly a rectangle."""


@dataclass(frozen=True, slots=True)
class Views:
    """How pictures are changed at random while one network teaches another.

    augment  as in any training
    plain    chance that the picture, cut to an ellipse or a rounded rectangle, stands smaller on plain ground: white in
             one half of them, else grey or of any colour
    mix      share of a batch's pictures that are mixed with another of it, in any proportion (Zhang et al., ICLR 2018)

    Raises InputError (code ``recipe/augment``) for values out of their range.
    """

    augment: Augment = field(default_factory=lambda: Augment(scale=0.25, jitter=0.3, grey=0.05))
    plain: float = 0.25
    mix: float = 0.25

    def __post_init__(self) -> None:
        if not (0 <= self.plain <= 1 and 0 <= self.mix <= 1):
            raise InputError("views: plain and mix are chances, 0 to 1", code="recipe/augment", hint="0: never")

    def __call__(self, picture: Image.Image, preprocess: Preprocess, draw: np.random.Generator) -> NDArray[np.uint8]:
        """One picture of any size -> (size, size, 3) uint8. Thread-safe, if each thread has its own `draw`."""
        if draw.random() >= self.plain:
            return self.augment(picture, preprocess, draw)
        size = preprocess.size
        side = round(size * draw.uniform(*_SHARES))
        thing = self.augment(picture, replace(preprocess, size=side, resize=side), draw)
        view = np.empty((size, size, 3), dtype=np.uint8)
        view[:] = _ground(draw)
        top, left = draw.integers(size - side + 1, size=2).tolist()
        place = view[top : top + side, left : left + side]
        inside = _outline(side, draw)
        place[inside] = thing[inside]
        return view


def _ground(draw: np.random.Generator) -> NDArray[np.uint8]:
    """(3,) the colour of plain ground."""
    kind = draw.random()
    if kind < 0.5:
        return np.full(3, 255, dtype=np.uint8)
    if kind < 0.75:
        return np.full(3, draw.integers(256), dtype=np.uint8)
    return draw.integers(0, 256, 3, dtype=np.uint8)


def _outline(side: int, draw: np.random.Generator) -> NDArray[np.bool_]:
    """(side, side) True inside an ellipse or rounded rectangle that touches two sides at least."""
    power, slim = draw.uniform(*_ROUND), draw.uniform(0.4, 1)
    axis = np.abs(np.linspace(-1, 1, side))
    wide, tall = (axis, axis / slim) if draw.random() < 0.5 else (axis / slim, axis)
    inside: NDArray[np.bool_] = tall[:, None] ** power + wide[None, :] ** power <= 1
    return inside


def mixed(pixels: Tensor, share: float, seed: int) -> Tensor:
    """(n, h, w, 3) uint8 with the first round(share n) mixed with the last ones, each in a proportion of its own."""
    import torch

    many = round(share * len(pixels))
    if not many:
        return pixels
    luck = torch.Generator().manual_seed(seed)
    part = torch.rand((many, 1, 1, 1), generator=luck).to(pixels.device)
    blend = pixels[:many].float().lerp(pixels.flip(0)[:many].float(), part).round_().to(torch.uint8)
    return torch.cat([blend, pixels[many:]])
