"""Pictures against captions, and captions against pictures: two pictures, or two captions, are never compared.

Every picture of a batch is scored against every caption of it, and every caption against every picture. The first row
of a label is its picture, the others are its captions (the samplers ``captions`` and ``caption_triplets`` lay batches
out so), and none of them is ever a negative of another. With a temperature the scores are divided by it, and it is
learned as in CLIP (Radford et al., ICML 2021: its inverse is kept by its logarithm and is 100 at most); with a bias too
they are the logits of SigLIP (Zhai et al., ICCV 2023). The loss then takes them as they are: ``infonce?temperature=1``,
``sigmoid``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from nearsight.encode.export import need_torch
from nearsight.learn.matrix import require
from nearsight.learn.targets import Columns, Target, require_labels
from nearsight.learn.targets._state import nothing, own

if TYPE_CHECKING:
    from torch import Tensor

Direction = Literal["both", "image_to_text", "text_to_image"]
_SHARPEST = 100.0


class Opposite(Target):
    """Anchors are the rows that `direction` begins with; ``both``: all."""

    by_prefix = True

    def __init__(self, direction: Direction, temperature: float, learned: bool, bias: float) -> None:
        self.module: Any = nothing()
        self.direction = direction
        if temperature:
            torch = need_torch("training")
            self.module.scale = torch.nn.Parameter(
                torch.tensor(-math.log(temperature), dtype=torch.float32), requires_grad=learned
            )
            self.module.bias = torch.nn.Parameter(torch.tensor(float(bias)), requires_grad=learned and bool(bias))

    def __call__(self, anchors: Tensor, labels: Tensor, items: Tensor | None = None) -> Columns:
        require_labels(anchors, labels, items)
        same = labels[:, None] == labels[None, :]
        picture = ~same.tril(-1).any(dim=1)
        across = (picture[:, None] != picture[None, :]) & ~own(labels, items)
        if self.direction != "both":
            across = across & (picture if self.direction == "image_to_text" else ~picture)[:, None]
        columns = Columns(anchors, same & across, ~same & across)
        if not hasattr(self.module, "scale"):
            return columns
        scale = self.module.scale.clamp(max=math.log(_SHARPEST)).exp()
        return Columns(anchors, columns.positive, columns.negative, self.module.bias, scale=scale)


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
