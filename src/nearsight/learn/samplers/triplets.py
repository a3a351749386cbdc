"""Triplets at random: every picture once an epoch as an anchor, beside another of its class and one of another class.

The training of triplet networks without mining. A batch is anchor, positive, negative, anchor, ...: batch / 3 triplets,
judged alone with the target ``drawn?size=3``. A picture that is alone in its class is no anchor; it may be a negative.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nearsight.core.errors import InputError
from nearsight.learn.samplers import Numbers, Sampler, evenly, require_labels
from nearsight.learn.samplers._classes import Classes


@dataclass(frozen=True, eq=False)
class Triplets(Sampler):
    """`anchors`: the rows whose class has another."""

    target = "drawn?size=3"
    anchors: Numbers
    classes: Classes

    def __len__(self) -> int:
        return -(-len(self.anchors) // (self.batch // 3))

    def epoch(self, draw: np.random.Generator) -> Iterator[Numbers]:
        for anchors in evenly(draw.permutation(self.anchors), len(self)):
            partners = self.classes.same(anchors, draw), self.classes.other(anchors, draw)
            yield np.stack([anchors, *partners], axis=1).ravel()


def build(*, labels: Numbers, batch: int, seed: int) -> Sampler:
    """No options."""
    labels = require_labels(labels, batch, smallest=3, who="triplets")
    classes = Classes(labels)
    anchors = np.flatnonzero(classes.sizes[classes.of] > 1)
    if not len(anchors):
        raise InputError(
            "triplets: every class has one picture, so that there is nothing to pull together",
            code="sampler/one-picture",
            hint="give classes of two pictures and more",
        )
    return Triplets(labels, batch, seed, anchors, classes)
