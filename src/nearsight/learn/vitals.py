"""What a network's vectors are like: how many directions they use, what stands still, how like each other they are.

Vectors come by steps, since a network moves between two of them: the point at which everything has met is another one
at each step. So spread, rank and dead dimensions are of vectors less the mean of their own step, and pairs are of one
step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearsight.learn.losses import Loss
from nearsight.learn.losses.triplet import Triplet
from nearsight.learn.matrix import SHORTEST, Matrix, distance, squared_distance, wide

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
STILL = 1e-5
"""A dimension whose deviation is below this share of the vectors' (a dimension's, on average) does not vary."""


def centred(steps: Sequence[Floats]) -> Floats:
    """(n, d) each -> (all n, d), less each step's own mean; steps of one vector say nothing and are left out."""
    return np.concatenate([step - step.mean(axis=0) for step in steps if len(step) > 1] or [steps[0][:0]])


def units(vectors: Floats) -> Floats:
    """(n, d) rows of unit length; those shorter than SHORTEST stay short, as in the scores."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, SHORTEST), dtype=np.float64)


def spread(rows: Floats) -> float:
    """The mean distance (a square mean) of centred rows from where they are centred; 0 for none."""
    return float(np.sqrt(np.square(rows).sum(axis=1).mean())) if len(rows) else 0.0


def effective_rank(rows: Floats) -> float:
    """exp(entropy of the singular values, as shares of their sum); 0 where they are all 0.

    Roy and Vetterli, "The effective rank: a measure of effective dimensionality" (EUSIPCO 2007). Between 1 and
    min(n, d): k where k directions vary alike and no other does.
    """
    if not rows.size:
        return 0.0
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    values = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))
    if not values.sum():
        return 0.0
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def dead(rows: Floats, size: float) -> int:
    """How many dimensions of centred `rows` stand still; `size` is the vectors' usual length."""
    if not len(rows):
        return 0
    return int((np.sqrt(np.square(rows).mean(axis=0)) <= STILL * size / np.sqrt(rows.shape[1])).sum())


def cosines(steps: Sequence[Floats], labels: Sequence[NDArray[np.int64]]) -> tuple[Floats, Floats]:
    """Of pairs within a step: those of one class, and those of two."""
    positive, negative = [np.zeros(0)], [np.zeros(0)]
    for step, names in zip(steps, labels, strict=True):
        x = units(step)
        first, second = np.triu_indices(len(x), k=1)
        found, same = (x @ x.T)[first, second], names[first] == names[second]
        positive.append(found[same])
        negative.append(found[~same])
    return np.concatenate(positive), np.concatenate(negative)


def bars(cosines: Floats, count: int) -> tuple[float, ...]:
    """Shares by `count` equal bars over [-1, 1]; all 0 for no cosines."""
    heights, _ = np.histogram(np.clip(cosines, -1, 1), bins=count, range=(-1, 1))
    return tuple(float(height) / max(1, len(cosines)) for height in heights)


def active(matrix: Matrix, loss: Loss) -> tuple[Tensor, Tensor]:
    """() and (): how many triplets of the matrix the loss would still pull at, and how many there are.

    Those whose negative is not farther than the positive by a triplet loss's margin, in its own distance; for other
    losses, by anything. By sorting: n m log m, not n m m.
    """
    import torch

    scores, positive, negative = wide(matrix.scores.detach()), matrix.positive, matrix.negative
    d, margin = -scores, 0.0
    if isinstance(loss, Triplet):
        d = (squared_distance if loss.squared else distance)(scores, loss.similarity)
        margin = loss.margin
    inf = float("inf")
    near = d.masked_fill(~negative, inf).sort(dim=1).values
    reach = (d + margin).masked_fill(~positive, -inf)
    there = negative.sum(dim=1, keepdim=True)
    counts = torch.searchsorted(near, reach, right=True).minimum(there)  # of infinite distances all would count
    return counts.sum(), (positive.sum(dim=1, keepdim=True) * there).sum()
