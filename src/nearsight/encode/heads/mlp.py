"""Linear layers with a nonlinearity between them: Linear, BN, GELU, Dropout, Linear.

``residual=true`` adds the input, or a linear projection of it where ``dim`` is another than the tower's, as the heads
of Chen et al., "Learning the Best Pooling Strategy for Visual Semantic Embedding" (CVPR 2021) do: the layers then
learn what a projection lacks. ``mlp?layers=3&activation=relu&norm=false&last=true`` is three times (Linear, ReLU).

For features that are frozen the input can be made ready first, in this order: ``power`` (0.5: square roots, which keep
the few strong channels of a pooled network from deciding alone: Perronnin, Sanchez and Mensink, ECCV 2010; values below
0 count as 0), ``standardise`` (each dimension minus its mean, over its deviation) and ``input_dropout``.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from nearsight.core.errors import InputError
from nearsight.encode.export import need_torch
from nearsight.encode.heads import require_dim

_TINY = 1e-6


def build(
    *,
    width: int,
    seed: int,
    dim: int = 512,
    hidden: int = 0,
    layers: int = 2,
    dropout: float = 0.0,
    activation: str = "gelu",
    norm: bool = True,
    last: bool = False,
    residual: bool = False,
    power: float = 1.0,
    standardise: bool = False,
    input_dropout: float = 0.0,
) -> Any:
    """``hidden``: width of the layers between (0: the tower's); ``activation``: gelu or relu; ``norm``: batch norm.

    ``last``: the activation stands behind the last layer too. A ReLU there may leave a vector all 0, which has no
    direction: it gives 1e-6 instead of 0, so that such pictures are like one another.

    Raises InputError (code ``head``), MissingExtra.
    """
    torch = need_torch("a head")
    require_dim("mlp", dim)
    require_dim("mlp", hidden or width)
    if not (1 <= layers <= 16 and 0 <= dropout < 1 and activation in ("gelu", "relu")):
        raise InputError(
            "the head mlp takes 1..16 layers, a dropout of 0 <= p < 1 and the activation gelu or relu, "
            f"not {layers}, {dropout} and {activation!r}",
            code="head",
        )
    if not (0 < power <= 4 and 0 <= input_dropout < 1):
        raise InputError(
            f"the head mlp takes a power of 0 < p <= 4 and an input dropout of 0 <= p < 1, not {power} and "
            f"{input_dropout}",
            code="head",
        )
    nn = torch.nn
    act = {"gelu": nn.GELU, "relu": nn.ReLU}[activation]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts: list[Any] = []
        wide = width
        for _ in range(layers - 1):
            parts += [nn.Linear(wide, hidden or width), *[nn.BatchNorm1d(hidden or width)] * norm, act()]
            parts += [nn.Dropout(dropout)] * (dropout > 0)
            wide = hidden or width
        parts.append(nn.Linear(wide, dim))
        if last:
            parts.append(nn.Threshold(_TINY, _TINY) if activation == "relu" else act())
        layered = nn.Sequential(*parts)
        head = _residual(torch, layered, width, dim) if residual else layered
    ready: list[Any] = [_power(torch, power)] * (power != 1)
    ready += [nn.BatchNorm1d(width, affine=False)] * standardise + [nn.Dropout(input_dropout)] * (input_dropout > 0)
    if ready:
        head = nn.Sequential(OrderedDict(ready=nn.Sequential(*ready), head=head))
    head.dim = dim
    return head


def _power(torch: Any, power: float) -> Any:
    class Power(torch.nn.Module):  # type: ignore[misc]
        def forward(self, vectors: Any) -> Any:
            return vectors.clamp(min=_TINY) ** power  # a root of 0 has no finite gradient

    return Power()


def _residual(torch: Any, layers: Any, width: int, dim: int) -> Any:
    class Residual(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers
            self.past = torch.nn.Identity() if width == dim else torch.nn.Linear(width, dim, bias=False)

        def forward(self, vectors: Any) -> Any:
            return self.layers(vectors) + self.past(vectors)

    return Residual()
