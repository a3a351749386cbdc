"""An ONNX graph and what surrounds it, read from an encoder folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nearsight.core.errors import Damaged, EncoderError, InputError
from nearsight.encode.golden import Golden
from nearsight.encode.graph import require_plain
from nearsight.encode.network import FACTS, GOLDEN, GRAPH, WEIGHTS, NetworkTower, told
from nearsight.encode.preprocess import Preprocess


class Exported(NetworkTower):
    """The graph's bytes stay in memory: the folder may be moved or replaced meanwhile."""

    takes = "onnx"
    address = "exported"
    """Until it is read: then what it was made of, for people."""
    dim = 0

    def __init__(self) -> None:
        super().__init__("auto")
        self._files: dict[str, bytes] = {}
        self._facts: Mapping[str, Any] = {}

    @property
    def fitted(self) -> bool:
        return bool(self._files)

    def identity(self) -> Mapping[str, Any]:
        identity: Mapping[str, Any] = self._facts["identity"]
        return identity

    def files(self) -> Mapping[str, bytes | Path]:
        return dict(self._files)

    def restore(self, folder: Path) -> None:
        """Raises EncoderError (``encoder/graph``) for a graph that is refused, Damaged for files that are not ours."""
        wanted = [GRAPH, GOLDEN, FACTS] + [WEIGHTS] * (folder / WEIGHTS).exists()
        try:
            self._take({name: (folder / name).read_bytes() for name in wanted})
            made_of = self._facts.get("architecture")  # absent from folders written before networks could be trained
            self.address = told(made_of["tower"], made_of["heads"]) if made_of else "exported"
        except (OSError, ValueError, KeyError, TypeError, RecursionError, InputError) as error:
            raise Damaged(f"the encoder in {folder} cannot be read: {error}") from error

    def _take(self, files: dict[str, bytes]) -> None:
        facts = json.loads(files[FACTS])
        preprocess, dim = Preprocess.of(facts["preprocess"]), int(facts["dim"])
        dict(facts["identity"])
        require_plain(files[GRAPH])
        Golden.from_bytes(files[GOLDEN])
        self._files, self._facts, self.preprocess, self.dim = files, facts, preprocess, dim

    def _network(self) -> bytes:
        if not self._files:
            raise EncoderError("this encoder was not read from a folder", code="encoder/unfitted")
        return self._files[GRAPH]

    def _golden(self) -> Golden:
        return Golden.from_bytes(self._files[GOLDEN])
