"""Handwritten digits, 10 classes: the 1,797 real scans that come with scikit-learn (UCI Optical Recognition).

The scans are 8 x 8 with 17 levels of ink; they are written as greyscale PNG, dark ink on white, enlarged bicubically.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from nearsight.core.errors import DatasetError, MissingExtra
from nearsight.data.datasets import Dataset
from nearsight.data.datasets._made import Made, made

MAKER = 1
_TEST_SHARE = 0.3


def build(variant: str | None = None, *, root: Path | None, size: int = 32) -> Dataset:
    """`size` is the side in pixels, 8 to 512. The split is ours and fixed: 30% of each class, drawn once, are the test.

    Raises DatasetError (``dataset/option``, ``dataset/variant``), MissingExtra without scikit-learn, WriteFailed.
    """
    if variant is not None:
        raise DatasetError(f"digits has no variant '{variant}'", code="dataset/variant", hint="write `digits`")
    if not 8 <= size <= 512:
        raise DatasetError(f"size must be 8 to 512, not {size}", code="dataset/option", hint="digits?size=32")
    return Dataset("digits", made(root, f"digits-{size}px", {"maker": MAKER, "size": size}, _pictures(size)))


def _pictures(size: int) -> Iterator[Made]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtra.of("scikit-learn", "all", "the data set 'digits'") from error
    scans = load_digits()
    test = _test_rows([int(digit) for digit in scans.target])
    for row, (scan, digit) in enumerate(zip(scans.images, scans.target, strict=True)):
        ink = Image.fromarray((255 - scan * 255 / 16).round().astype("uint8"))
        content = io.BytesIO()
        ink.resize((size, size), Image.Resampling.BICUBIC).save(content, "PNG")
        split = "test" if row in test else "train"
        yield Made(f"{split}/{digit}/{row:04d}.png", content.getvalue(), str(digit), split)


def _test_rows(digits: list[int]) -> set[int]:
    chance = random.Random("digits")
    test: set[int] = set()
    for digit in sorted(set(digits)):
        rows = [row for row, other in enumerate(digits) if other == digit]
        chance.shuffle(rows)
        test.update(rows[: round(_TEST_SHARE * len(rows))])
    return test
