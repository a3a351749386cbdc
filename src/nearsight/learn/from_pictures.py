"""Labelled pictures as what is learned from: decoded and augmented in threads ahead of the step."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors
from nearsight.encode.export import pixel_network
from nearsight.encode.preprocess import Preprocess
from nearsight.learn.augment import Augment
from nearsight.learn.held_out import measured, vectors_of
from nearsight.learn.pictures import Loader, Pictures, Pixels
from nearsight.learn.samplers import Numbers
from nearsight.learn.source import Batches, Source

if TYPE_CHECKING:
    from torch.nn import Module

    from nearsight.learn.objective import Objective
    from nearsight.learn.recipe import Plan


@dataclass(frozen=True, eq=False)
class FromPictures(Source):
    """`workers` threads decode what is not kept, and augment."""

    pictures: Pictures
    preprocess: Preprocess
    augment: Augment
    workers: int

    @property
    def labels(self) -> Numbers:  # type: ignore[override]
        return self.pictures.labels

    @property
    def classes(self) -> int:  # type: ignore[override]
        return len(self.pictures.names)

    @property
    def digest(self) -> str:  # type: ignore[override]
        return self.pictures.digest

    def entrance(self, network: Module) -> Module:
        module: Module = pixel_network(network, self.preprocess)
        return module

    @contextmanager
    def training(self, batches: Batches, seed: tuple[int, int]) -> Iterator[Iterator[tuple[int, Pixels]]]:
        with ThreadPoolExecutor(self.workers) as pool:
            yield Loader(self.pictures, self.preprocess, pool).training(batches, self.augment, seed)

    def vectors(self, network: Module, device: Any) -> NDArray[np.float32]:
        pixels = pixel_network(network, self.preprocess).to(device)
        with ThreadPoolExecutor(self.workers) as pool:
            return vectors_of(pixels, Loader(self.pictures, self.preprocess, pool), device)

    def measured(self, vectors: Vectors, measure: str) -> float:
        return measured(vectors, self.pictures, [measure]).rows[0].interval.value

    def loss(self, vectors: NDArray[np.float32], objective: Objective, plan: Plan) -> None:
        return None
