"""What is learned from: rows with labels, and how a batch of them reaches a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors
from nearsight.learn.samplers import Numbers

if TYPE_CHECKING:
    from torch.nn import Module

    from nearsight.learn.objective import Objective
    from nearsight.learn.recipe import Plan

Batches = Iterable[tuple[int, int, Numbers]]
"""Position in the epoch, place in the batch of the first row, rows: the part of a batch that is this process's."""


class Source(ABC):
    """Pictures (`nearsight.learn.from_pictures`), or pictures and captions (`nearsight.learn.from_pairs`)."""

    labels: Numbers
    """(n,) 0 .. classes - 1: rows of one label belong together."""
    classes: int
    digest: str
    """The same content has the same digest, wherever it lies."""

    @abstractmethod
    def entrance(self, network: Module) -> Module:
        """A module with the child ``network`` that makes of an array of `training` vectors (rows, dim)."""

    @abstractmethod
    def training(
        self, batches: Batches, seed: tuple[int, int]
    ) -> AbstractContextManager[Iterator[tuple[int, NDArray[Any]]]]:
        """(position, what the entrance takes) for each batch. What is random in a row follows from `seed`, position and
        place alone, so that a resumed run sees what an unbroken one would have seen."""

    @abstractmethod
    def vectors(self, network: Module, device: Any) -> NDArray[np.float32]:
        """(n, dim) of all rows as the network gives them, in eval mode, in which it leaves it."""

    @abstractmethod
    def measured(self, vectors: Vectors, measure: str) -> float:
        """How well unit vectors (n, dim) of all rows find each other. Raises UnknownName."""

    @abstractmethod
    def loss(self, vectors: NDArray[np.float32], objective: Objective, plan: Plan) -> float | None:
        """The objective over all rows, or None where its classes are others than those that were learned."""
