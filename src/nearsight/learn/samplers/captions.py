"""Pictures with captions: every picture once an epoch, beside ``k`` of its captions at random.

The first row of a label is its picture, the others are its captions. A batch is picture, k captions, picture, ...: no
picture stands twice in one, and the target ``opposite`` scores pictures and captions against each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nearsight.learn.matrix import require
from nearsight.learn.samplers import Numbers, Sampler, evenly, require_labels
from nearsight.learn.samplers._captions import Captions


@dataclass(frozen=True, eq=False)
class PicturesWithCaptions(Sampler):
    """`pictures` that have fewer than k captions stand beside some of them twice."""

    target = "opposite"
    k: int
    captions: Captions

    def __len__(self) -> int:
        return -(-len(self.captions.pictures) // (self.batch // (1 + self.k)))

    def epoch(self, draw: np.random.Generator) -> Iterator[Numbers]:
        order = self.captions.of(np.arange(len(self.captions.pictures)), self.k, draw)
        rows = np.concatenate([self.captions.pictures[:, None], order], axis=1)
        for groups in evenly(draw.permutation(len(rows)), len(self)):
            yield rows[groups].ravel()

    def left_out(self) -> Numbers:
        return self.captions.bare


def build(*, labels: Numbers, batch: int, seed: int, k: int = 1) -> Sampler:
    """``k``: captions of a picture in a batch. Pictures without captions are left out."""
    require(k >= 1, f"captions: k is 1 or more, got {k}")
    labels = require_labels(labels, batch, smallest=2 * (1 + k), who="captions")
    return PicturesWithCaptions(labels, batch, seed, k, Captions(labels, "captions"))
