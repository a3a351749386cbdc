"""Where training runs: one path for the processor, one GPU and several, by Lightning Fabric.

Several processes (``torchrun --nproc-per-node=4 -m nearsight train ...``) each take a part of every batch; the vectors
are gathered, so that every loss sees the whole batch, and the gradients are those of one process.
"""

from __future__ import annotations

import ctypes
import datetime
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from nearsight.core.errors import InputError, MissingExtra
from nearsight.encode.export import need_torch
from nearsight.learn.samplers import Numbers

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import Optimizer


def keep_freed_memory() -> None:
    """Let the C library keep what is freed: training frees and asks for the same large blocks at every step.

    By default glibc gives each back to the system, and every step pays for fresh pages: 1.4 to 2 times the time of a
    convolutional network's step on 2 cores. Must be called before torch first allocates. Does nothing elsewhere.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch asks for huge pages
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4
    for what, value in ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 512 << 20)):
        mallopt(what, value)


_PATIENCE = datetime.timedelta(days=1)
"""How long processes wait for each other: the first measures, which may take longer than torch's ten minutes."""


class Devices:
    """Fabric, and what metric learning needs of it beyond: parts of a batch, and the whole of its vectors."""

    def __init__(self, precision: Literal["bf16", "fp32"], device: str = "auto") -> None:
        """`device`: auto, cpu, cuda. Raises MissingExtra, InputError (code ``training/device``)."""
        need_torch("training")
        try:
            from lightning_fabric import Fabric
            from lightning_fabric.strategies import DDPStrategy
        except ImportError as error:
            raise MissingExtra.of("lightning-fabric", "train", "training") from error
        _require_device(device)
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        several = int(os.environ.get("WORLD_SIZE", "1")) > 1
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self.fabric: Any = Fabric(
            accelerator=device,
            strategy=DDPStrategy(timeout=_PATIENCE) if several else "auto",
            devices=here if several else 1,
            num_nodes=int(os.environ.get("WORLD_SIZE", "1")) // here if several else 1,
            precision="bf16-mixed" if precision == "bf16" else "32-true",
        )
        self.fabric.launch()

    @property
    def world(self) -> int:
        """Processes."""
        return int(self.fabric.world_size)

    @property
    def first(self) -> bool:
        """Whether this process measures, writes and speaks for all."""
        return bool(self.fabric.is_global_zero)

    @property
    def device(self) -> Any:
        """torch's."""
        return self.fabric.device

    def part(self, rows: Numbers) -> slice:
        """The rows of a batch that go through this process's network; sizes differ by one at most."""
        return self._part(len(rows), int(self.fabric.global_rank))

    def _part(self, n: int, rank: int) -> slice:
        return slice(rank * n // self.world, (rank + 1) * n // self.world)

    def gather(self, mine: Tensor, n: int) -> Tensor:
        """This process's vectors -> those of the whole batch (n, d), its own with their gradients.

        The loss is computed whole in every process, so its gradient for these vectors is whole too; DDP then takes the
        mean over processes of what is a sum, hence the factor.
        """
        world = self.world
        if world == 1:
            return mine
        import torch

        sizes = [part.stop - part.start for part in (self._part(n, rank) for rank in range(world))]
        mine.register_hook(lambda gradient: gradient * world)
        padded = torch.nn.functional.pad(mine.detach(), (0, 0, 0, max(sizes) - len(mine)))
        gathered = [torch.empty_like(padded) for _ in sizes]
        torch.distributed.all_gather(gathered, padded)
        mine_at = self.fabric.global_rank
        return torch.cat([mine if rank == mine_at else gathered[rank][:size] for rank, size in enumerate(sizes)])

    def setup(self, network: Module, walk: Optimizer) -> tuple[Any, Any]:
        """The network as it is called, and its optimiser."""
        return self.fabric.setup_module(network), self.fabric.setup_optimizers(walk)

    def alone(self, network: Any, quiet: bool) -> AbstractContextManager[None]:
        """While `quiet`, gradients stay in this process: more are to come before the step."""
        context: AbstractContextManager[None] = self.fabric.no_backward_sync(network, enabled=quiet)
        return context

    def mean(self, tensors: Sequence[Tensor]) -> None:
        """Gradients of what every process computes alike, made exactly alike, in place."""
        if self.world > 1:
            for tensor in tensors:
                tensor.copy_(self.fabric.all_reduce(tensor, reduce_op="mean"))

    def meet(self) -> None:
        """Go on when every process is here: what the first one prepares is there for the others."""
        self.fabric.barrier()

    def once(self, work: Callable[[], Any]) -> Any:
        """What the first process gets by `work`, in every process."""
        found = work() if self.first else None
        return self.fabric.broadcast(found) if self.world > 1 else found


def _require_device(device: str) -> None:
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"there is no device '{device}'", code="training/device", hint="auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "torch finds no CUDA GPU here",
            code="training/device",
            hint="--device auto takes what there is; for a GPU, its driver and a torch built for CUDA",
        )
