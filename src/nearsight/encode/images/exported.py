"""A network that was exported: an encoder folder with an ONNX graph. Runs without torch.

It is what a network becomes when its encoder is saved, and it keeps the identity of the original: one fingerprint
before and after. Not built by hand: give the folder's path where an encoder is asked for.
"""

from __future__ import annotations

from nearsight.encode.images._exported import Exported


def build() -> Exported:
    """Empty; `Encoder.load` fills it from the folder."""
    return Exported()
