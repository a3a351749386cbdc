"""How good is a network on pictures that it did not learn: its vectors, and leave one out among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors
from nearsight.core.items import Benchmark
from nearsight.core.relevance import keys_of, relevance_of
from nearsight.learn.pictures import Loader, Pictures
from nearsight.measure.evaluate import Measures, evaluate
from nearsight.measure.metrics import METRICS
from nearsight.measure.ranking import Gallery

BATCH = 64


def vectors_of(pixels: Any, loader: Loader, device: Any) -> NDArray[np.float32]:
    """(n, dim) raw vectors of all pictures, by a `pixel_network` on `device`, which is put into eval mode."""
    import torch

    pixels.eval()
    with torch.inference_mode():
        parts = [pixels(torch.from_numpy(block).to(device)).float().cpu().numpy() for block in loader.measuring(BATCH)]
    return np.concatenate(parts)


def loo(pictures: Pictures) -> Benchmark:
    """Every picture queries all others; keys are rows."""
    items = tuple(replace(item, key=row) for row, item in enumerate(pictures.items))
    return Benchmark("held out", "loo", items, items, queries_in_gallery=True)


def measured(vectors: Vectors, pictures: Pictures, metrics: Sequence[str]) -> Measures:
    """Unit vectors (n, dim) of the pictures -> metrics by address, leave one out, without intervals."""
    benchmark = loo(pictures)
    gallery = Gallery.of(keys_of(benchmark.gallery), vectors)
    return evaluate(vectors, gallery, relevance_of(benchmark), [METRICS.build(one) for one in metrics], samples=1)
