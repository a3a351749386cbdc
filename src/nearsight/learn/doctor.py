"""Is training alive? What vectors and scores say about collapse, dead dimensions and losses that stand still."""

from __future__ import annotations

from dataclasses import dataclass

BINS = 40
"""Bars of a similarity histogram, over cosines from -1 to 1."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong. ``code`` is stable (``doctor/collapse``), ``what`` is for people, ``repair`` what to do."""

    code: str
    what: str
    repair: str


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a network at the end of an epoch, over vectors seen in its last steps.

    loss      mean loss over the epoch's steps
    floor     the loss that a collapsed network has under this objective (a triplet loss's margin); None: not known
    active    share of triplets (anchor, positive, negative) within batches whose negative is not yet farther than the
              positive by the loss's margin (0 without one); None where batches had no triplets
    rank      effective rank of the centred vectors: exp(entropy of their normalised singular values), 1 .. dim
              (Roy and Vetterli, EUSIPCO 2007); 0 where all are one point
    dim       dimensions
    dead      dimensions that do not vary over the vectors
    norms     lengths before normalising: 5%, 50% and 95% quantile
    positive  shares of cosines of pairs of one class, BINS bars over [-1, 1]
    negative  the same for pairs of two classes
    gradient  median norm of the gradient over the epoch's steps, before clipping
    """

    loss: float
    floor: float | None
    active: float | None
    rank: float
    dim: int
    dead: int
    norms: tuple[float, float, float]
    positive: tuple[float, ...]
    negative: tuple[float, ...]
    gradient: float
    findings: tuple[Finding, ...] = ()
