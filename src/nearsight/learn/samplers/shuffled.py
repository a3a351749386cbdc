"""Every picture once an epoch, in random order.

Batches are of one size, give or take a picture: nothing is dropped, and no last batch is so small that batch norm
fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nearsight.learn.samplers import Numbers, Sampler, evenly, require_labels


@dataclass(frozen=True, eq=False)
class Shuffled(Sampler):
    """For losses with class vectors; a batch need not hold two of a class."""

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch)

    def epoch(self, draw: np.random.Generator) -> Iterator[Numbers]:
        yield from evenly(draw.permutation(len(self.labels)), len(self))


def build(*, labels: Numbers, batch: int, seed: int) -> Sampler:
    """No options."""
    return Shuffled(require_labels(labels, batch, smallest=1, who="shuffled"), batch, seed)
