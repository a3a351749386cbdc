"""A sample of labelled pictures that gives small classes their place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def evenly(labels: Sequence[str | None], count: int, *, together: int = 1, seed: int = 0) -> NDArray[np.int64]:
    """Row numbers of at most `count` pictures, rising: classes take turns, each giving `together` pictures at a time.

    So all classes weigh alike until the small ones are used up. Pictures without a label are one class more. With more
    classes than turns some classes are left out, at random; `together` of 2 or more keeps pairs of one class then.
    """
    if len(labels) <= count:
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    _, code = np.unique([f"={label}" if label is not None else "" for label in labels], return_inverse=True)
    shuffled = rng.permutation(len(labels))
    order = shuffled[np.argsort(code[shuffled], kind="stable")]  # by class, within a class at random
    sizes = np.bincount(code)
    within = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    turn = rng.permutation(len(sizes))[code[order]]
    chosen = order[np.lexsort((within, turn, within // max(1, together)))][:count]
    return np.sort(chosen).astype(np.int64)
