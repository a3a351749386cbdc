"""Triplets of pictures and captions at random: every picture once an epoch, with one caption and one stranger.

The training of two-branch networks without mining: picture, its caption, another picture's caption (anchor=picture);
or caption, its picture, another picture (anchor=caption). The first row of a label is its picture, the others are its
captions. A batch is batch / 3 triplets, judged alone with the target ``drawn?size=3``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nearsight.learn.samplers import Numbers, Sampler, evenly, require_labels
from nearsight.learn.samplers._captions import Captions


@dataclass(frozen=True, eq=False)
class CaptionTriplets(Sampler):
    """`anchor`: what the first of a triplet is."""

    target = "drawn?size=3"
    anchor: Literal["picture", "caption"]
    captions: Captions

    def __len__(self) -> int:
        return -(-len(self.captions.pictures) // (self.batch // 3))

    def epoch(self, draw: np.random.Generator) -> Iterator[Numbers]:
        known = self.captions
        n = len(known.pictures)
        for own in evenly(draw.permutation(n), len(self)):
            other = (own + draw.integers(1, n, size=len(own))) % n
            mine = known.of(own, 1, draw)[:, 0]
            if self.anchor == "picture":
                rows = known.pictures[own], mine, known.of(other, 1, draw)[:, 0]
            else:
                rows = mine, known.pictures[own], known.pictures[other]
            yield np.stack(rows, axis=1).ravel()

    def left_out(self) -> Numbers:
        return self.captions.bare


def build(*, labels: Numbers, batch: int, seed: int, anchor: Literal["picture", "caption"] = "picture") -> Sampler:
    """``anchor``: picture or caption. Pictures without captions are left out."""
    labels = require_labels(labels, batch, smallest=3, who="caption_triplets")
    return CaptionTriplets(labels, batch, seed, anchor, Captions(labels, "caption_triplets"))
