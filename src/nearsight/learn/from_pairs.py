"""Pictures with captions as what is learned from: features that were taken before, and the relation between them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors
from nearsight.encode.export import need_torch
from nearsight.encode.heads import HEADS, with_dim
from nearsight.encode.pooling import POOLINGS
from nearsight.encode.text_tower import pooled_head
from nearsight.learn.recipe import PairRecipe
from nearsight.learn.samplers import SAMPLERS, Numbers, Sampler
from nearsight.learn.source import Batches, Source
from nearsight.measure.crossmodal import BothWays, both_ways
from nearsight.measure.metrics import METRICS

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from nearsight.learn.objective import Objective
    from nearsight.learn.recipe import Plan

RSUM = "rsum"
"""What ``loop.measure`` calls the sum of R@1, R@5 and R@10 both ways."""
PICTURES, TEXT = "pictures", "text"
"""The network's two heads, children of ``head``."""
_ROWS = 512


class Sets(Protocol):
    """n sets of vectors that were taken before: the cells of pictures, the words of captions."""

    @property
    def width(self) -> int: ...

    @property
    def digest(self) -> str:
        """Of the content."""
        ...

    def __len__(self) -> int: ...

    def rows(self, rows: Numbers) -> tuple[NDArray[Any], ...]:
        """(r,) -> members (r, s, width) and mask (r, s), True where a member is; or what else a side's own pooling
        takes."""
        ...


def pair_network(recipe: PairRecipe, pictures: int, words: int) -> Any:
    """The module with the children ``tower`` (nothing: features are frozen) and ``head``, which has a pooling and a
    head for pictures (sets of `pictures` numbers) and for text (of `words`).

    Called with members and mask of both sides it gives two lists of vectors, (p, dim) and (t, dim).
    Raises UnknownName, InputError.
    """
    torch = need_torch("training")

    def side(pool: str, head: str, width: int, seed: int) -> Any:
        top = HEADS.build(with_dim(head, recipe.dim), width=width, seed=seed)
        return pooled_head(POOLINGS.build(pool, width=width, seed=seed), top)

    class Pair(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tower = torch.nn.ModuleDict()
            self.pools = {PICTURES: recipe.pictures.pool, TEXT: recipe.text.pool}
            self.head = torch.nn.ModuleDict(
                {
                    PICTURES: side(recipe.pictures.pool, recipe.pictures.head, pictures, 2 * recipe.seed),
                    TEXT: side(recipe.text.pool, recipe.text.head, words, 2 * recipe.seed + 1),
                }
            )

        def forward(self, *sides: tuple[Tensor, Tensor]) -> list[Tensor]:
            return [head(*side) for head, side in zip(self.head.values(), sides, strict=True) if len(side[0])]

    return Pair()


@dataclass(frozen=True, eq=False)
class Pooled:
    """Sets of one vector each: what a pooling that learns nothing made of other sets, once. It makes the same of it
    again, so that nothing else need know."""

    vectors: NDArray[np.float32]
    digest: str

    @classmethod
    def by(cls, pool: Module, sets: Sets) -> Pooled:
        """`sets` by the pooling `pool`, which has no parameters."""
        import torch

        parts = [np.empty((0, sets.width), dtype=np.float32)]
        with torch.inference_mode():
            for begin in range(0, len(sets), _ROWS):
                members, mask = sets.rows(np.arange(begin, min(begin + _ROWS, len(sets))))
                parts.append(pool(torch.from_numpy(members), torch.from_numpy(mask)).numpy())
        return cls(np.concatenate(parts), sets.digest)

    @property
    def width(self) -> int:
        """Numbers a vector."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, rows: Numbers) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """See Sets."""
        return self.vectors[rows][:, None], np.ones((len(rows), 1), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class FromPairs(Source):
    """Rows are the n pictures, then the m texts; a row's label is its picture.

    `of` (m,): the picture of each text, a row of `pictures`.
    """

    pictures: Sets
    texts: Sets
    of: Numbers
    _kept: dict[str, tuple[str, Pooled]] = field(default_factory=dict, repr=False)

    @cached_property
    def labels(self) -> Numbers:  # type: ignore[override]
        return np.concatenate([np.arange(len(self.pictures), dtype=np.int64), self.of])

    @property
    def classes(self) -> int:  # type: ignore[override]
        return len(self.pictures)

    @cached_property
    def digest(self) -> str:  # type: ignore[override]
        parts = [self.pictures.digest.encode(), self.texts.digest.encode(), self.of.tobytes()]
        return hashlib.sha256(b" ".join(parts)).hexdigest()

    def entrance(self, network: Module) -> Module:
        torch = need_torch("training")
        pools = cast(Mapping[str, str], network.pools)
        pictures, texts = (
            self._pooled(name, pools[name], network.get_submodule(f"head.{name}.pool"), sets)
            for name, sets in ((PICTURES, self.pictures), (TEXT, self.texts))
        )

        class Rows(torch.nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, rows: Tensor) -> Tensor:
                wanted = rows.cpu().numpy()
                picture = wanted < len(pictures)
                order = np.argsort(np.concatenate([np.flatnonzero(picture), np.flatnonzero(~picture)]))
                sides = pictures.rows(wanted[picture]), texts.rows(wanted[~picture] - len(pictures))
                given = [tuple(torch.from_numpy(part).to(rows.device) for part in side) for side in sides]
                vectors = torch.cat([found.float() for found in self.network(*given)])
                return vectors[torch.from_numpy(order).to(rows.device)]

        module: Module = Rows()
        return module

    def _pooled(self, name: str, address: str, pool: Module, sets: Sets) -> Sets:
        """What the head is given: `sets`, or where the pooling learns nothing what it makes of them, made once for a
        pooling: every epoch is measured, and asks again, and so does the next training on the same data."""
        if any(True for _ in pool.parameters()):
            return sets
        kept = self._kept.get(name)
        if kept is None or kept[0] != address:
            kept = self._kept[name] = address, Pooled.by(pool, sets)
        return kept[1]

    @contextmanager
    def training(self, batches: Batches, seed: tuple[int, int]) -> Iterator[Iterator[tuple[int, Numbers]]]:
        yield ((position, rows) for position, _, rows in batches)

    def vectors(self, network: Module, device: Any) -> NDArray[np.float32]:
        import torch

        entrance = self.entrance(network).eval()
        rows = torch.arange(len(self.labels), device=device)
        with torch.inference_mode():
            parts = [entrance(some).cpu().numpy() for some in rows.split(_ROWS)]
        return np.concatenate(parts)

    def both_ways(self, vectors: Vectors, *beside: str) -> BothWays:
        """Measured without intervals, and quickly where nothing stands `beside`."""
        n = len(self.pictures)
        return both_ways(vectors[:n], vectors[n:], self.of, beside=beside, samples=1)

    def measured(self, vectors: Vectors, measure: str) -> float:
        if measure == RSUM:
            return self.both_ways(vectors).rsum.value
        found = self.both_ways(vectors, measure)
        return (found.to_texts.rows[-1].interval.value + found.to_images.rows[-1].interval.value) / 2

    def loss(self, vectors: NDArray[np.float32], objective: Objective, plan: Plan) -> float:
        import torch

        sampler: Sampler = SAMPLERS.build(plan.objective.sampler, labels=self.labels, batch=plan.loop.batch, seed=0)
        device = next((p.device for p in objective.target.module.parameters()), torch.device("cpu"))
        luck, values = torch.Generator(device).manual_seed(0), []
        every, labels = torch.from_numpy(vectors).to(device), torch.from_numpy(self.labels).to(device)
        with torch.inference_mode():
            for batch in sampler.batches(0):
                rows = torch.from_numpy(batch).to(device)
                matrix = objective.matrix(every[rows], labels[rows], rows)
                values.append(float(objective.value(matrix, luck)))
        return sum(values) / len(values)


def require_measure(measure: str) -> None:
    """Raises UnknownName for what is neither RSUM nor a metric."""
    if measure != RSUM:
        METRICS.check(measure)
