"""Each of n vectors against all the others, in tiles of rows against rows: memory for two blocks and their product.

`near` says which have a neighbour at all. `led` makes groups of them, as the loop over all pairs would::

    for i in order: for j behind i: if neither is led, their cosine is at_least, and same(i, j): i leads j

So whatever is led is the same as its leader, not only as somebody in between: a chain of pictures, each a little unlike
the one before, does not become one group, and of each group the first in order stays. What is led is compared no more,
so that a thousand shots of one thing cost little more than one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors
from nearsight.core.events import Step

Rows = NDArray[np.int64]
Same = Callable[[Rows, Rows], NDArray[np.bool_]]
"""Pairs of rows (p,), (p,) -> (p,) whether they are the same, looked at closely."""

BLOCK = 2048
_PAIRS = 2048
"""Looked at closely at once."""
ROUNDING = 1e-6
"""Two copies of one vector may have a cosine of 0.9999999 in float32."""


@dataclass(frozen=True, slots=True)
class Led:
    """leader (n,): the row that leads each, -1 where none does; cosine (n,): of the two, 0 where none does."""

    leader: Rows
    cosine: NDArray[np.float32]


def near(
    read: Callable[[Rows], Vectors], count: int, at_least: float, *, block: int = BLOCK
) -> Generator[Step, None, NDArray[np.bool_]]:
    """Which of `count` rows have another one with a cosine of `at_least`: (n,). `read`: rows (m,) -> vectors (m, d)."""
    found = np.zeros(count, dtype=np.bool_)
    done, total = 0, count * (count + 1) // 2
    for start in range(0, count, block):
        rows = np.arange(start, min(start + block, count))
        vectors = read(rows)
        for place in range(start, count, block):
            others = np.arange(place, min(place + block, count))
            scores = vectors @ (vectors if place == start else read(others)).T
            if place == start:
                np.fill_diagonal(scores, -np.inf)
            close = scores >= at_least - ROUNDING
            found[rows] |= close.any(axis=1)
            found[others] |= close.any(axis=0)
            done += rows.size * (rows.size + 1) // 2 if place == start else close.size
            yield Step("comparing", done, total)
    return found


def led(
    read: Callable[[Rows], Vectors], count: int, at_least: float, same: Same | None = None, *, block: int = BLOCK
) -> Generator[Step, None, Led]:
    """Who leads whom of `count` rows, the best first; see the module. Without `same` the vectors alone decide."""
    answer = Led(np.full(count, -1, dtype=np.int64), np.zeros(count, dtype=np.float32))
    for start in range(0, count, block):
        rows = _free(answer, start, block)
        vectors = read(rows)
        scores = vectors @ vectors.T
        scores[np.tril_indices(rows.size)] = -np.inf
        yield from _settle(answer, rows, rows, scores, at_least, same)
        leading = answer.leader[rows] < 0
        rows, vectors = rows[leading], vectors[leading]
        for place in range(start + block, count, block):
            others = _free(answer, place, block)
            yield from _settle(answer, rows, others, vectors @ read(others).T, at_least, same)
    return answer


def _free(answer: Led, start: int, block: int) -> Rows:
    return start + np.flatnonzero(answer.leader[start : start + block] < 0)


def _settle(
    answer: Led, rows: Rows, others: Rows, scores: NDArray[np.float32], at_least: float, same: Same | None
) -> Generator[Step, None, None]:
    """Go through the pairs of one tile in order, some at a time: what is led by then is not looked at any more."""
    left, right = np.nonzero(scores >= at_least - ROUNDING)
    one, other, cosine = rows[left], others[right], scores[left, right]
    while one.size:
        some = slice(0, _PAIRS)
        alike = np.ones(one[some].size, dtype=np.bool_) if same is None else same(one[some], other[some])
        for at in np.flatnonzero(alike).tolist():
            if answer.leader[one[at]] < 0 and answer.leader[other[at]] < 0:
                answer.leader[other[at]], answer.cosine[other[at]] = one[at], cosine[at]
        free = (answer.leader[one] < 0) & (answer.leader[other] < 0)
        free[some] = False
        one, other, cosine = one[free], other[free], cosine[free]
        yield Step("grouping", int(rows[0]), answer.leader.size)
    yield Step("grouping", int(rows[0]) if rows.size else 0, answer.leader.size)
