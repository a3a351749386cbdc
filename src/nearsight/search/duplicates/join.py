"""Each of n vectors against all the others, in tiles of rows against rows: memory for two blocks and their product.

`near` says which have a neighbour at all. `led` makes groups of them, as the loop over all pairs would::

    for i in order: for j behind i: if neither is led, their cosine is at_least, and same(i, j): i leads j

So whatever is led is the same as its leader, not only as somebody in between: a chain of pictures, each a little unlike
the one before, does not become one group, and of each group the first in order stays. What is led is compared no more,
so that a thousand shots of one thing cost little more than one.

Most pairs are ruled out by a short form of their vectors (`Rows`), exactly: nothing that is near is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors
from nearsight.core.events import Step

Places: TypeAlias = NDArray[np.int64]
Pairs: TypeAlias = tuple[Places, Places, NDArray[np.float32]]
"""Row, other row, their cosine: (p,) each, by the first, then by the second."""
Same: TypeAlias = Callable[[Places, Places], NDArray[np.bool_]]
"""Pairs of rows (p,), (p,) -> (p,) whether they are the same, looked at closely."""

BLOCK = 2048
_PAIRS = 2048
"""Looked at closely at once."""
_SAMPLE = 4096
_SHORTER = 6
"""Times that the short form is shorter than the vectors."""
_SHORT_BYTES = 256 << 20
"""Of all short forms together; more rows have shorter ones."""
_MANY = 0.005
"""Of a tile: where more pairs than that are left, their cosines come from one product, not one by one."""
ROUNDING = 1e-6
"""Two copies of one vector may have a cosine of 0.9999999 in float32."""


class Rows:
    """`count` unit vectors that `read` gives: rows (m,) -> (m, d).

    Turned so that the first numbers have as much of their length as possible (the main axes of a sample, not centred),
    a vector is those numbers, and a rest of length r. Of two rests nobody knows more than that their product is at most
    r r': so the first numbers' product and r r' bound the cosine from above, and one product of matrices over d / 6 + 1
    numbers rules out what is below the threshold.
    """

    def __init__(self, read: Callable[[Places], Vectors], count: int, *, block: int = BLOCK) -> None:
        self.read, self.count, self.block = read, count, block
        self._short: NDArray[np.float32] | None = None
        if count > 2 * block:
            self._short = self._shortened()

    def _shortened(self) -> NDArray[np.float32] | None:
        sample = self.read(np.unique(np.linspace(0, self.count - 1, _SAMPLE, dtype=np.int64)))
        kept = min(sample.shape[1] // _SHORTER, _SHORT_BYTES // (4 * self.count))
        if kept < 1:
            return None
        axes = np.linalg.eigh(sample.T @ sample)[1][:, -kept:]
        short = np.empty((self.count, kept + 1), dtype=np.float32)
        for start in range(0, self.count, self.block):
            vectors = self.read(np.arange(start, min(start + self.block, self.count)))
            first = vectors @ axes
            short[start : start + self.block, :-1] = first
            rest = np.einsum("nd,nd->n", vectors, vectors) - np.einsum("nd,nd->n", first, first)
            short[start : start + self.block, -1] = np.sqrt(np.maximum(rest, 0) + ROUNDING)
        return short

    def pairs(self, rows: Places, others: Places, at_least: float) -> Pairs:
        """Of each of `rows` with each of `others`, those whose cosine is `at_least`."""
        least = at_least - ROUNDING
        if self._short is not None:
            left, right = np.nonzero(self._short[rows] @ self._short[others].T >= least)
            if left.size <= _MANY * rows.size * others.size:
                one, other = rows[left], others[right]
                cosine = self._cosines(one, other)
                near_ones = cosine >= least
                return one[near_ones], other[near_ones], cosine[near_ones]
        scores = self.read(rows) @ self.read(others).T
        left, right = np.nonzero(scores >= least)
        return rows[left], others[right], scores[left, right]

    def _cosines(self, one: Places, other: Places) -> NDArray[np.float32]:
        cosines = np.empty(one.size, dtype=np.float32)
        for start in range(0, one.size, self.block):
            some = slice(start, start + self.block)
            cosines[some] = np.einsum("pd,pd->p", self.read(one[some]), self.read(other[some]))
        return cosines


@dataclass(frozen=True, slots=True)
class Led:
    """leader (n,): the row that leads each, -1 where none does; cosine (n,): of the two, 0 where none does."""

    leader: Places
    cosine: NDArray[np.float32]


def near(rows: Rows, at_least: float) -> Generator[Step, None, NDArray[np.bool_]]:
    """Which rows have another one with a cosine of `at_least`: (n,)."""
    count, block = rows.count, rows.block
    found = np.zeros(count, dtype=np.bool_)
    done, total = 0, count * (count + 1) // 2
    for start in range(0, count, block):
        some = np.arange(start, min(start + block, count))
        for place in range(start, count, block):
            others = np.arange(place, min(place + block, count))
            one, other, _ = rows.pairs(some, others, at_least)
            differ = one != other
            found[one[differ]] = found[other[differ]] = True
            done += some.size * (some.size + 1) // 2 if place == start else some.size * others.size
            yield Step("comparing", done, total)
    return found


def led(rows: Rows, at_least: float, same: Same | None = None) -> Generator[Step, None, Led]:
    """Who leads whom, the best first; see the module. Without `same` the vectors alone decide."""
    count, block = rows.count, rows.block
    answer = Led(np.full(count, -1, dtype=np.int64), np.zeros(count, dtype=np.float32))
    for start in range(0, count, block):
        for place in range(start, count, block):
            some, others = (at + np.flatnonzero(answer.leader[at : at + block] < 0) for at in (start, place))
            one, other, cosine = rows.pairs(some, others, at_least)
            behind = one < other
            yield from _settle(answer, (one[behind], other[behind], cosine[behind]), same)
        yield Step("grouping", min(start + block, count), count)
    return answer


def _settle(answer: Led, pairs: Pairs, same: Same | None) -> Generator[Step, None, None]:
    """Go through the pairs of one tile in order, some at a time: what is led by then is not looked at any more."""
    one, other, cosine = pairs
    while one.size:
        some = slice(0, _PAIRS)
        alike = np.ones(one[some].size, dtype=np.bool_) if same is None else same(one[some], other[some])
        for at in np.flatnonzero(alike).tolist():
            if answer.leader[one[at]] < 0 and answer.leader[other[at]] < 0:
                answer.leader[other[at]], answer.cosine[other[at]] = one[at], cosine[at]
        yield Step("grouping", int(one[0]), answer.leader.size)
        free = (answer.leader[one] < 0) & (answer.leader[other] < 0)
        free[some] = False
        one, other, cosine = one[free], other[free], cosine[free]
