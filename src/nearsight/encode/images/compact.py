"""A small convolutional network of seven stages, for processors: ``compact``; 1280 numbers, 2.2 million weights.

The stages end at the widths and strides of MobileNetV2's (Sandler et al., CVPR 2018), so that each can be taught by
that network's own stage (`nearsight.learn.distil`). The last four are its inverted residuals. The first three, at
whose sizes memory is the limit and not arithmetic, have dense 3x3 convolutions instead of an expansion and a depthwise
one (Gupta and Akin, "Accelerator-aware neural network design using AutoML", 2020): on a processor they train four
times as fast. Strided convolutions pad right and below, as TensorFlow's do.

Weights are random (``seed``), or from a file: ``?weights=PATH``. It sees the whole picture, squashed.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from nearsight.core.errors import InputError, UnknownName
from nearsight.encode.export import load_weights, need_torch, weights_path
from nearsight.encode.ladder import Rung
from nearsight.encode.network import TorchTower, address_of
from nearsight.encode.preprocess import Preprocess

_STRIDE = 32
"""Of the last map; sides are multiples of it, or padding would not meet."""
_DENSE = (((24, 16, 2),), ((48, 24, 2), (64, 24, 1)), ((72, 32, 2), (96, 32, 1)))
"""(hidden, out, stride) of each block of the first three stages."""
_INVERTED = (
    ((64, 2), (64, 1), (64, 1), (64, 1)),
    ((96, 1), (96, 1), (96, 1)),
    ((160, 2), (160, 1), (160, 1)),
    ((320, 1),),
)
"""(out, stride) of each block of the last four."""
_EXPANSION, _DIM = 6, 1280

LADDER = (
    Rung(
        "compact", 1280, "to be taught by a larger network", megabytes=9.0, packages=("torch",),
        extra="models", weights="random",
    ),
)  # fmt: skip


def build(
    variant: str | None = None,
    *,
    size: int = 192,
    norm: bool = True,
    weights: str = "",
    seed: int = 0,
    keep_weights: bool = False,
) -> TorchTower:
    """`size`: side of its pictures, a multiple of 32. `norm=false`: without batch norm, convolutions have biases.

    Raises UnknownName, InputError, MissingExtra, EncoderError (code ``encoder/weights``).
    """
    torch = need_torch("compact")
    if variant is not None:
        raise UnknownName(f"compact has no variant '{variant}'", hint="write `compact?size=192`")
    if not _STRIDE <= size <= 1024 or size % _STRIDE:
        raise InputError(f"compact takes a size of 32 .. 1024 that is a multiple of {_STRIDE}, not {size}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(torch.nn, norm)
    if weights:
        load_weights(network, weights_path(weights))
    options = {"size": size, "norm": norm, "weights": weights, "seed": seed, "keep_weights": keep_weights}
    return TorchTower(
        address_of("compact", "", build, options),
        network,
        Preprocess(size, size, fit="squash", interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        {"tower": "compact", **({} if norm else {"norm": False})},
        keep_weights=keep_weights,
    )


def _network(nn: Any, norm: bool) -> Any:
    """Children ``stages``, a module each, and ``pool``: the mean over places."""

    def convolved(given: int, out: int, side: int, stride: int = 1, groups: int = 1, bent: bool = True) -> list[Any]:
        room = [nn.ZeroPad2d((0, side - 2, 0, side - 2))] if stride > 1 else []
        padding = 0 if stride > 1 else side // 2
        layer = nn.Conv2d(given, out, side, stride, padding, groups=groups, bias=not norm)
        return [
            *room,
            layer,
            nn.BatchNorm2d(out) if norm else nn.Identity(),
            *([nn.ReLU6(inplace=True)] if bent else []),
        ]

    class Block(nn.Module):  # type: ignore[misc]
        """`layers`, and what they are given added to what they give where both are of one shape."""

        def __init__(self, layers: list[Any], around: bool) -> None:
            super().__init__()
            self.layers, self.around = nn.Sequential(*layers), around

        def forward(self, given: Any) -> Any:
            return given + self.layers(given) if self.around else self.layers(given)

    def dense(given: int, hidden: int, out: int, stride: int) -> Any:
        layers = [*convolved(given, hidden, 3, stride), *convolved(hidden, out, 1, bent=False)]
        return Block(layers, stride == 1 and given == out)

    def inverted(given: int, out: int, stride: int) -> Any:
        wide = given * _EXPANSION
        layers = [*convolved(given, wide, 1), *convolved(wide, wide, 3, stride, groups=wide)]
        return Block([*layers, *convolved(wide, out, 1, bent=False)], stride == 1 and given == out)

    ((stem, width, stride),) = _DENSE[0]
    stages = [nn.Sequential(*convolved(3, stem, 3, stride), *convolved(stem, width, 3, bent=False))]
    for blocks in _DENSE[1:]:
        layers = []
        for hidden, out, stride in blocks:
            layers.append(dense(width, hidden, out, stride))
            width = out
        stages.append(nn.Sequential(*layers))
    for some in _INVERTED:
        layers = []
        for out, stride in some:
            layers.append(inverted(width, out, stride))
            width = out
        stages.append(nn.Sequential(*layers))
    stages[-1].extend(convolved(width, _DIM, 1))
    network = nn.Sequential(OrderedDict(stages=nn.Sequential(*stages), pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten()))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    return network
