"""Words that a transformer sees: pieces, each with a vector that depends on the text around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import EncoderError
from nearsight.core.events import Skipped
from nearsight.encode.texts import WordSet
from nearsight.encode.tokeniser import Tokeniser, padded

GRAPH, TOKENS, FACTS = "words.onnx", "words-tokenizer.json", "words.json"


class PieceWords(ABC):
    """What a transformer and its exported graph share: cutting, padding, and leaving special pieces out.

    Pieces that the vocabulary does not have take part as its sign for them and have no vector of their own.
    """

    loader = "pieces"
    fitted = True
    skipped: Sequence[Skipped] = ()
    batch = 32
    address: str
    width: int
    longest: int

    def fit(self, texts: Iterable[str]) -> None:
        return None

    def restore(self, folder: Path) -> None:
        raise EncoderError(f"{self.address} is made from weights, not restored from an encoder folder")

    def split(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        return [found.words for found in self._cut()(texts)]

    def unknown(self, text: str) -> tuple[str, ...]:
        return self._cut()([text])[0].unknown

    def sets(self, texts: Sequence[str]) -> list[WordSet]:
        found = self._cut()(texts)
        # of like length together: what is padded costs as much as what is not
        order = sorted(range(len(found)), key=lambda row: len(found[row].ids))
        sets: dict[int, WordSet] = {}
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            vectors = self._run(padded([found[row].ids for row in rows], self._cut().pad))
            for row, own in zip(rows, vectors, strict=True):
                sets[row] = WordSet(found[row].words, own[found[row].places], found[row].unknown)
        return [sets[row] for row in range(len(found))]

    @abstractmethod
    def _cut(self) -> Tokeniser: ...

    @abstractmethod
    def _run(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, s) -> (n, s, width)."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]: ...

    @abstractmethod
    def files(self) -> Mapping[str, bytes | Path]: ...
