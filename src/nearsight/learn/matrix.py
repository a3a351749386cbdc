"""The matrix that a loss judges: scores of n anchors against m columns, and which of them are positive or negative."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from nearsight.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Similarity = Literal["cosine", "euclidean", "dot"]
"""What a score is; larger is always more similar.

cosine     a.b of unit vectors, in [-1, 1] (the vectors are scaled on the way)
euclidean  -|a - b|^2 of vectors as they are, <= 0
dot        a.b of vectors as they are
"""
SHORTEST = 1e-6
"""A vector shorter than this is not scaled to unit length: it has no direction, and its gradient must stay finite."""


class Matrix(NamedTuple):
    """A row is an anchor. A cell is positive, negative, or neither (self-pairs, padding, what a miner left out)."""

    scores: Tensor
    """(n, m) floats."""
    positive: Tensor
    """(n, m) bool."""
    negative: Tensor
    """(n, m) bool; no cell is both."""


def similarity(kind: Similarity, anchors: Tensor, vectors: Tensor) -> Tensor:
    """(n, d), and (m, d) or (n, m, d) -> (n, m), in float32 at least, under autocast too: half a digit lost here is a
    pair misjudged."""
    import torch

    with torch.autocast(anchors.device.type, enabled=False):
        a, b = wide(anchors), wide(vectors)
        if b.ndim == 3:
            a = a[:, None]
        if kind == "euclidean":
            # Differences, not |a|^2 + |b|^2 - 2ab: that loses close pairs, the very ones that are pulled together.
            scores = -torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()
        else:
            if kind == "cosine":
                a, b = (torch.nn.functional.normalize(x, dim=-1, eps=SHORTEST) for x in (a, b))
            scores = a @ b.mT
        return scores[:, 0] if b.ndim == 3 else scores


def squared_distance(scores: Tensor, kind: Similarity) -> Tensor:
    """|a - b|^2 of what was scored (for cosine: of the unit vectors, 2 - 2 cos); never below 0."""
    return (scores * -2 + 2 if kind == "cosine" else -scores).clamp(min=0)


def distance(scores: Tensor, kind: Similarity) -> Tensor:
    """|a - b| of what was scored. Its gradient is 0, not infinite, where two vectors are the same."""
    return root(squared_distance(scores, kind))


def root(x: Tensor) -> Tensor:
    """The square root of x >= 0, with gradient 0 at 0."""
    return x.where(x > 0, 1.0).sqrt().where(x > 0, 0.0)


def wide(x: Tensor) -> Tensor:
    """float32, or float64 where it is that already."""
    import torch

    return x if x.dtype == torch.float64 else x.float()


def require_distance(kind: Similarity, who: str) -> Similarity:
    """`kind`, or InputError (code ``learn/similarity``) where it says nothing about distances or does not exist."""
    if kind not in ("cosine", "euclidean"):
        raise InputError(
            f"{who} needs distances, and '{kind}' scores have none",
            code="learn/similarity",
            hint="similarity=cosine (distances of unit vectors) or similarity=euclidean (of vectors as they are)",
        )
    return kind


def require(right: bool, what: str) -> None:
    """Raises InputError (code ``learn/option``) saying `what` an option must be."""
    if not right:
        raise InputError(what, code="learn/option")
