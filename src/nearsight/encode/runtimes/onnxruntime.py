"""ONNX Runtime on the processor, fp32: loads at once, always installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import EncoderError, InputError
from nearsight.encode.runtimes import Runner


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """`threads` for one batch; 0: one for each core."""

    threads: int
    takes: str = "onnx"

    def available(self) -> str:
        return ""

    def versions(self) -> str:
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"

    def open(self, network: bytes) -> Runner:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3  # errors only: its warnings are about the graph, which is not the user's
        # Spinning threads would take the cores from the ones that decode the next pictures.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        except (errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf, errors.NoSuchFile,
                errors.NotImplemented, errors.RuntimeException) as error:  # fmt: skip
            raise EncoderError(f"onnxruntime cannot read the graph: {error}", code="encoder/graph") from error
        name = session.get_inputs()[0].name

        def run(batch: NDArray[Any]) -> NDArray[np.float32]:
            return np.asarray(session.run(None, {name: batch})[0], dtype=np.float32)

        return run


def build(*, threads: int = 0) -> OnnxRuntime:
    """Raises InputError for a negative number of threads."""
    if threads < 0:
        raise InputError(f"threads is 0 (all cores) or more, not {threads}")
    return OnnxRuntime(threads)
