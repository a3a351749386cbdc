"""What runs a network: one file, one runtime.

To add one, write ``runtimes/NAME.py`` with a docstring and ``build(*, option=default, ...) -> Runtime``.
tests/contracts/test_runtimes.py finds it and judges it on a small graph against numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nearsight.core.registry import Catalogue

RUNTIMES = Catalogue("nearsight.encode.runtimes", "runtime")

Runner = Callable[[NDArray[Any]], NDArray[np.float32]]
"""(n, ...) -> (n, dim) float32, any n >= 1, one result for every batch size (cosine >= 0.9999), callable from several
threads at once. The answer is the caller's own: a later call does not overwrite it."""


class Runtime(Protocol):
    """Opens networks of one input and one output, both with the batch as first axis."""

    takes: str
    """``onnx``: the bytes of a graph; ``module``: a torch.nn.Module in eval mode."""

    def available(self) -> str:
        """ "" where this runtime can run here, else why not (package missing, precision not in this processor)."""
        ...

    def versions(self) -> str:
        """The library and its version, "" where it is not installed: a measurement holds for these only. It must not
        take the time to import what is not used yet."""
        ...

    def open(self, network: Any) -> Runner:
        """Raises MissingExtra, or EncoderError (code ``encoder/graph``) for a network that it cannot read."""
        ...
