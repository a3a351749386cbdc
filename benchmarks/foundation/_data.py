"""Where the real data lies, and the packed network."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks._results import ROOT
from nearsight.encode import Encoder, create


def data(*parts: str) -> Path | None:
    """A path under NEARSIGHT_DATA (default ../shared/data), or None, said on the terminal, where it is absent."""
    path = Path(os.environ.get("NEARSIGHT_DATA", ROOT.parent / "shared" / "data")).joinpath(*parts)
    if path.exists():
        return path
    print(f"left out: {'/'.join(parts)} is not under NEARSIGHT_DATA", flush=True)
    return None


def mobilenet(weights: Path) -> Encoder:
    """The packed ImageNet MobileNetV2, untrained by us: whole picture to 224 x 224, 1280 pooled features."""
    return create(
        f"torchvision/mobilenet_v2?weights={weights}&padding=same"
        "&size=224&resize=224&fit=squash&interpolation=bicubic&mean=0.5&std=0.5"
    )
