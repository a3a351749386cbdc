"""OpenVINO on the processor: the fastest for most networks, in bf16 where the processor computes it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import EncoderError, InputError, MissingExtra
from nearsight.encode.runtimes import Runner


@dataclass(frozen=True, slots=True)
class OpenVino:
    """`precision` of the arithmetic, f32 or bf16; `threads` for one batch, 0: one for each core."""

    precision: str
    threads: int
    takes: str = "onnx"

    def available(self) -> str:
        if find_spec("openvino") is None:
            return "the package 'openvino' is not installed"
        if self.precision == "bf16":
            import openvino

            if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
                return "this processor has no bf16"
        return ""

    def versions(self) -> str:
        return f"openvino {version('openvino')}" if find_spec("openvino") else ""

    def open(self, network: bytes) -> Runner:
        try:
            import openvino
        except ImportError as error:
            raise MissingExtra.of("openvino", "openvino", "the runtime openvino") from error
        # One stream over all cores: callers bring batches, and want each answer soon and memory small.
        wish: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": self.precision}
        if self.threads:
            wish["INFERENCE_NUM_THREADS"] = self.threads
        core = openvino.Core()
        try:
            compiled = core.compile_model(core.read_model(network), "CPU", wish)
        except RuntimeError as error:
            raise EncoderError(f"openvino cannot read the graph: {error}", code="encoder/graph") from error
        request = compiled.create_infer_request()
        lock = threading.Lock()  # a request runs one batch at a time, and one batch uses all cores

        def run(batch: NDArray[Any]) -> NDArray[np.float32]:
            with lock:
                request.infer([batch], share_inputs=True)
                return np.array(request.get_output_tensor(0).data, dtype=np.float32)

        return run


def build(*, precision: str = "f32", threads: int = 0) -> OpenVino:
    """Raises InputError for a precision other than f32 and bf16, or a negative number of threads."""
    if precision not in ("f32", "bf16") or threads < 0:
        raise InputError(f"precision is f32 or bf16 and threads >= 0, not {precision} and {threads}")
    return OpenVino(precision, threads)
