"""Generalised pooling operator: a learned weighted mean of each dimension's values in falling order.

Chen et al., "Learning the Best Pooling Strategy for Visual Semantic Embedding" (CVPR 2021). A small bidirectional GRU
reads sinusoidal encodings of the places 1 .. s and gives each a weight, by a softmax: the mean, the maximum and what
lies between are among what it can learn, for every size of set at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nearsight.core.errors import InputError
from nearsight.encode.export import need_torch
from nearsight.encode.pooling._sets import pooling, put

if TYPE_CHECKING:
    from torch import Tensor

_TEMPERATURE = 0.1  # the authors' own


def build(*, width: int, seed: int, places: int = 32, hidden: int = 32) -> Any:
    """``places``: length of a place's encoding, even; ``hidden``: width of the GRU.

    Raises InputError (code ``pooling``), MissingExtra.
    """
    if not (2 <= places <= 1024 and places % 2 == 0 and 1 <= hidden <= 1024):
        raise InputError(
            f"gpo takes 2..1024 places, even, and 1..1024 hidden, not {places} and {hidden}", code="pooling"
        )
    torch = need_torch("a pooling")

    def weights(own: Any, sizes: Tensor | None, longest: int, like: Tensor) -> Tensor:
        """(n, longest): each row's weights, 0 beyond its size; one row for all where no sizes are given."""
        code = _encoded(longest, places, like.device)[None].to(own.score.weight.dtype)
        if sizes is None:
            read, _ = own.gru(code)
        else:
            packed = torch.nn.utils.rnn.pack_padded_sequence(
                code.expand(len(sizes), -1, -1), sizes.cpu(), batch_first=True, enforce_sorted=False
            )
            read, _ = torch.nn.utils.rnn.pad_packed_sequence(own.gru(packed)[0], batch_first=True, total_length=longest)
        scores = own.score(read.unflatten(2, (2, hidden)).mean(dim=2))[..., 0]
        if sizes is not None:
            beyond = torch.arange(longest, device=like.device) >= sizes[:, None]
            scores = scores.masked_fill(beyond, -math.inf)
        return (scores / _TEMPERATURE).softmax(dim=1)

    def pool(own: Any, members: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            shares = weights(own, None, members.shape[1], members)
        else:
            sizes, which = mask.sum(dim=1).unique(return_inverse=True)  # sets of one size have one list of weights
            shares = weights(own, sizes, members.shape[1], members)[which]
        return weighted(members, mask, shares)

    def weighted(members: Tensor, mask: Tensor | None, shares: Tensor) -> Tensor:
        falling = put(members, mask, -math.inf).sort(dim=1, descending=True).values
        if mask is not None:
            there = torch.arange(members.shape[1], device=members.device) < mask.sum(dim=1, keepdim=True)
            falling = falling.masked_fill(~there[:, :, None], 0.0)
        return (falling * shares[:, :, None].to(falling.dtype)).sum(dim=1)

    def tabled(own: Any, longest: int) -> Any:
        """Weights depend on the size of a set alone, so the GRU is read once for each size there is."""
        with torch.inference_mode():
            sizes = torch.arange(1, longest + 1, device=own.score.weight.device)
            table = weights(own, sizes, longest, own.score.weight)

        def pool_by_table(own: Any, members: Tensor, mask: Tensor | None) -> Tensor:
            mask = members.new_ones(members.shape[:2], dtype=torch.bool) if mask is None else mask
            return weighted(members, mask, own.table[mask.sum(dim=1) - 1][:, : members.shape[1]])

        return pooling(pool_by_table, table=torch.nn.Parameter(table.clone(), requires_grad=False))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        gru = torch.nn.GRU(places, hidden, batch_first=True, bidirectional=True)
        score = torch.nn.Linear(hidden, 1, bias=False)
    return pooling(pool, tabled, gru=gru, score=score)


def _encoded(longest: int, places: int, device: Any) -> Tensor:
    """(longest, places): sines and cosines of falling frequency (Vaswani et al., NeurIPS 2017)."""
    import torch

    at = torch.arange(longest, device=device, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, places, 2, device=device) * (-math.log(10000.0) / places))
    return torch.stack([(at * rate).sin(), (at * rate).cos()], dim=2).flatten(1)
