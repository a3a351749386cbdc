"""Pictures against captions, and captions against pictures: two pictures, or two captions, are never compared.

Every picture of a batch is scored against every caption of it, and the same scores are those of every caption against
every picture. The first row of a label is its picture, the others are its captions (the samplers ``captions`` and
``caption_triplets`` lay batches out so), and none of them is ever a negative of another. With a temperature the scores
are divided by it, and it is learned as in CLIP (Radford et al., ICML 2021: its inverse is kept by its logarithm and is
100 at most); with a bias too they are the logits of SigLIP (Zhai et al., ICCV 2023). The loss then takes them as they
are: ``infonce?temperature=1``, ``sigmoid``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from nearsight.encode.export import need_torch
from nearsight.learn.matrix import require
from nearsight.learn.targets import Columns, Target, require_labels
from nearsight.learn.targets._state import nothing

if TYPE_CHECKING:
    from torch import Tensor

Direction = Literal["both", "image_to_text", "text_to_image"]
_SHARPEST = 100.0


class Opposite(Target):
    """Anchors are the rows that `direction` begins with, columns the others; ``both``: and the other way round."""

    by_prefix = True

    def __init__(self, direction: Direction, temperature: float, learned: bool, bias: float) -> None:
        self.module: Any = nothing()
        self.direction, self.by_column = direction, direction != "both"
        if temperature:
            torch = need_torch("training")
            self.module.scale = torch.nn.Parameter(
                torch.tensor(-math.log(temperature), dtype=torch.float32), requires_grad=learned
            )
            self.module.bias = torch.nn.Parameter(torch.tensor(float(bias)), requires_grad=learned and bool(bias))

    def __call__(self, anchors: Tensor, labels: Tensor, items: Tensor | None = None) -> Columns:
        require_labels(anchors, labels, items)
        picture = _first(labels)
        rows, columns = picture.nonzero()[:, 0], (~picture).nonzero()[:, 0]
        if self.direction == "text_to_image":
            rows, columns = columns, rows
        same = labels[rows, None] == labels[columns]
        pairs = ~same.new_zeros(same.shape) if items is None else items[rows, None] != items[columns]
        scale = bias = None
        if hasattr(self.module, "scale"):
            scale, bias = self.module.scale.clamp(max=math.log(_SHARPEST)).exp(), self.module.bias
        both = self.direction == "both"
        return Columns(anchors[columns], same & pairs, ~same & pairs, bias, scale=scale, rows=rows, both=both)


def _first(labels: Tensor) -> Tensor:
    """(n,) bool: the first row of each label."""
    import torch

    ordered, order = labels.sort(stable=True)
    begins = torch.ones_like(labels, dtype=torch.bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    return begins.scatter(0, order, begins)


def build(
    *,
    classes: int,
    dim: int,
    seed: int,
    direction: Direction = "both",
    temperature: float = 0.0,
    learned: bool = True,
    bias: float = 0.0,
) -> Target:
    """``direction``: both, image_to_text, text_to_image; ``temperature``, ``bias``: where they start, 0 for none.

    Raises InputError (code ``learn/option``).
    """
    require(temperature >= 0, f"opposite: temperature must not be below 0, got {temperature}")
    require(not bias or temperature > 0, "opposite: a bias goes with a temperature")
    return Opposite(direction, temperature, learned, bias)
