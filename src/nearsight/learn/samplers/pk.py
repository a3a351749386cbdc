"""P x K: P classes and K pictures of each, so that every picture has positives and negatives in its batch.

Hermans, Beyer and Leibe (2017). P = batch / K; where there are fewer classes than that, all of them with more pictures
each. Classes come in turn, in random order, each as often as the others give or take one, and a class gives all its
pictures before one comes again. A class with fewer than K pictures repeats them (small=repeat; the loop tells targets
which rows are one picture, so that a repeat is no pair) or is left out (small=skip).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nearsight.core.errors import InputError
from nearsight.learn.matrix import require
from nearsight.learn.samplers import Numbers, Sampler, require_labels
from nearsight.learn.samplers._classes import Classes


@dataclass(frozen=True, eq=False)
class PK(Sampler):
    """Every batch is P * K pictures, class by class."""

    p: int
    k: int
    taken: Numbers
    """Numbers of the classes that are drawn from."""
    classes: Classes

    def __len__(self) -> int:
        return max(1, round(int(self.classes.sizes[self.taken].sum()) / (self.p * self.k)))

    def epoch(self, draw: np.random.Generator) -> Iterator[Numbers]:
        waiting: list[int] = []
        pools: dict[int, Numbers] = {}
        for _ in range(len(self)):
            if len(waiting) < self.p:  # the next round, those that wait already at its end: no class twice in a batch
                following = [int(c) for c in draw.permutation(self.taken)]
                waiting += [c for c in following if c not in waiting] + [c for c in following if c in waiting]
            now, waiting = waiting[: self.p], waiting[self.p :]
            rows = []
            for number in now:
                pool = pools.get(number, np.zeros(0, dtype=np.int64))
                while len(pool) < self.k:
                    pool = np.concatenate([pool, self._again(number, pool, draw)])
                rows.append(pool[: self.k])
                pools[number] = pool[self.k :]
            yield np.concatenate(rows)

    def _again(self, number: int, left: Numbers, draw: np.random.Generator) -> Numbers:
        """The class's pictures once more, those that are still to come last: none twice in K where K are enough."""
        rows = draw.permutation(self.classes.members(number))
        return np.concatenate([np.setdiff1d(rows, left, assume_unique=True), np.intersect1d(rows, left)])

    def left_out(self) -> Numbers:
        return np.flatnonzero(~np.isin(self.classes.of, self.taken)).astype(np.int64)


def build(
    *, labels: Numbers, batch: int, seed: int, k: int = 4, small: Literal["repeat", "skip"] = "repeat"
) -> Sampler:
    """``k``: pictures a class; ``small``: what becomes of a class with fewer."""
    require(k >= 2, f"pk: k must be 2 or more, got {k}")
    labels = require_labels(labels, batch, smallest=2 * k, who="pk")
    classes = Classes(labels)
    taken = np.flatnonzero(classes.sizes >= k) if small == "skip" else np.arange(len(classes.names))
    if len(taken) < 2:
        raise InputError(
            f"pk: {len(taken)} of {len(classes.names)} classes have {k} pictures",
            code="sampler/one-class",
            hint="a smaller k, or small=repeat",
        )
    p = min(batch // k, len(taken))
    return PK(labels, batch, seed, p, max(k, batch // p), taken, classes)
