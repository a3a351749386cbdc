"""Normalised softmax: cross-entropy over cosines to one vector a class.

Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning" (BMVC 2019); NormFace of Wang et al. (ACM MM
2017). -sum_c q_c log softmax_c(cos / temperature), where q is 1 for the class, or with label ``smoothing`` e:
1 - e + e/C for it and e/C for the others (Szegedy et al., CVPR 2016). Mean over rows with a positive and a negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nearsight.learn.losses import Loss
from nearsight.learn.losses._pieces import cross_entropy, logits_of
from nearsight.learn.matrix import require

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NormalisedSoftmax(Loss):
    """Where a row has several positives, they share q alike."""

    target: ClassVar[str] = "proxies"
    temperature: float = 0.05
    smoothing: float = 0.0

    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return cross_entropy(logits_of(scores, self.temperature), positive, negative, self.smoothing)


def build(*, temperature: float = 0.05, smoothing: float = 0.0) -> Loss:
    """``temperature``: divides cosines; ``smoothing``: of labels, in [0, 1)."""
    require(temperature > 0, f"normalised_softmax: temperature must be above 0, got {temperature}")
    require(0 <= smoothing < 1, f"normalised_softmax: smoothing must be in [0, 1), got {smoothing}")
    return NormalisedSoftmax(temperature=temperature, smoothing=smoothing)
