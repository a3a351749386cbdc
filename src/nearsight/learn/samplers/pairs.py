"""Pairs at random: every picture once an epoch as an anchor, beside another of its class or one of another class.

The training of siamese networks without mining. A batch is anchor, partner, anchor, partner, ...: batch / 2
comparisons, judged alone with the target ``drawn?size=2``. A picture that is alone in its class meets only others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nearsight.learn.matrix import require
from nearsight.learn.samplers import Numbers, Sampler, evenly, require_labels
from nearsight.learn.samplers._classes import Classes


@dataclass(frozen=True, eq=False)
class Pairs(Sampler):
    """``positive``: the share of anchors beside one of their class."""

    target = "drawn?size=2"
    positive: float
    classes: Classes

    def __len__(self) -> int:
        return -(-len(self.labels) // (self.batch // 2))

    def epoch(self, draw: np.random.Generator) -> Iterator[Numbers]:
        for anchors in evenly(draw.permutation(len(self.labels)), len(self)):
            alone = self.classes.sizes[self.classes.of[anchors]] == 1
            same = (draw.random(len(anchors)) < self.positive) & ~alone
            partners = self.classes.other(anchors, draw)
            partners[same] = self.classes.same(anchors[same], draw)
            yield np.stack([anchors, partners], axis=1).ravel()


def build(*, labels: Numbers, batch: int, seed: int, positive: float = 0.5) -> Sampler:
    """``positive``: the share of pairs of one class."""
    require(0 < positive < 1, f"pairs: positive is a share above 0 and below 1, got {positive}")
    labels = require_labels(labels, batch, smallest=2, who="pairs")
    return Pairs(labels, batch, seed, positive, Classes(labels))
