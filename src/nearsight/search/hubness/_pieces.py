"""What the corrections share: their options held to bounds, and what a bank says of each item, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Scores
from nearsight.core.errors import InputError
from nearsight.measure.judged import Floats


def require_k(k: int) -> int:
    """`k`, or InputError (code ``hubness/option``) where it is not 1 or more."""
    if k < 1:
        raise InputError(f"k must be 1 or more, got {k}", code="hubness/option")
    return k


def require_temperature(temperature: float) -> float:
    """`temperature`, or InputError (code ``hubness/option``) where a similarity cannot be divided by it."""
    if not 1e-6 <= temperature <= 1e6:
        raise InputError(
            f"temperature must lie between 1e-6 and 1e6, got {temperature}", code="hubness/option", hint="0.05"
        )
    return temperature


def filled(bank: Iterable[Scores]) -> Iterator[Scores]:
    """The blocks that hold a query. Raises InputError (code ``hubness/bank``) at the end where none did."""
    empty = True
    for scores in bank:
        if len(scores):
            empty = False
            yield scores
    if empty:
        raise InputError(
            "a hubness correction needs a bank of queries, and this one is empty",
            code="hubness/bank",
            hint="take pictures and captions of the training split",
        )


class SoftMean:
    """(n,) ``t log mean exp(s / t)`` over the bank's similarities to each item: from their mean (t large) to their
    maximum (t small). Made of blocks, at any temperature, without overflow."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature
        self.count = 0
        self.top: Floats = np.empty(0)
        self.total: Floats = np.empty(0)

    def add(self, scores: Scores) -> None:
        """One block (b, n)."""
        scaled = scores.astype(np.float64) / self.temperature
        top = scaled.max(axis=0)
        if self.count:
            top = np.maximum(top, self.top)
            self.total *= np.exp(self.top - top)
        else:
            self.total = np.zeros_like(top)
        self.total += np.exp(scaled - top).sum(axis=0)
        self.top = top
        self.count += len(scores)

    def value(self) -> Floats:
        """(n,)."""
        mean: Floats = self.temperature * (self.top + np.log(self.total / self.count))
        return mean


def minus(scores: Scores, items: Floats) -> Scores:
    """(q, n) similarities less (n,) what is known of the items; rounded once."""
    return (scores - items).astype(np.float32)


def best(scores: Scores, k: int, axis: int) -> NDArray[np.float32]:
    """The k largest along an axis (all, where there are fewer), the smallest of them first."""
    count = scores.shape[axis]
    if k < count:
        scores = np.take(np.partition(scores, count - k, axis=axis), range(count - k, count), axis=axis)
    return np.sort(scores, axis=axis)
