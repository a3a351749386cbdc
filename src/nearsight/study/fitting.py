"""Letting an encoder learn from the pictures that it may see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from nearsight.core.errors import PictureError
from nearsight.core.items import Item
from nearsight.data.datasets import Dataset
from nearsight.encode.encoder import Encoder
from nearsight.study.pictures import Pictures

SAMPLE = 1000


def fit_on(
    encoder: Encoder,
    dataset: Dataset,
    *,
    counted: Callable[[Iterable[Image.Image]], Iterable[Image.Image]] = iter,
    seed: int = 0,
) -> tuple[str, ...]:
    """Fit `encoder` (if it learns at all) on the training split; on all pictures where there is none.

    Returns what the protocol card must say of it under ``transductive``: empty unless queries were learned from.
    `counted` may watch the pictures go by.
    """
    if encoder.tower.fitted:
        return ()
    train = dataset.split("train") if "train" in dataset.splits else ()
    encoder.fit(counted(_pictures(train or dataset.items, encoder.tower.side, seed)))
    return () if train else (f"{encoder.tower.address} learned from all pictures, the queries' too (not their labels)",)


def _pictures(items: Sequence[Item], side: int, seed: int) -> Iterator[Image.Image]:
    """Up to SAMPLE readable pictures in random order."""
    pictures = Pictures.default()
    for at in np.random.default_rng(seed).permutation(len(items))[:SAMPLE]:
        path: Path = items[at].path
        try:
            picture = pictures.decode(pictures.read(path), side)
        except PictureError:
            continue  # the study names it
        yield picture
