"""PyTorch, on a GPU where there is one: runs networks that are still modules (while training, before export).

On a GPU each thread that calls has a queue of its own there: its batch is copied from pinned memory while another
thread's is computed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import EncoderError, InputError, MissingExtra
from nearsight.encode.runtimes import Runner


@dataclass(frozen=True, slots=True)
class Torch:
    """`precision` f32 or bf16 (autocast); `device` as torch names it, "": the GPU if there is one.

    Threads are torch's own setting, which belongs to the program: it is left alone.
    """

    precision: str
    device: str
    takes: str = "module"

    def available(self) -> str:
        if find_spec("torch") is None:
            return "the package 'torch' is not installed"
        if self.precision == "bf16":
            import torch

            if torch.cuda.is_available() and self._device() == "cuda":
                return "" if torch.cuda.is_bf16_supported() else "this GPU has no bf16"
            if not getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)():
                return "this processor has no bf16"
        return ""

    def versions(self) -> str:
        if find_spec("torch") is None:
            return ""
        import torch

        return f"torch {torch.__version__} {self._device()}"

    def open(self, network: Any) -> Runner:
        try:
            import torch
        except ImportError as error:
            raise MissingExtra.of("torch", "models", "the runtime torch") from error
        if not isinstance(network, torch.nn.Module):
            raise EncoderError(
                "the runtime torch runs modules, and this is an exported graph",
                code="encoder/graph",
                hint="choose onnxruntime or openvino",
            )
        device = self._device()
        gpu = device.startswith("cuda")
        # Pixels come with their channels last, and tensor cores want them so.
        module = network.to(device, memory_format=torch.channels_last if gpu else torch.preserve_format).eval()
        half = torch.bfloat16 if self.precision == "bf16" else None
        lane = _lanes(torch, device) if gpu else nullcontext

        def run(batch: NDArray[Any]) -> NDArray[np.float32]:
            precision = torch.autocast(device.split(":")[0], half, enabled=half is not None)
            with torch.inference_mode(), precision, lane():
                pixels = torch.tensor(batch)
                if gpu:
                    pixels = pixels.pin_memory()
                answer = module(pixels.to(device, non_blocking=gpu))
                return np.asarray(answer.float().cpu().numpy(), dtype=np.float32)

        return run

    def _device(self) -> str:
        import torch

        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")


def _lanes(torch: Any, device: str) -> Callable[[], AbstractContextManager[object]]:
    """What makes the calling thread's own stream of the GPU the one that is used."""
    own = threading.local()
    torch.cuda.synchronize(device)  # the weights are there before any stream asks for them

    def lane() -> AbstractContextManager[object]:
        if not hasattr(own, "stream"):
            own.stream = torch.cuda.Stream(device)
        chosen: AbstractContextManager[object] = torch.cuda.stream(own.stream)
        return chosen

    return lane


def build(*, precision: str = "f32", device: str = "") -> Torch:
    """Raises InputError for a precision other than f32 and bf16."""
    if precision not in ("f32", "bf16"):
        raise InputError(f"precision is f32 or bf16, not {precision}")
    return Torch(precision, device)
