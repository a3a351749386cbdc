"""Two convolutions and three linear layers, to be trained from scratch: ``small_cnn/report``, ``small_cnn/modern``.

``report`` is the small network of the first lessons: conv 5x5 to 32, ReLU, max-pool 2, conv 5x5 to 64, ReLU,
max-pool 2, linear to 256, to 256, to ``dim``, with a ReLU behind each, the last too. At its 256 pixels the first
linear layer alone has 61 million weights.

``modern`` has the same layers with batch norm (Ioffe and Szegedy, ICML 2015) before each hidden ReLU and no ReLU behind
the last layer; the convolutions keep the size, and the second max-pooling leaves a grid of ``pool`` x ``pool`` cells:
the linear layers are small then, and there are 1.2 million weights in all.

Weights are random (``seed``), or from a file: ``?weights=PATH``. Both see the whole picture, squashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nearsight.core.errors import InputError, UnknownName
from nearsight.encode.export import load_weights, need_torch, weights_path
from nearsight.encode.ladder import Rung
from nearsight.encode.network import TorchTower, address_of
from nearsight.encode.preprocess import Preprocess

SIZES = {"report": 256, "modern": 64}
"""Variant -> side of its pictures, pixels."""
_SMALLEST, _LARGEST = 16, 512  # below, nothing is left after the second pooling; above, report's weights fill memory
_TINY = 1e-6

LADDER = (
    Rung(
        "small_cnn/modern", 10, "your own classes, from nothing", megabytes=4.9,
        packages=("torch",), extra="models", weights="random",
    ),
)  # fmt: skip


def build(
    variant: str = "report",
    *,
    size: int = 0,
    dim: int = 10,
    pool: int = 8,
    dropout: float = 0.0,
    weights: str = "",
    seed: int = 0,
    keep_weights: bool = False,
) -> TorchTower:
    """`size` 0: the variant's own. `pool` and `dropout` are of ``modern`` only.

    Raises UnknownName, InputError, MissingExtra, EncoderError (code ``encoder/weights``).
    """
    torch = need_torch("small_cnn")
    if variant not in SIZES:
        raise UnknownName(f"small_cnn has no variant '{variant}'", hint=f"there are: {', '.join(SIZES)}")
    side = size or SIZES[variant]
    if not (_SMALLEST <= side <= _LARGEST and dim >= 1 and 1 <= pool <= side // 2 and 0 <= dropout < 1):
        raise InputError(
            f"small_cnn takes a size of {_SMALLEST}..{_LARGEST}, dim >= 1, pool from 1 to half the size and "
            f"0 <= dropout < 1, not {side}, {dim}, {pool} and {dropout}"
        )
    if variant == "report" and (pool, dropout) != (8, 0.0):
        raise InputError("small_cnn/report has neither pool nor dropout", hint="small_cnn/modern has them")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = _report(torch.nn, side, dim) if variant == "report" else _modern(torch.nn, side, dim, pool, dropout)
        network = torch.nn.Sequential(*layers)
    if weights:
        load_weights(network, weights_path(weights))
    options = {"size": size, "dim": dim, "pool": pool, "dropout": dropout, "weights": weights, "seed": seed,
               "keep_weights": keep_weights}  # fmt: skip
    return TorchTower(
        address_of("small_cnn", variant, build, options),
        network,
        Preprocess(side, side, fit="squash", interpolation="bilinear", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
        {"tower": "small_cnn", "network": variant, **({"pool": pool} if variant == "modern" else {})},
        keep_weights=keep_weights,
    )


def _left(side: int) -> int:
    """Rows of the feature map after both convolutions and poolings."""
    return ((side - 4) // 2 - 4) // 2


def _report(nn: Any, side: int, dim: int) -> Sequence[Any]:
    return [
        nn.Conv2d(3, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * _left(side) ** 2, 256), nn.ReLU(),
        nn.Linear(256, 256), nn.ReLU(),
        # A ReLU that gives 1e-6 for 0: a vector all 0 has no direction, and distances are the same either way.
        nn.Linear(256, dim), nn.Threshold(_TINY, _TINY),
    ]  # fmt: skip


def _modern(nn: Any, side: int, dim: int, pool: int, dropout: float) -> Sequence[Any]:
    def norm(layer: Any, kind: Any, width: int) -> Sequence[Any]:
        return [layer, kind(width), nn.ReLU()]

    def hidden(width: int) -> Sequence[Any]:
        return [*norm(nn.Linear(width, 256, bias=False), nn.BatchNorm1d, 256), *[nn.Dropout(dropout)] * (dropout > 0)]

    kernel = side // 2 // pool
    cells = side // 2 // kernel
    return [
        *norm(nn.Conv2d(3, 32, 5, padding=2, bias=False), nn.BatchNorm2d, 32), nn.MaxPool2d(2),
        *norm(nn.Conv2d(32, 64, 5, padding=2, bias=False), nn.BatchNorm2d, 64), nn.MaxPool2d(kernel),
        nn.Flatten(),
        *hidden(64 * cells**2),
        *hidden(256),
        nn.Linear(256, dim),
    ]  # fmt: skip
