"""Word vectors scaled by how rare their words are: ``idf?of=transformers/all-MiniLM-L6-v2``.

Inverse document frequency, ln((1 + n) / (1 + of these with the word)) + 1, of the n texts it was fitted on: captions of
the training split, and no others. Spärck Jones, "A Statistical Interpretation of Term Specificity" (Journal of
Documentation 1972). A word that was in none counts as the rarest. With a mean or a sum behind it, common words hardly
move a text's vector.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from nearsight.core.errors import Damaged, EncoderError, UnknownName
from nearsight.core.events import Skipped
from nearsight.encode.texts import TEXTS, Words, WordSet

_FILE = "words-idf.json"


class IdfWords:
    """`of`: the words whose vectors are scaled, or None until `restore` says them."""

    loader = "idf"

    def __init__(self, of: Words | None) -> None:
        self._of = of
        self._texts = 0
        self._seen: Mapping[str, int] = {}

    @property
    def address(self) -> str:
        return f"idf?of={self._own().address.replace('&', ';')}"

    @property
    def width(self) -> int:
        return self._own().width

    @property
    def longest(self) -> int:
        return self._own().longest

    @property
    def batch(self) -> int:
        return self._own().batch

    @property
    def skipped(self) -> Sequence[Skipped]:
        return self._own().skipped

    @property
    def fitted(self) -> bool:
        return self._texts > 0

    def fit(self, texts: Iterable[str]) -> None:
        """Fits what is below, then counts. Raises EncoderError (code ``words/fit``) for no texts."""
        read = list(texts)
        if not read:
            raise EncoderError("idf counts in how many texts a word stands, and there are none", code="words/fit")
        self._own().fit(read)
        self._seen = Counter(word for words in self._own().split(read) for word in set(words))
        self._texts = len(read)

    def split(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        return self._own().split(texts)

    def unknown(self, text: str) -> tuple[str, ...]:
        return self._own().unknown(text)

    def sets(self, texts: Sequence[str]) -> list[WordSet]:
        self._require_fitted()
        return [found._replace(vectors=found.vectors * self._weights(found.words)) for found in self._own().sets(texts)]

    def identity(self) -> Mapping[str, Any]:
        return {**self._own().identity(), "idf": hashlib.sha256(self._counted()).hexdigest()}

    def files(self) -> Mapping[str, bytes | Path]:
        return {**self._own().files(), _FILE: self._counted()}

    def restore(self, folder: Path) -> None:
        """Raises Damaged, and what the words below raise."""
        try:
            kept = json.loads((folder / _FILE).read_bytes())
            own, texts = cast(Words, TEXTS.build(str(kept["words"]))), int(kept["texts"])
            seen = {str(word): int(number) for word, number in kept["seen"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, UnknownName) as error:
            raise Damaged(f"the word frequencies in {folder} cannot be read: {error}") from error
        own.restore(folder)
        self._of, self._texts, self._seen = own, texts, seen

    def _weights(self, words: Sequence[str]) -> Any:
        seen = [math.log((1 + self._texts) / (1 + self._seen.get(word, 0))) + 1 for word in words]
        return np.array(seen, dtype=np.float32)[:, None]

    def _counted(self) -> bytes:
        self._require_fitted()
        seen = dict(sorted(self._seen.items()))
        kept = {"words": self._own().loader, "texts": self._texts, "seen": seen}
        return json.dumps(kept, ensure_ascii=False).encode()

    def _require_fitted(self) -> None:
        if not self.fitted:
            raise EncoderError(
                f"{self.address} learns from texts and has seen none",
                code="encoder/unfitted",
                hint="call fit(captions of the training split)",
            )

    def _own(self) -> Words:
        if self._of is None:
            raise EncoderError("idf scales other word vectors", code="encoder/unfitted", hint="idf?of=ADDRESS")
        return self._of


def build(*, of: str = "") -> IdfWords:
    """`of`: the address of the word vectors, with ``;`` where it has ``&``.

    Raises UnknownName, and what building those raises.
    """
    return IdfWords(cast(Words, TEXTS.build(of.replace(";", "&"))) if of else None)
