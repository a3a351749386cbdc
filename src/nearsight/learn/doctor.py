"""Is training alive? What vectors and scores say about collapse, dead dimensions and losses that stand still.

The doctor looks at what a step has anyway, and at an epoch's end says what it saw (`Health`) and what is wrong
(`Finding`), each with what to change in the recipe. docs/training.md has the list.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import InputError
from nearsight.learn import vitals
from nearsight.learn.losses import Loss
from nearsight.learn.losses.triplet import Triplet
from nearsight.learn.matrix import Matrix

if TYPE_CHECKING:
    from torch import Tensor

Labels = NDArray[np.int64]
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
              (Roy and Vetterli, EUSIPCO 2007), of unit vectors where the loss judges cosines; 0 where all are one point
    dim       dimensions; 0 where no step was seen, and nothing else means anything
    dead      dimensions that do not vary over the vectors
    norms     lengths before normalising: 5%, 50% and 95% quantile
    positive  shares of cosines of pairs of one class, BINS bars over [-1, 1]; all 0 where there were none
    negative  the same for pairs of two classes
    gradient  median norm of the gradient over the epoch's steps, before clipping; 0 where none was finite
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


@dataclass(frozen=True, slots=True)
class Seen:
    """What findings follow from beside the record itself.

    before    the epoch before; None: this is the first, or the first since the training was taken up again
    steepest  the largest norm of a gradient; inf where one, a loss or a vector was not finite
    hinged    the loss has no gradient where no triplet is active
    likeness  mean cosine of pairs of one class and of two; None where there were none
    chance    how far apart those two may well be by chance: three standard errors, a vector counting once
    """

    before: Health | None = None
    steepest: float = 0.0
    hinged: bool = False
    likeness: tuple[float, float] | None = None
    chance: float = 0.0


KEEP = 2048
WINDOW = 256
"""Vectors that are looked at; the epoch's last quarter if that has more: a collapse is to be seen when it happens."""
EVERY = 4
"""Steps from one look at the matrix to the next: it costs more than all the rest."""
CELLS = 2**14
"""Cells of the matrix that are looked at: rows by chance, all of their columns."""
ONE_POINT = 0.1
"""A spread below this share of what the loss compares by is one point: cosines of 0.99."""
AT_FIRST = 0.2
"""That, in the first epoch: random networks begin there, and most come away."""
LINE = 1.5
"""An effective rank below this is a line."""
LOW = 0.1
"""An effective rank below this share of what the classes could fill is low."""
DEAD = 0.1
"""Share of dimensions."""
INVERTED = 0.02
"""In mean cosine."""
INACTIVE = 1e-3
"""Share of triplets."""
NEAR, FALLING = 0.01, 0.995
"""Of the floor; of the loss of the epoch before."""
NO_LENGTH = 2e-6
"""A length below this, a dimension (root mean square), is none: a ReLU behind the last layer may leave 1e-6 for 0."""
STEEP, JUMP = 100.0, 1e4
"""A norm, and times what is usual."""


class Doctor:
    """Sees every step, tells at the end of an epoch. Draws no random number that training would miss.

    What it keeps is not saved: where a training was taken up again, the health of that epoch is of the steps since.
    """

    def __init__(self, loss: Loss, *, keep: int = KEEP) -> None:
        """`keep`: vectors that are remembered."""
        self.loss, self.keep = loss, keep
        self.epochs = 0
        self.before: Health | None = None
        self._draw = np.random.default_rng(0)
        self._clear()

    def _clear(self) -> None:
        self._values: list[float] = []
        self._gradients: list[float] = []
        self._kept: deque[tuple[NDArray[np.float32], Labels]] = deque()
        self._held = self._count = 0
        self._broken = False
        self._active: list[tuple[Tensor, Tensor]] = []
        self._floors: list[float] = []

    def see(self, value: float, vectors: Tensor, labels: Tensor, matrix: Matrix | None, gradient: float) -> None:
        """One step: its loss, the vectors (n, d) as the network gave them, labels (n,), the matrix before mining, and
        the norm of the gradient (NaN where gradients are still gathering)."""
        import torch

        look = len(self._values) % EVERY == 0
        self._values.append(value)
        if not math.isnan(gradient):
            self._gradients.append(gradient)
        stride = -(-len(vectors) // self.keep) or 1  # more than is kept: evenly, since batches are sorted by class
        rows = vectors.detach()[::stride].to("cpu", torch.float32, copy=True).numpy()
        self._kept.append((rows, labels[::stride].cpu().numpy()))
        self._held += len(rows)
        self._count += len(rows)
        while self._held - len(self._kept[0][0]) >= self.keep:
            self._held -= len(self._kept.popleft()[0])
        if matrix is not None and look and matrix.scores.numel():
            self._look(matrix)

    def _look(self, matrix: Matrix) -> None:
        n, m = matrix.scores.shape
        if n * m <= CELLS or not self._floors:
            floor = floor_of(self.loss, matrix)
            self._floors += [] if floor is None else [floor]
        if n * m > CELLS:
            some = self._draw.permutation(n)[: max(1, CELLS // m)]
            matrix = Matrix(*(part[some] for part in matrix))
        self._active.append(vitals.active(matrix, self.loss))

    def health(self) -> Health:
        """The epoch is over: what it was like. The next begins with nothing seen."""
        self.epochs += 1
        if not self._kept:
            return Health(0.0, None, None, 0.0, 0, 0, (0.0, 0.0, 0.0), (0.0,) * BINS, (0.0,) * BINS, 0.0)
        steps, labels = self._window()
        raw = np.concatenate(steps)
        lengths = np.linalg.norm(raw, axis=1)
        size = float(np.sqrt(np.square(lengths).mean())) if len(raw) else 0.0
        rows = vitals.centred(steps)
        judged = vitals.centred([vitals.units(step) for step in steps]) if self.loss.similarity == "cosine" else rows
        one_point = vitals.spread(judged) < self._point(size)
        positive, negative = vitals.cosines(steps, labels)
        gradients = [g for g in self._gradients if math.isfinite(g)]
        hits, triplets = (sum(float(part[i]) for part in self._active) for i in (0, 1))
        health = Health(
            loss=float(np.mean([v for v in self._values if math.isfinite(v)] or [0.0])),
            floor=float(np.mean(self._floors)) if self._floors else None,
            active=hits / triplets if triplets else None,
            rank=0.0 if one_point else vitals.effective_rank(judged),
            dim=raw.shape[1],
            dead=vitals.dead(rows, size),
            norms=_quantiles(lengths),
            positive=vitals.bars(positive, BINS),
            negative=vitals.bars(negative, BINS),
            gradient=float(np.median(gradients)) if gradients else 0.0,
        )
        broken = self._broken or not all(map(math.isfinite, (*self._values, *self._gradients)))
        seen = Seen(
            before=self.before,
            steepest=math.inf if broken else max(gradients, default=0.0),
            hinged=isinstance(self.loss, Triplet) and not self.loss.soft,
            likeness=(float(positive.mean()), float(negative.mean())) if len(positive) and len(negative) else None,
            chance=3 * float(positive.std()) / math.sqrt(len(raw) / 2) if len(positive) else 0.0,
        )
        classes = len(np.unique(np.concatenate(labels)))
        self.before = replace(health, findings=examine(health, classes=classes, epoch=self.epochs, seen=seen))
        self._clear()
        return self.before

    def _window(self) -> tuple[list[vitals.Floats], list[Labels]]:
        """The last steps that have enough vectors; what is not finite is left out and remembered."""
        enough = max(WINDOW, self._count // 4)
        steps: list[vitals.Floats] = []
        labels: list[Labels] = []
        for rows, names in reversed(self._kept):
            if enough <= 0:
                break
            fine = np.isfinite(rows).all(axis=1)
            self._broken = self._broken or not bool(fine.all())
            steps.append(rows[fine].astype(np.float64))
            labels.append(names[fine])
            enough -= len(rows)
        if max(map(len, steps)) < 2:  # batches of one picture: the steps together, moving as they may
            return [np.concatenate(steps)], [np.concatenate(labels)]
        return steps, labels

    def _point(self, size: float) -> float:
        """How near vectors must be to be one point: where the loss judges lengths, by its margin, else by theirs."""
        unit = 1.0 if self.loss.similarity == "cosine" else getattr(self.loss, "margin", 0.0) or size
        return ONE_POINT * unit * (AT_FIRST if self.epochs == 1 else 1.0)


def _quantiles(lengths: vitals.Floats) -> tuple[float, float, float]:
    low, middle, high = np.quantile(lengths, (0.05, 0.5, 0.95)).tolist() if len(lengths) else (0.0, 0.0, 0.0)
    return low, middle, high


def floor_of(loss: Loss, matrix: Matrix | None = None) -> float | None:
    """The loss of a network that gives every picture the same vector, by asking the loss itself.

    A triplet loss's margin (soft: log(1 + e^margin)); log(columns) for a softmax; for `contrastive?average=pairs`
    margin^power times the share of negative pairs. What depends on how many positives and negatives there are is known
    for a `matrix` (whose masks alone count), and None without. None too where the loss judges no such matrix, and where
    it depends on where class vectors are (arcface, proxy_anchor).
    """
    import torch

    if matrix is not None:
        return _judged_alike(loss, matrix.positive, matrix.negative)
    found = []
    for positives, negatives in ((1, 1), (2, 5), (3, 2)):
        positive = (torch.arange(positives + negatives) < positives)[None, :]
        found.append(_judged_alike(loss, positive, ~positive))
    known = [value for value in found if value is not None]
    alike = len(known) == len(found) and max(known) - min(known) <= 1e-5 * max(known)
    return known[0] if alike else None


def _judged_alike(loss: Loss, positive: Tensor, negative: Tensor) -> float | None:
    """The loss where every score is the same: a vector's with itself; or any, with class vectors, where the loss must
    not depend on which."""
    import torch

    own = 1.0 if loss.similarity == "cosine" else 0.0
    values = []
    for score in (0.0, 0.5) if loss.target.startswith("proxies") else (own,):
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):  # the losses of pml draw weights that nobody uses
                values.append(
                    float(loss(torch.full(positive.shape, score, device=positive.device), positive, negative))
                )
        except InputError:
            return None
    return values[0] if math.isfinite(values[0]) and math.isclose(values[0], values[-1], rel_tol=1e-4) else None


LOWER = "a lower loop.lr (a third), or more loop.warmup"
GENTLER = (
    "objective.miner=semi_hard or distance_weighted instead of hardest, or objective.loss=supcon with "
    "objective.sampler=pk?k=4"
)
NO_RELU = (
    "no ReLU behind the last layer: network.tower=small_cnn/modern instead of small_cnn/report, or a linear last "
    "layer, network.head=linear?dim=128 or mlp?dim=128 without last=true"
)


def examine(health: Health, *, classes: int, epoch: int, seen: Seen | None = None) -> tuple[Finding, ...]:
    """What is wrong, the cause before its consequences, and nothing that follows from what is named already.

    `classes`: how many the vectors were of; `epoch`: from 1. In the first, what random weights may well begin with is
    not held against a network. Without `seen`, what takes more than the record is not found.
    """
    seen = seen or Seen()
    if not health.dim:
        return ()
    if math.isinf(seen.steepest):
        return (
            Finding(
                "doctor/exploding",
                "a loss, a gradient or a vector was not a finite number",
                f"{LOWER}, loop.clip=1, loop.precision=fp32",
            ),
        )
    found = []
    jump = _jump(health, seen)
    if jump:
        found.append(Finding("doctor/exploding", jump, f"{LOWER}, loop.clip=1"))
    if health.norms[0] < NO_LENGTH * math.sqrt(health.dim):
        found.append(
            Finding(
                "doctor/no-direction",
                f"one picture in twenty or more has a vector of length {health.norms[0]:.1g} or less: it has no "
                "direction, and nothing is like it or unlike it",
                f"{NO_RELU}; {LOWER}",
            )
        )
    limit = min(health.dim, classes - 1)
    point = classes > 1 and health.rank == 0
    if health.dead >= DEAD * health.dim and not point:  # at one point nothing varies, and that is no ReLU's doing
        found.append(
            Finding(
                "doctor/dead-dimensions",
                f"{health.dead} of {health.dim} dimensions are the same for every picture: they tell nothing apart",
                NO_RELU,
            )
        )
    if point or (epoch > 1 and limit >= 3 and health.rank < LINE):
        found.append(_collapse(health, seen))
        return tuple(found)
    if epoch > 1 and limit >= 5 and health.rank < max(2.0, LOW * limit):
        found.append(
            Finding(
                "doctor/low-rank",
                f"the vectors use {health.rank:.1f} directions of {health.dim}; {classes} classes could fill {limit}",
                f"{LOWER}; objective.loss=supcon or multi_similarity, which push all classes apart; or fewer "
                "dimensions, network.head=linear?dim=N",
            )
        )
    if epoch > 1 and seen.likeness and seen.likeness[0] < seen.likeness[1] - max(INVERTED, seen.chance):
        found.append(
            Finding(
                "doctor/inverted",
                f"pictures of one class are less alike (mean cosine {seen.likeness[0]:.2f}) than those of two "
                f"({seen.likeness[1]:.2f})",
                f"look at the labels (data.source) first; then {LOWER}",
            )
        )
    if seen.hinged and health.active is not None and health.active < INACTIVE:
        found.append(
            Finding(
                "doctor/nothing-active",
                f"{health.active:.2%} of the triplets are not right yet: the loss has next to nothing left to teach",
                "a larger margin, objective.loss=triplet?margin=N; larger batches with objective.miner=semi_hard or "
                "hardest; harder pictures (augment.scale, augment.jitter); or fewer loop.epochs: it has learned them",
            )
        )
    if _stuck(health, seen):
        found.append(
            Finding(
                "doctor/stuck",
                f"the loss stands at {health.loss:.4g}, what a network has that gives every picture the same vector "
                f"({health.floor:.4g}), and does not fall",
                f"objective.loss=normalised_softmax, which has a gradient for every picture, or {GENTLER}; if the loss "
                "has stood from the start, another loop.lr, higher first",
            )
        )
    return tuple(found)


def _collapse(health: Health, seen: Seen) -> Finding:
    where = "at one point" if health.rank == 0 else f"on one line (effective rank {health.rank:.2f})"
    floor = f"; a network that does so has a loss of {health.floor:.4g}" if health.floor is not None else ""
    return Finding(
        "doctor/collapse",
        f"the network puts all pictures {where}, whatever they show{floor} (it has {health.loss:.4g})",
        f"start again (a collapsed network rarely comes back): {LOWER}; {GENTLER}; and {NO_RELU}",
    )


def _jump(health: Health, seen: Seen) -> str:
    """What has grown beyond measure, in words; "" for nothing."""
    usual = max(health.gradient, 0.0)
    before = seen.before.gradient if seen.before is not None else 0.0
    if seen.steepest > STEEP and 0 < usual * JUMP < seen.steepest:
        return f"a gradient of norm {seen.steepest:.2g}, where {usual:.2g} is usual"
    if usual > STEEP and 0 < before * JUMP < usual:
        return f"gradients have grown from norm {before:.2g} to {usual:.2g} within an epoch"
    if 0 < health.norms[1] * JUMP < health.norms[2]:
        return f"some vectors have length {health.norms[2]:.2g}, where {health.norms[1]:.2g} is usual"
    return ""


def _stuck(health: Health, seen: Seen) -> bool:
    if not health.floor or seen.before is None or not seen.before.dim:
        return False
    return abs(health.loss - health.floor) <= NEAR * health.floor and health.loss > FALLING * seen.before.loss
