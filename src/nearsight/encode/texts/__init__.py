"""Word vectors: what looks up the words (or pieces) of a text, one vector each.

To add one, write ``texts/NAME.py`` with a docstring and ``build(variant=None, *, option=default, ...) -> Words``.
tests/contracts/test_texts.py finds it and holds it to this: the same text gives the same vectors, whatever texts stand
beside it; a text of any length, script or emoji gives a set, an empty one where nothing is known; of a long text the
first ``longest`` words are looked at and no more; what `files` gives, `restore` takes back in a process without torch,
to the same vectors and the same identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import EncoderError
from nearsight.core.events import Skipped
from nearsight.core.registry import Catalogue

TEXTS = Catalogue("nearsight.encode.texts", "kind of word vectors")


class WordSet(NamedTuple):
    """The words of one text.

    words    those that have a vector, in the order of the text
    vectors  (s, width) float32, one each
    unknown  words that have none
    """

    words: tuple[str, ...]
    vectors: NDArray[np.float32]
    unknown: tuple[str, ...]


class Words(Protocol):
    """What a file in `encode/texts` builds."""

    address: str
    """The component address that builds these word vectors again."""
    loader: str
    """The address of the component that takes back what `files` gives."""
    width: int
    """Length of a word's vector."""
    longest: int
    """So many words of a text are looked at, known or not, from its beginning; `sets` leaves the rest alone."""
    batch: int
    """A good number of texts for one `sets`."""

    @property
    def fitted(self) -> bool:
        """False where `fit` must be called first."""
        ...

    @property
    def skipped(self) -> Sequence[Skipped]:
        """What of a file of vectors was not used and why; empty elsewhere."""
        ...

    def fit(self, texts: Iterable[str]) -> None:
        """Learn what must be learned from texts, those of the training split only; a no-op elsewhere."""
        ...

    def split(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The words that `sets` would give a vector each, without these."""
        ...

    def unknown(self, text: str) -> tuple[str, ...]:
        """The words that `sets` would give none, without the vectors of the others."""
        ...

    def sets(self, texts: Sequence[str]) -> list[WordSet]:
        """One set a text; empty (0, width) where nothing in it is known.

        Raises EncoderError (code ``encoder/unfitted``) before what learns was fitted.
        """
        ...

    def identity(self) -> Mapping[str, Any]:
        """JSON-able facts that determine the vectors: options, sha256 of weights."""
        ...

    def files(self) -> Mapping[str, bytes | Path]:
        """Name (beginning with ``words``) -> content of what rebuilds it without torch."""
        ...

    def restore(self, folder: Path) -> None:
        """Take back what `files` gave. Raises Damaged."""
        ...


def nothing_known(texts: Sequence[str], row: int, found: WordSet) -> EncoderError:
    """The error for ``texts[row]``, of which no word has a vector."""
    which = f" (text {row + 1} of {len(texts)})" if len(texts) > 1 else ""
    shown = texts[row] if len(texts[row]) <= 60 else f"{texts[row][:57]}..."
    return EncoderError(
        f"the encoder knows no word of {shown!r}{which}" if found.unknown else f"{shown!r}{which} has no words",
        code="text/empty",
        hint="write it with other words" if found.unknown else "give it a word at least",
    )
