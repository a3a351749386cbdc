"""Another encoder's network computing in 8 bits: faster, and a little other: ``int8/bundled``.

Behind the name stands the address of a network, or an encoder folder (``int8/runs/shop/encoder``); one with options of
its own is saved into a folder first. It learns the ranges of its numbers from pictures, as `bovw` does its words:
`nearsight index` shows it a sample of the folder. Every other picture of the sample is kept back, and what 8 bits cost
is told on those: the cosine to the vectors of 32 bits, and how many of the nearest ten are the same. That stands in its
identity. Networks of convolutions gain; transformers hardly do. Words, where the encoder has them, stay as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import numpy as np
from PIL import Image

from nearsight.core.errors import EncoderError, InputError
from nearsight.encode.encoder import Encoder, create
from nearsight.encode.golden import Golden
from nearsight.encode.images._exported import Exported
from nearsight.encode.ladder import Rung
from nearsight.encode.network import FACTS, GOLDEN, GRAPH, NetworkTower
from nearsight.encode.quantize import INT8, compared, quantized
from nearsight.encode.runtimes import RUNTIMES

LADDER = (Rung("int8/bundled", 512, "bundled in 8 bits: faster", words=True, packages=("onnx",), extra="int8"),)
_LEAST = 4
_SLACK = 2.0
"""A runtime may stand so much further from the vectors of 32 bits than onnxruntime: each rounds at other places."""


class Int8(Exported):
    """`source` in 8 bits; `pictures` of what `fit` is given are looked at, every other one to tell what it costs."""

    def __init__(self, source: Encoder, address: str, pictures: int) -> None:
        super().__init__()
        if not isinstance(source.tower, NetworkTower) or not source.tower.fitted:
            raise EncoderError(
                f"{source.tower.address} is no network that could compute in 8 bits",
                code="encoder/int8",
                hint="int8/bundled, int8/timm/NAME, int8/torchvision/NAME, or int8/ and an encoder folder",
            )
        self._source, self._pictures = source.tower, pictures
        self.address, self.dim = address, source.tower.dim
        self.preprocess, self.text = source.tower.preprocess, source.text

    def fit(self, pictures: Iterable[Image.Image]) -> None:
        """Raises EncoderError (codes ``encoder/fit`` for fewer than four pictures, ``encoder/int8``), MissingExtra."""
        shown = [self.prepare(picture) for picture in islice(pictures, self._pictures)]
        if len(shown) < _LEAST:
            raise EncoderError(f"8 bits learn from {_LEAST} pictures or more, not {len(shown)}", code="encoder/fit")
        files = {name: content for name, content in self._source.files().items() if isinstance(content, bytes)}
        seen, others = (
            [np.stack(part[at : at + self.batch]) for at in range(0, len(part), self.batch)]
            for part in (shown[::2], shown[1::2])
        )
        graph = quantized(files[GRAPH], seen)
        golden = Golden.from_bytes(files[GOLDEN])
        least = golden.least(RUNTIMES.build("onnxruntime").open(graph)(golden.inputs))
        golden = replace(golden, cosine=min(golden.cosine, 1 - _SLACK * (1 - least)))
        facts = json.loads(files[FACTS])
        facts["identity"][INT8] = {
            "graph": hashlib.sha256(graph).hexdigest(),
            **compared(files[GRAPH], graph, others),
        }
        facts["architecture"] = {"tower": f"int8/{self._source.address}", "heads": []}
        self._take({GRAPH: graph, GOLDEN: golden.to_bytes(), FACTS: json.dumps(facts, indent=1).encode()})


def build(variant: str = "bundled", *, pictures: int = 256) -> Int8:
    """`variant`: whose network; `pictures`: how many it learns from, at most.

    Raises what building that encoder raises, EncoderError (code ``encoder/int8``) for one that is no network.
    """
    if pictures < _LEAST:
        raise InputError(f"pictures must be {_LEAST} or more, not {pictures}")
    given = f"?pictures={pictures}" if pictures != 256 else ""
    return Int8(create(variant), f"int8/{variant}{given}", pictures)
