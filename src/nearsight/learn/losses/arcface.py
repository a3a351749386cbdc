"""ArcFace: softmax over cosines, with an angle added to the right one.

Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition" (CVPR 2019): -log( e^{z cos(a_y + m)} /
(e^{z cos(a_y + m)} + sum_{c != y} e^{z cos a_c}) ). Beyond a_y = pi - m, where cos(a + m) would rise again, cos a - m
sin m stands in its place, as in the authors' code. Mean over rows with a positive and a negative. Sub-centres (ECCV
2020) are the target ``proxies?centres=3``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nearsight.learn.losses import Loss
from nearsight.learn.losses._pieces import cross_entropy
from nearsight.learn.matrix import require, root

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ArcFace(Loss):
    """``margin`` in radians."""

    target: ClassVar[str] = "proxies"
    margin: float = 0.5
    scale: float = 64.0

    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        # cos(a + m) without acos, whose gradient is infinite where a vector meets its proxy
        sine = root((1 - scores.square()).clamp(min=0))
        turned = scores * math.cos(self.margin) - sine * math.sin(self.margin)
        beyond = scores < -math.cos(self.margin)
        turned = (scores - self.margin * math.sin(self.margin)).where(beyond, turned)
        return cross_entropy(self.scale * turned.where(positive, scores), positive, negative)


def build(*, margin: float = 0.5, scale: float = 64.0) -> Loss:
    """The paper's values. Small data sets and frozen towers want a smaller scale (16 to 32)."""
    require(0 <= margin < math.pi / 2, f"arcface: margin is an angle in [0, pi/2), got {margin}")
    require(scale > 0, f"arcface: scale must be above 0, got {scale}")
    return ArcFace(margin=margin, scale=scale)
