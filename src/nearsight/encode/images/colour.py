"""HSV colour histogram over the picture and a grid of its cells: what colours, roughly where.

Square-rooted (Hellinger), so that cosine compares distributions (Arandjelovic and Zisserman, CVPR 2012, for SIFT).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.errors import InputError
from nearsight.encode.ladder import Rung

_SIDE = 128


@dataclass
class Colour:
    """`bins` of hue x 4 of saturation x 4 of value, for each cell of a `grid` x `grid` layout."""

    bins: int
    grid: int
    side: int = _SIDE
    batch: int = 256
    fitted: bool = True

    @property
    def address(self) -> str:
        return f"colour?bins={self.bins}&grid={self.grid}"

    @property
    def loader(self) -> str:
        return self.address

    @property
    def dim(self) -> int:
        return self.grid * self.grid * self.bins * 16

    def identity(self) -> Mapping[str, Any]:
        return {"tower": "colour", "version": 1, "bins": self.bins, "grid": self.grid, "side": _SIDE}

    def prepare(self, picture: Image.Image) -> NDArray[np.float32]:
        small = picture.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
        hsv = np.asarray(small.convert("HSV")).astype(np.int64)
        code = (hsv[..., 0] * self.bins // 256) * 16 + (hsv[..., 1] // 64) * 4 + hsv[..., 2] // 64
        cell = np.arange(_SIDE) * self.grid // _SIDE
        code += (cell[:, None] * self.grid + cell[None, :]) * (self.bins * 16)
        return np.sqrt(np.bincount(code.ravel(), minlength=self.dim)).astype(np.float32)

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        return np.stack(prepared)

    def fit(self, pictures: Iterable[Image.Image]) -> None:
        return None

    def files(self) -> Mapping[str, bytes | Path]:
        return {}

    def restore(self, folder: Path) -> None:
        return None


LADDER = (Rung("colour", 768, "colours, roughly where", measured=0.2520, row="foundation:map_colour_exact"),)


def build(*, bins: int = 12, grid: int = 2) -> Colour:
    """Raises InputError for sizes that make no histogram."""
    if not (2 <= bins <= 64 and 1 <= grid <= 8):
        raise InputError(f"colour takes 2..64 bins and a grid of 1..8, not {bins} and {grid}")
    return Colour(bins, grid)
