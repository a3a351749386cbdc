"""A million real descriptors: what MobileNetV2 says of each of 7 x 7 places of 20,000 photographs, reduced by PCA.

Random vectors say nothing of an index: they have no neighbourhoods. Places of photographs have, dense and thin ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.foundation._data import data, mobilenet
from nearsight.core.arrays import unit
from nearsight.core.errors import PictureError
from nearsight.data.images import decode, read

SETS = ("imagenet_samples", "variety", "mit_split/train", "flickr8k")
_BATCH = 32
_SAMPLE = 40
"""Pictures between two on whose places the reduction is fitted."""


def descriptors(runs: Path, n: int, dim: int) -> NDArray[np.float16] | None:
    """(up to n, dim) unit rows in random order, mapped from ``RUNS/scale``, where they are made once. None where the
    pictures are absent."""
    path = runs / "scale" / f"places-{dim}.f16"
    if not path.exists():
        weights = data("weights", "mobilenet_v2_imagenet1001_fp16.pth")
        roots = [data(*name.split("/")) for name in SETS]
        if weights is None or None in roots:
            return None
        files = sorted(
            path
            for root in roots
            if root
            for path in root.rglob("*")
            if path.suffix.lower() in (".jpg", ".jpeg", ".png")
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path, weights, files, dim)
    rows = np.memmap(path, np.float16, mode="r").reshape(-1, dim)
    if len(rows) < n:
        print(f"{len(rows):,} descriptors, not {n:,}", flush=True)
    return rows[:n]


def _make(path: Path, weights: Path, files: list[Path], dim: int) -> None:
    sample = np.concatenate(list(_places(weights, files[::_SAMPLE])))
    mean = sample.mean(axis=0)
    _, _, axes = np.linalg.svd(sample[::3] - mean, full_matrices=False)
    kept = [unit((places - mean) @ axes[:dim].T).astype(np.float16) for places in _places(weights, files)]
    rows = np.concatenate(kept)
    half = path.with_suffix(".part")
    rows[np.random.default_rng(0).permutation(len(rows))].tofile(half)
    half.replace(path)


def _places(weights: Path, files: list[Path]) -> Iterator[NDArray[np.float32]]:
    """(49 n, 1280) for each batch of n pictures; those that cannot be read are left out."""
    import torch

    encoder = mobilenet(weights)
    trunk = encoder.tower.module.features.to(memory_format=torch.channels_last)  # type: ignore[attr-defined]

    def prepared(path: Path) -> NDArray[np.uint8] | None:
        try:
            return encoder.prepare(decode(read(path), side=encoder.tower.side))
        except PictureError:
            return None

    with ThreadPoolExecutor(2) as pool, torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(files), _BATCH):
            batch = [one for one in pool.map(prepared, files[start : start + _BATCH]) if one is not None]
            if batch:
                pixels = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float() / 127.5 - 1
                maps = trunk(pixels.contiguous(memory_format=torch.channels_last)).float()
                yield maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]).numpy()
            if start % (64 * _BATCH) == 0:
                print(f"  {start:,} of {len(files):,} pictures", flush=True)
