"""One step: a batch through the network, the whole batch's vectors against the target, the gradient back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from nearsight.core.errors import InputError, TrainingError
from nearsight.learn.devices import Devices
from nearsight.learn.matrix import Matrix
from nearsight.learn.objective import Objective
from nearsight.learn.optimise import average_of, freeze, optimiser, set_rates
from nearsight.learn.recipe import Plan, Recipe

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


Valued = Callable[[Matrix], "Tensor"]
"""What a matrix costs."""


class Learned(NamedTuple):
    """What a batch gave: the loss, the vectors (n, d) as the network gave them, the matrix they were judged in, and the
    norm of the gradient before clipping (NaN where no step was taken)."""

    value: float
    vectors: Tensor
    matrix: Matrix
    gradient: float


class Learner:
    """A network with children ``tower`` and ``head`` behind its `entrance`, its objective, optimiser and average of
    weights."""

    def __init__(self, entrance: Module, objective: Objective, recipe: Plan, devices: Devices) -> None:
        import torch

        self.objective, self.loop, self.devices = objective, recipe.loop, devices
        self._prefixes = recipe.objective.prefixes
        self.entrance = entrance.to(devices.device, memory_format=torch.channels_last)
        self.network: Module = entrance.get_submodule("network")
        own = recipe.network if isinstance(recipe, Recipe) else None
        self._still = own is not None and own.freeze_norm
        freeze(self.network.get_submodule("tower"), own.frozen if own else ())
        self.target = objective.target.module.to(devices.device)
        self.average = average_of(self.network, recipe.loop.ema)
        self.walk = optimiser(self.network, self.target, recipe.loop)
        self._running, self._walk = devices.setup(self.entrance, self.walk)
        self._weights = [p for group in self.walk.param_groups for p in group["params"]]

    def modules(self) -> dict[str, Module]:
        """All that is saved, by name."""
        average = {} if self.average is None else {"average": self.average}
        return {"network": self.network, "target": self.target, **average}

    def trained(self) -> Module:
        """The network that would be taken now: the average of weights where one is kept."""
        return self.network if self.average is None else self.average.module

    def training(self) -> None:
        """Training mode; batch norm only where it may learn."""
        import torch

        self.entrance.train()
        self.target.train()
        if self._still:
            for layer in self.network.modules():
                if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                    layer.eval()

    def learn(
        self,
        given: Tensor,
        labels: Tensor,
        items: Tensor,
        *,
        rate: float,
        seed: int,
        last: bool,
        share: float = 1.0,
        mine: bool = True,
    ) -> Learned:
        """One batch. `given` (m, ...), what the entrance takes, is this process's part of n; labels and items are all
        n.

        `rate` multiplies the base rates; `seed` starts what is random (dropout, mining); `last`: the gradients that
        have gathered make a step; `share`: this batch's part of them; `mine`: whether the miner chooses pairs.

        Raises TrainingError (``training/not-finite``, ``training/memory``), InputError (``training/one-picture``).
        """
        import torch

        generator = torch.Generator(device=labels.device).manual_seed(seed)

        def valued(matrix: Matrix) -> Tensor:
            return self.objective.value(matrix, generator, mine=mine)

        try:
            with self.devices.alone(self._running, quiet=not last):
                value, vectors, matrix = (self._cached if self.loop.chunk else self._whole)(
                    given, labels, items, seed, valued, share
                )
            number = float(value.detach())
            norm = float("nan")
            if number - number == 0:  # finite
                norm = self._step(rate) if last else norm
        except torch.OutOfMemoryError as error:
            raise _out_of_memory(len(labels)) from error
        except RuntimeError as error:
            if "not enough memory" in str(error) or "DefaultCPUAllocator" in str(error):
                raise _out_of_memory(len(labels)) from error
            raise
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise InputError(
                "batch norm cannot learn from one picture at a time",
                code="training/one-picture",
                hint="a larger loop.batch and loop.chunk, or network.freeze_norm=true",
            ) from error
        if number - number != 0 or (last and norm - norm != 0):
            raise TrainingError(
                f"the {'loss' if number - number != 0 else 'gradient'} is not a finite number any more",
                code="training/not-finite",
                hint="a lower loop.lr, loop.clip=1, more loop.warmup, or loop.precision=fp32; the checkpoint is kept",
            )
        return Learned(number, vectors, matrix, norm)

    def _judged(self, vectors: Tensor, labels: Tensor, items: Tensor, valued: Valued) -> tuple[Tensor, Tensor, Matrix]:
        everybody = self.devices.gather(vectors.float(), len(labels))
        matrix = self.objective.matrix(everybody, labels, items)
        value = valued(matrix)
        for dim in self._prefixes:
            short = self.objective.matrix(everybody[:, :dim], labels, items)
            value = value + valued(short)
        return value / (1 + len(self._prefixes)), everybody, matrix

    def _whole(self, given: Tensor, labels: Tensor, items: Tensor, seed: int, valued: Valued, share: float) -> Any:
        value, vectors, matrix = self._judged(self._forward(given, seed), labels, items, valued)
        self.devices.fabric.backward(value * share)
        return value, vectors.detach(), matrix

    def _cached(self, given: Tensor, labels: Tensor, items: Tensor, seed: int, valued: Valued, share: float) -> Any:
        """Vectors by chunks without a graph, the loss's gradient for them, then each chunk again with its share."""
        import torch

        # of like sizes: a last chunk of one picture is none that batch norm can learn from
        pieces = max(1, -(-len(given) // self.loop.chunk))
        chunks = given.tensor_split(pieces)
        with torch.no_grad(), _steady(self.network):
            found = [self._forward(chunk, seed + number) for number, chunk in enumerate(chunks)]
        vectors = torch.cat(found).float().requires_grad_()
        value, everybody, matrix = self._judged(vectors, labels, items, valued)
        self.devices.fabric.backward(value * share)
        shares = vectors.grad.tensor_split(pieces) if vectors.grad is not None else ()
        for number, (chunk, part) in enumerate(zip(chunks, shares, strict=True)):
            with self.devices.alone(self._running, quiet=number < len(chunks) - 1):
                self.devices.fabric.backward(self._forward(chunk, seed + number).float(), gradient=part)
        return value, everybody.detach(), matrix

    def _forward(self, given: Tensor, seed: int) -> Tensor:
        """(m, ...) -> (m, d); dropout follows from `seed`, so that a chunk meets the same one twice."""
        import torch

        torch.manual_seed(seed + 7919 * int(self.devices.fabric.global_rank))
        vectors: Tensor = self._running(given)
        return vectors

    def _step(self, rate: float) -> float:
        import torch

        gradients = [p.grad for p in self._weights if p.grad is not None]
        self.devices.mean([p.grad for p in self.target.parameters() if p.grad is not None])
        total = torch.nn.utils.get_total_norm(gradients)
        norm = float(total)
        if norm - norm == 0:
            if self.loop.clip:
                torch.nn.utils.clip_grads_with_norm_(self._weights, self.loop.clip, total)
            set_rates(self.walk, rate)
            self._walk.step()
            if self.average is not None:
                self.average.update_parameters(self.network)
        self._walk.zero_grad()
        return norm


@contextmanager
def _steady(network: Module) -> Iterator[None]:
    """Batch norm uses the batch and learns nothing of it: its second pass will."""
    import torch

    layers = [m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum


def _out_of_memory(batch: int) -> TrainingError:
    return TrainingError(
        f"a batch of {batch} pictures does not fit into memory",
        code="training/memory",
        hint="loop.chunk=16 keeps the batch for the loss and sends it through the network in parts; or a smaller "
        "loop.batch; the last checkpoint is kept",
    )
