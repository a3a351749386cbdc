"""One learned vector a class (a proxy, a centre, the row of a linear classifier), or several.

Movshovitz-Attias et al., "No Fuss Distance Metric Learning using Proxies" (ICCV 2017). With ``centres`` above 1 a
class's score is that of its best centre: Deng et al., "Sub-center ArcFace" (ECCV 2020). With ``bias`` and dot scores
it is the last layer of a classifier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearsight.core.errors import InputError
from nearsight.learn.matrix import require
from nearsight.learn.targets import Columns, Target, require_labels
from nearsight.learn.targets._state import nothing

if TYPE_CHECKING:
    from torch import Tensor


class Proxies(Target):
    """Columns are classes 0 .. classes - 1, all of them, in the batch or not."""

    def __init__(self, classes: int, dim: int, seed: int, centres: int, bias: bool) -> None:
        self.classes, self.centres, self.module = classes, centres, nothing()
        import torch

        drawn = torch.randn(classes * centres, dim, generator=torch.Generator().manual_seed(seed)) / dim**0.5
        self.module.register_parameter("vectors", torch.nn.Parameter(drawn))
        self.module.register_parameter("bias", torch.nn.Parameter(torch.zeros(classes)) if bias else None)

    def __call__(self, anchors: Tensor, labels: Tensor, items: Tensor | None = None) -> Columns:
        import torch

        require_labels(anchors, labels, items)
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise InputError(
                f"labels {int(labels.min())} to {int(labels.max())} are not all within 0 .. {self.classes - 1}",
                code="target/labels",
            )
        right = labels[:, None] == torch.arange(self.classes, device=labels.device)[None, :]
        return Columns(self.module.vectors, right, ~right, self.module.bias, self.centres)


def build(*, classes: int, dim: int, seed: int, centres: int = 1, bias: bool = False) -> Target:
    """``centres``: vectors a class; ``bias``: a learned number a class, for dot scores."""
    require(classes >= 1 and dim >= 1, f"proxies: {classes} classes of {dim} dimensions")
    require(centres >= 1, f"proxies: centres must be 1 or more, got {centres}")
    return Proxies(classes, dim, seed, centres, bias)
