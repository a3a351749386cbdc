"""A pooling of the catalogue where a network has its own: the cells of the last feature map are the set.

``pool=cells`` leaves them a set: each cell goes alone through what stands behind the network's own pooling, and a
picture's vector is that of one cell after the other, row by row. `members` of such a module says how many they are.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from nearsight.core.errors import InputError
from nearsight.encode.export import need_torch
from nearsight.encode.pooling import pooling_at

CELLS = "cells"
"""In the place of a pooling's address: none."""


def put_in_place(network: Any, layer: str, pool: str, *, size: int, seed: int) -> Any:
    """`network` with the pooling at the address `pool` instead of its `layer`, which must be one that makes each
    channel one number. What stands behind that layer stays behind the new one.

    `size`: side of the pictures, to see once what the layer is given. Raises UnknownName and InputError.
    """
    given, gives = _seen(network, layer, size)
    width = gives[1] if len(gives) == 2 or gives[1] > 1 else gives[-1]
    channels_last = given[1] != width
    flat = len(gives) == 2
    network.set_submodule(layer, _map_pool(_built(pool, width, seed), channels_last=channels_last, flat=flat))
    return network if pool != CELLS else _cells(network, given.numel() // width)


def put_behind(features: Any, pool: str, *, size: int, seed: int, prefix: int = 0, channels_last: bool = False) -> Any:
    """`features`, a module (n, 3, size, size) -> a map (n, c, h, w), or (n, h, w, c), or tokens (n, t, c), and behind
    it the pooling at the address `pool`. The first `prefix` tokens are no places in the picture and are left out.

    Raises UnknownName, and InputError (code ``encoder/pool``) where `features` gives something else.
    """
    torch = need_torch("a pooling")
    _, gives = _seen(features, "", size)
    if len(gives) not in (3, 4):
        raise InputError(f"a pooling takes maps or tokens, and this network gives {tuple(gives)}", code="encoder/pool")
    width = gives[-1] if channels_last or len(gives) == 3 else gives[1]
    last = _map_pool(_built(pool, width, seed), channels_last=channels_last, flat=True, prefix=prefix)
    network = torch.nn.Sequential(OrderedDict(features=features, pool=last))
    return network if pool != CELLS else _cells(network, gives.numel() // width - prefix)


def members_of(module: Any) -> int:
    """How many vectors of one width `module` gives for a picture, one after the other: 1 but where ``pool=cells``."""
    return int(getattr(module, "members", 1))


def _built(pool: str, width: int, seed: int) -> Any:
    """The module (n, s, width) -> (n, width); for CELLS: -> (n s, width)."""
    if pool != CELLS:
        return pooling_at(pool, width=width, seed=seed)
    import torch

    return torch.nn.Flatten(0, 1)


def _cells(network: Any, members: int) -> Any:
    """`network`, which gives (n members, width), as the module that gives (n, members width)."""
    import torch

    class Cells(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network, self.members = network, members

        def forward(self, pixels: Any) -> Any:
            return self.network(pixels).unflatten(0, (-1, members)).flatten(1)

    return Cells()


def _seen(network: Any, layer: str, size: int) -> tuple[Any, Any]:
    """Shapes of what `layer` of `network` is given and gives for one picture."""
    import torch

    shapes: list[Any] = []

    def look(_layer: Any, given: tuple[Any, ...], gives: Any) -> None:
        shapes.extend(x.shape if isinstance(x, torch.Tensor) else () for x in (given[0], gives))

    hook = network.get_submodule(layer).register_forward_hook(look)
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, 3, size, size))
    finally:
        hook.remove()
    return shapes[0], shapes[1]


def _map_pool(pool: Any, *, channels_last: bool, flat: bool, prefix: int = 0) -> Any:
    """The module (n, c, h, w), (n, h, w, c) or (n, t, c) -> (n, c); not `flat`: with axes of length 1 for h and w."""
    import torch

    class MapPool(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.pool = pool

        def forward(self, given: Any) -> Any:
            if given.ndim == 3:
                cells = given[:, prefix:]
            else:
                cells = given.flatten(1, 2) if channels_last else given.flatten(2).transpose(1, 2)
            vectors = self.pool(cells)
            if flat:
                return vectors
            return vectors[:, None, None, :] if channels_last else vectors[:, :, None, None]

    return MapPool()
