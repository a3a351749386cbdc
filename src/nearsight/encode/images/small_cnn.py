"""Two convolutions and three linear layers, to be trained from scratch: ``small_cnn/report``, ``small_cnn/modern``.

``report`` is the small network of the first lessons: conv 5x5 to 32, ReLU, max-pool 2, conv 5x5 to 64, ReLU,
max-pool 2, linear to 256, to 256, to ``dim``, with a ReLU behind each, the last too. At its 256 pixels the first
linear layer alone has 61 million weights.

``modern`` has the same layers with batch norm (Ioffe and Szegedy, ICML 2015) before each hidden ReLU, none behind the
last layer, and averages over a grid of ``pool`` x ``pool`` cells before the linear layers, so that they are small.

Weights are random (``seed``), or from a file: ``?weights=PATH``. Both see the whole picture, squashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nearsight.core.errors import InputError, UnknownName
from nearsight.encode.export import load_weights, need_torch, weights_path
from nearsight.encode.network import TorchTower, address_of
from nearsight.encode.preprocess import Preprocess

SIZES = {"report": 256, "modern": 96}
"""Variant -> side of its pictures, pixels."""
_SMALLEST, _LARGEST = 16, 512  # below, nothing is left after the second pooling; above, report's weights fill memory
_TINY = 1e-6


def build(
    variant: str = "report",
    *,
    size: int = 0,
    dim: int = 10,
    pool: int = 4,
    dropout: float = 0.0,
    weights: str = "",
    seed: int = 0,
    keep_weights: bool = False,
) -> TorchTower:
    """`size` 0: the variant's own. `pool` (0: no averaging) and `dropout` are of ``modern`` only.

    Raises UnknownName, InputError, MissingExtra, EncoderError (code ``encoder/weights``).
    """
    torch = need_torch("small_cnn")
    if variant not in SIZES:
        raise UnknownName(f"small_cnn has no variant '{variant}'", hint=f"there are: {', '.join(SIZES)}")
    side = size or SIZES[variant]
    if not (_SMALLEST <= side <= _LARGEST and dim >= 1 and pool >= 0 and 0 <= dropout < 1):
        raise InputError(
            f"small_cnn takes a size of {_SMALLEST}..{_LARGEST}, dim >= 1, pool >= 0 and 0 <= dropout < 1, "
            f"not {side}, {dim}, {pool} and {dropout}"
        )
    if variant == "report" and (pool, dropout) != (4, 0.0):
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
    def hidden(width: int) -> Sequence[Any]:
        return [nn.Linear(width, 256), nn.BatchNorm1d(256), nn.ReLU(), *[nn.Dropout(dropout)] * (dropout > 0)]

    return [
        nn.Conv2d(3, 32, 5), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        *[nn.AdaptiveAvgPool2d(pool)] * (pool > 0), nn.Flatten(),
        *hidden(64 * (pool or _left(side)) ** 2),
        *hidden(256),
        nn.Linear(256, dim),
    ]  # fmt: skip
