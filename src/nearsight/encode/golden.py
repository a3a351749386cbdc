"""Is this network, on this runtime, the network that was trained? A few pictures and the vectors they must give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nearsight.core.arrays import unit
from nearsight.core.errors import Damaged, InputError

COSINE = 0.999
"""The least cosine between a runtime's vector and fp32 torch's, of a network that computes in 32 or 16 bits."""
_COSINE = "cosine"
_TIE = 1e-5
_SCENES = 6


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """inputs (n, ...) as the network takes them; vectors (n, dim) as fp32 torch gave them; `cosine`: the least that a
    runtime's may have to these, less than COSINE for a network in 8 bits."""

    inputs: NDArray[Any]
    vectors: NDArray[np.float32]
    cosine: float = COSINE

    def to_bytes(self) -> bytes:
        """As safetensors."""
        own = {} if self.cosine == COSINE else {_COSINE: np.array([self.cosine])}
        return save({"inputs": self.inputs, "vectors": self.vectors, **own})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Raises Damaged for anything but what `to_bytes` gave."""
        try:
            tensors = load(content)
            return cls(tensors["inputs"], tensors["vectors"], float(tensors.get(_COSINE, [COSINE])[0]))
        except (SafetensorError, KeyError, ValueError, IndexError) as error:
            raise Damaged(f"the golden set cannot be read: {error}") from error

    def least(self, vectors: NDArray[np.floating]) -> float:
        """The least cosine of a row to the golden one. Raises InputError for one without a direction."""
        return float(np.einsum("nd,nd->n", unit(vectors), unit(self.vectors)).min())

    def failure(self, vectors: NDArray[np.floating]) -> str:
        """Why `vectors` (n, dim) are not the golden ones; "" where every row agrees to `cosine` and, unless that is
        less than COSINE, has the same nearest neighbour among the rows (a tie within 1e-5 is no difference)."""
        if vectors.shape != self.vectors.shape:
            return f"shape {vectors.shape} instead of {self.vectors.shape}"
        try:
            mine, true = unit(vectors), unit(self.vectors)
        except InputError as error:
            return error.message
        if not (least := self.least(vectors)) >= self.cosine:
            return f"cosine {least:.5f} < {self.cosine:.5g}"
        if self.cosine < COSINE:
            return ""
        wanted, got = true @ true.T, mine @ mine.T
        np.fill_diagonal(wanted, -np.inf)
        np.fill_diagonal(got, -np.inf)
        rows = np.arange(len(true))
        chosen = wanted[rows, got.argmax(axis=1)]
        return "another nearest neighbour" if bool(np.any(chosen < wanted.max(axis=1) - _TIE)) else ""


def golden_pictures(size: int) -> NDArray[np.uint8]:
    """(12, size, size, 3) uint8: six drawn textures, each twice, the second a little shifted and lighter, so that every
    picture has a clear nearest neighbour."""
    draw = np.random.default_rng(2024)
    pictures = []
    for scene in range(_SCENES):
        pixels = np.zeros((size, size, 3))
        for grain in (2 + scene, 5 + 3 * scene, 40):
            noise = draw.integers(0, 256, (grain, grain, 3), dtype=np.uint8)
            layer = Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)
            pixels += np.asarray(layer, dtype=np.float64) / 3
        pictures += [pixels, np.roll(pixels, size // 40, axis=1) * 0.95 + 10]
    return np.clip(np.stack(pictures), 0, 255).astype(np.uint8)
