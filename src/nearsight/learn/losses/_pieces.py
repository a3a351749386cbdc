"""What several losses are made of: masked means, masked softmax, positives gathered out of the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearsight.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

MOST_CELLS = 2**28
"""Triplets in one matrix: 1 GiB of float32, and backward needs it several times."""


def mean_where(values: Tensor, counts: Tensor) -> Tensor:
    """The mean of `values` where `counts`; 0 on the graph where nothing does."""
    return values.where(counts, 0.0).sum() / counts.sum().clamp(min=1)


def judged_rows(positive: Tensor, negative: Tensor) -> Tensor:
    """(n,) bool: rows with a positive and a negative."""
    return positive.any(dim=1) & negative.any(dim=1)


def logits_of(scores: Tensor, temperature: float) -> Tensor:
    """Scores / temperature; those that are logits already, at 1, are not copied."""
    return scores if temperature == 1 else scores / temperature


def filled(scores: Tensor, keep: Tensor, *, low: bool = True) -> Tensor:
    """`scores`, and the lowest (or highest) finite number outside `keep`: what comes of them is finite
    too, in every row, and so are its gradients."""
    import torch

    end = torch.finfo(scores.dtype)
    return scores.masked_fill(~keep, end.min if low else end.max)


def log_sum_exp(scores: Tensor, keep: Tensor, dim: int = 1) -> Tensor:
    """log sum exp over the kept cells of each row (or column); very low where there are none."""
    return filled(scores, keep).logsumexp(dim=dim)


def log_one_plus_sum_exp(scores: Tensor, keep: Tensor, dim: int = 1) -> Tensor:
    """log(1 + sum exp) over the kept cells of each row (or column); 0 where there are none."""
    import torch

    within = filled(scores, keep)
    return torch.cat([within, torch.zeros_like(within.narrow(dim, 0, 1))], dim=dim).logsumexp(dim=dim)


def cross_entropy(logits: Tensor, positive: Tensor, negative: Tensor, smoothing: float = 0.0) -> Tensor:
    """-sum_j q_j log softmax_j over the cells of a row that are positive or negative; mean over judged rows.

    q gives 1 - smoothing to the positives, shared alike, and `smoothing` to all cells, shared alike.
    """
    cells = positive | negative
    logs = filled(logits, cells).log_softmax(dim=1).where(cells, 0.0)
    right, every = (c.sum(dim=1, keepdim=True).clamp(min=1).to(logits.dtype) for c in (positive, cells))
    smooth = smoothing / every
    share = ((1 - smoothing) / right + smooth).where(positive, smooth)
    return mean_where(-(share * logs).sum(dim=1), judged_rows(positive, negative))


def positives_of(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """(n, m) -> the positives' scores pushed to the left (n, p), p the most of any row, and which places hold one."""
    import torch

    counts = positive.sum(dim=1)
    there = torch.arange(max(1, int(counts.max())), device=scores.device) < counts[:, None]
    order = torch.zeros_like(there, dtype=torch.long)
    order[there] = positive.nonzero()[:, 1]  # both row by row
    return scores.gather(1, order), there


def positives_against_all(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """The same, for each to be judged against all columns of its row.

    Raises InputError (code ``loss/size``) where n * p * m, the triplets to be judged, would not fit.
    """
    near, there = positives_of(scores, positive)
    (n, p), m = near.shape, scores.shape[1]
    if n * p * m > MOST_CELLS:
        raise InputError(
            f"{n} anchors x {p} positives x {m} columns is too much to judge at once",
            code="loss/size",
            hint="mine (hardest, semi_hard, distance_weighted), or take a smaller batch or memory",
        )
    return near, there
