"""What training makes small: a target, a miner and a loss that fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearsight.core.errors import InputError
from nearsight.learn.losses import LOSSES, Loss
from nearsight.learn.matrix import Matrix
from nearsight.learn.miners import MINERS, Miner
from nearsight.learn.samplers import Sampler
from nearsight.learn.targets import TARGETS, Target

if TYPE_CHECKING:
    from torch import Generator, Tensor

ALL = "all"


@dataclass(frozen=True)
class Objective:
    """The three parts, and their addresses for the record."""

    loss: Loss
    target: Target
    miner: Miner
    addresses: dict[str, str]

    def matrix(self, vectors: Tensor, labels: Tensor, items: Tensor | None = None) -> Matrix:
        """(n, d), (n,), (n,) -> the matrix before mining. One call a step: a target may remember."""
        return self.target(vectors, labels, items).matrix(vectors, self.loss.similarity)

    def value(self, matrix: Matrix, generator: Generator | None = None, *, mine: bool = True) -> Tensor:
        """() of a matrix, mined; or of all its pairs."""
        return self.loss(*(self.miner(matrix, generator) if mine else matrix))


def objective(
    loss: str,
    *,
    target: str | None = None,
    miner: str = ALL,
    sampler: Sampler | None = None,
    classes: int,
    dim: int,
    seed: int,
) -> Objective:
    """Built by addresses. Without a `target`: that of the loss's paper; for a loss over pairs that of the sampler.

    Raises UnknownName and InputError for parts that do not exist or do not fit: ``learn/columns`` for a loss over
    columns with a miner, which would take them away, or with a target that has none.
    """
    judge: Loss = LOSSES.build(loss)
    if judge.by_column and miner.partition("?")[0] != ALL:
        raise InputError(
            f"the loss '{loss}' judges whole columns, and the miner '{miner}' takes them apart",
            code="learn/columns",
            hint=f"miner {ALL}",
        )
    if target is None:
        drawn = sampler.target if sampler is not None and judge.target == "batch" else None
        target = drawn or judge.target
    against = TARGETS.build(target, classes=classes, dim=dim, seed=seed)
    if judge.by_column and not against.by_column:
        raise InputError(
            f"the loss '{loss}' judges whole columns, and those of the target '{target}' are of two vectors each",
            code="learn/columns",
            hint=f"target {judge.target}",
        )
    return Objective(
        judge,
        against,
        MINERS.build(miner, similarity=judge.similarity, dim=dim),
        {"loss": loss, "target": target, "miner": miner},
    )
