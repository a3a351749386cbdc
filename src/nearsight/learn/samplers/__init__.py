"""A sampler says which pictures make a batch. numpy only.

To add one, write ``samplers/NAME.py`` with a docstring and ``build(*, labels, batch: int, seed: int, option=default,
...) -> Sampler`` (the first three are given by the loop). tests/contracts/test_samplers.py finds it and holds it to
this: an epoch's batches follow from (labels, options, seed, epoch) alone, and start at any position as they would
have come, so that (seed, epoch, position) is all there is to save; every epoch is another order; there are `len`
batches, none larger than ``batch`` but where one group needs more, none empty; every picture is drawn within some
epochs, but those that `left_out` names; labels that cannot be learned from are refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import InputError
from nearsight.core.registry import Catalogue

SAMPLERS = Catalogue("nearsight.learn.samplers", "sampler")

Numbers = NDArray[np.int64]
"""(n,) labels of a training set, or (b,) row numbers in it."""


@dataclass(frozen=True, eq=False)
class Sampler(ABC):
    """Batches of row numbers, epoch by epoch. It remembers nothing."""

    labels: Numbers
    """(n,)."""
    batch: int
    """Pictures a batch."""
    seed: int
    target: ClassVar[str | None] = None
    """The address of the target that its batches are laid out for; None: any."""

    @abstractmethod
    def __len__(self) -> int:
        """Batches an epoch; the same in every epoch."""

    @abstractmethod
    def epoch(self, draw: np.random.Generator) -> Iterator[Numbers]:
        """One epoch's batches; `draw` is seeded by seed and epoch."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[Numbers]:
        """The batches of epoch 0, 1, ..., from position `start`: what a resumed run goes on with."""
        order = self.epoch(np.random.default_rng((self.seed, epoch)))
        for position, rows in enumerate(order):
            if position >= start:
                yield rows

    def left_out(self) -> Numbers:
        """Row numbers that are never drawn; the loop reports them."""
        return np.zeros(0, dtype=np.int64)


def require_labels(labels: Numbers, batch: int, *, smallest: int, who: str) -> Numbers:
    """`labels` as int64, or InputError: ``sampler/labels`` for other things, ``sampler/batch`` for a batch below
    `smallest`, ``sampler/empty`` for no pictures, ``sampler/one-class`` where all labels are one."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"{who}: labels are whole numbers (n,), got {labels.dtype} {labels.shape}", code="sampler/labels"
        )
    if batch < smallest:
        raise InputError(f"{who}: a batch is {smallest} pictures or more, got {batch}", code="sampler/batch")
    if not len(labels):
        raise InputError(f"{who}: there are no pictures to learn from", code="sampler/empty")
    if labels.min() == labels.max():
        raise InputError(
            f"{who}: all {len(labels)} pictures have one label, and nothing tells them apart",
            code="sampler/one-class",
            hint="give at least two classes: one folder each, or another label column",
        )
    return labels.astype(np.int64)


def evenly(rows: Numbers, pieces: int) -> list[Numbers]:
    """`rows` cut into `pieces` whose lengths differ by one at most: no last batch of a single picture."""
    return list(np.array_split(rows, pieces))
