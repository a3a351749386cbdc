"""A transformer that an encoder folder keeps: its vocabulary and an ONNX graph of the layers that are looked at.

It is what ``transformers/NAME`` becomes when it is saved; needs neither torch nor transformers, only the light package
tokenizers. Not built by hand: give the encoder folder's path.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import Damaged, EncoderError
from nearsight.encode.graph import require_plain
from nearsight.encode.runtimes import RUNTIMES, Runner
from nearsight.encode.texts._pieces import FACTS, GRAPH, TOKENS, PieceWords
from nearsight.encode.tokeniser import Tokeniser


class ExportedPieces(PieceWords):
    """The graph's bytes stay in memory; a runtime is opened at the first text."""

    address = "pieces"
    """Until it is read: then what it was made of, for people."""
    width, longest = 0, 0

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._identity: Mapping[str, Any] = {}
        self._opened: Runner | None = None
        self._tokeniser: Tokeniser | None = None
        self._lock = threading.Lock()

    def identity(self) -> Mapping[str, Any]:
        return self._identity

    def files(self) -> Mapping[str, bytes | Path]:
        return dict(self._files)

    def restore(self, folder: Path) -> None:
        """Raises Damaged, MissingExtra, and EncoderError (``encoder/graph``) for a graph that is refused."""
        try:
            files = {name: (folder / name).read_bytes() for name in (GRAPH, TOKENS, FACTS)}
            facts = json.loads(files[FACTS])
            address, width, longest = str(facts["address"]), int(facts["width"]), int(facts["longest"])
            identity, pad = dict(facts["identity"]), int(facts["pad"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise Damaged(f"the word vectors in {folder} cannot be read: {error}") from error
        require_plain(files[GRAPH])
        self._tokeniser = Tokeniser(files[TOKENS], pad=pad, longest=longest)
        self.address, self.width, self.longest, self._identity, self._files = address, width, longest, identity, files

    def _cut(self) -> Tokeniser:
        if self._tokeniser is None:
            raise EncoderError("pieces are read from an encoder folder and have not been", code="encoder/unfitted")
        return self._tokeniser

    def _run(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        with self._lock:
            if self._opened is None:
                self._opened = RUNTIMES.build("onnxruntime").open(self._files[GRAPH])
        return self._opened(ids)


def build() -> ExportedPieces:
    """Empty until `restore` reads an encoder folder."""
    return ExportedPieces()
