"""Histogram of oriented gradients: where edges of which direction are, shapes rather than colours.

Dalal and Triggs, CVPR 2005: cells of `cell` pixels, blocks of 2 x 2 cells, L2-Hys, on the whole picture squashed to
`side` pixels. The last component is 1 where there is no gradient at all (a flat picture) and 0 elsewhere: flat
pictures are like one another and like nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.errors import InputError, MissingExtra
from nearsight.encode.ladder import Rung

_BLOCK = 2


@dataclass(frozen=True)
class Hog:
    """`orientations` directions for each cell of `cell` pixels of a picture of `side` pixels."""

    side: int
    cell: int
    orientations: int
    batch: int = 64
    fitted: bool = True

    @property
    def address(self) -> str:
        return f"hog?side={self.side}&cell={self.cell}&orientations={self.orientations}"

    @property
    def loader(self) -> str:
        return self.address

    @property
    def dim(self) -> int:
        return (self.side // self.cell - _BLOCK + 1) ** 2 * _BLOCK**2 * self.orientations + 1

    def identity(self) -> Mapping[str, Any]:
        return {
            "tower": "hog", "version": 1, "side": self.side, "cell": self.cell, "orientations": self.orientations
        }  # fmt: skip

    def prepare(self, picture: Image.Image) -> NDArray[np.float32]:
        """Raises MissingExtra without scikit-image."""
        try:
            from skimage.feature import hog
        except ImportError as error:
            raise MissingExtra.of("scikit-image", "classic", "the encoder hog") from error
        grey = picture.convert("L").resize((self.side, self.side), Image.Resampling.BILINEAR, reducing_gap=2.0)
        values = hog(
            np.asarray(grey),
            orientations=self.orientations,
            pixels_per_cell=(self.cell, self.cell),
            cells_per_block=(_BLOCK, _BLOCK),
            block_norm="L2-Hys",
        )
        return np.append(values, float(not values.any())).astype(np.float32)

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        return np.stack(prepared)

    def fit(self, pictures: Iterable[Image.Image]) -> None:
        return None

    def files(self) -> Mapping[str, bytes | Path]:
        return {}

    def restore(self, folder: Path) -> None:
        return None


LADDER = (
    Rung(
        "hog", 1765, "shapes, by their edges", packages=("skimage",), extra="classic",
        measured=0.3712, row="foundation:map_hog_exact",
    ),
)  # fmt: skip


def build(*, side: int = 128, cell: int = 16, orientations: int = 9) -> Hog:
    """Raises InputError for sizes that make no block, MissingExtra without scikit-image."""
    if not (8 <= side <= 1024 and 4 <= cell <= side // _BLOCK and 2 <= orientations <= 36):
        raise InputError(
            f"hog takes a side of 8..1024 with at least 2 cells of 4 pixels or more and 2..36 orientations, "
            f"not {side}, {cell}, {orientations}"
        )
    try:
        import skimage.feature  # noqa: F401
    except ImportError as error:
        raise MissingExtra.of("scikit-image", "classic", "the encoder hog") from error
    return Hog(side, cell, orientations)
