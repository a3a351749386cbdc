"""From trained weights to the encoder folder that lies in the package: batch norm folded, 16 bits a weight on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from nearsight.core.artefact import MANIFEST, read_artefact, write_artefact
from nearsight.core.errors import EncoderError
from nearsight.encode import Encoder
from nearsight.encode.encoder import FORMAT, VERSION
from nearsight.encode.export import folded, halved, load_state
from nearsight.encode.golden import Golden
from nearsight.encode.network import GOLDEN, GRAPH, TorchTower
from nearsight.encode.text_tower import GRAPH as TEXT_GRAPH
from nearsight.encode.trainable import seeded

TOWER = "compact?norm=false&size={size}"
SENTENCES = ("a red car by the sea", "two dogs run through the snow", "xylophone", "a")


def image_tower(network: Any, size: int) -> TorchTower:
    """The trained `compact` network as it will be used: without batch norm, its weights numbers of 16 bits."""
    tower = seeded(TOWER.format(size=size), 0)
    load_state(tower.module, folded(network).state_dict(), "the trained network")
    return TorchTower(tower.base, rounded(tower.module), tower.preprocess, tower.facts)


def rounded(module: Any) -> Any:
    """`module` itself, its weights rounded to what float16 holds, so that `halved` changes nothing."""
    import torch

    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half().float())
    return module


def package(encoder: Encoder, folder: Path, also: dict[str, bytes]) -> None:
    """Write `folder`, as `Encoder.save` does but with half the bytes, and prove that it gives the same vectors.

    Raises EncoderError (code ``encoder/changed``), WriteFailed, and what saving raises.
    """
    with tempfile.TemporaryDirectory() as beside:
        whole = Path(beside) / "whole"
        encoder.save(whole, also=also)
        kept = read_artefact(whole, FORMAT, VERSION)
        files: dict[str, bytes | Path] = {name: (whole / name).read_bytes() for name in kept.files if name != MANIFEST}
        for name in (GRAPH, TEXT_GRAPH):
            files[name] = halved((whole / name).read_bytes())
        write_artefact(folder, FORMAT, VERSION, kept.meta, files)
    again = Encoder.load(folder, runtime="onnxruntime")
    golden = Golden.from_bytes((folder / GOLDEN).read_bytes())
    why = golden.failure(again.encode_prepared(list(golden.inputs)))
    least = float((again.encode_texts(SENTENCES) * encoder.encode_texts(SENTENCES)).sum(axis=1).min())
    picture = Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 60).convert("RGB")
    least = min(least, float((again.encode_images([picture]) * encoder.encode_images([picture])).sum()))
    if why or least < 0.9999:
        raise EncoderError(f"the halved encoder gives other vectors: {why or least}", code="encoder/changed")
