"""PyTorch, on a GPU where there is one: runs networks that are still modules (while training, before export)."""

from __future__ import annotations

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
        module = network.to(device).eval()
        half = torch.bfloat16 if self.precision == "bf16" else None

        def run(batch: NDArray[Any]) -> NDArray[np.float32]:
            with torch.inference_mode(), torch.autocast(device.split(":")[0], half, enabled=half is not None):
                answer = module(torch.tensor(batch, device=device))
            return np.asarray(answer.float().cpu().numpy(), dtype=np.float32)

        return run

    def _device(self) -> str:
        import torch

        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")


def build(*, precision: str = "f32", device: str = "") -> Torch:
    """Raises InputError for a precision other than f32 and bf16."""
    if precision not in ("f32", "bf16"):
        raise InputError(f"precision is f32 or bf16, not {precision}")
    return Torch(precision, device)
