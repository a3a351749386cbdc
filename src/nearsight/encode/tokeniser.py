"""Texts to the numbers that a transformer takes, by its own ``tokenizer.json``; needs no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import Damaged, InputError, MissingExtra


class Pieces(NamedTuple):
    """One text, cut.

    ids      all, with the special ones around them
    places   in `ids`, those that are pieces of the text and known to the vocabulary
    words    these pieces, as the vocabulary spells them
    unknown  the parts of the text that the vocabulary does not have
    """

    ids: list[int]
    places: list[int]
    words: tuple[str, ...]
    unknown: tuple[str, ...]


class Tokeniser:
    """`content`: a ``tokenizer.json``. Of a text the first `longest` pieces are taken, special ones not counted.

    `pad` stands for nothing in a batch; a text that spells it, or another special piece, is one without it.
    Raises MissingExtra, Damaged.
    """

    def __init__(self, content: bytes, *, pad: int, longest: int) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra.of("tokenizers", "text", "looking up words in a transformer's vocabulary") from error
        self.pad = pad
        try:
            self._own = Tokenizer.from_str(content.decode())
            model = json.loads(content)["model"]
        except Exception as error:  # the package raises nothing narrower
            raise Damaged(f"the tokenizer cannot be read: {error}") from error
        self._own.no_padding()
        self._own.no_truncation()
        self.content = self._own.to_str().encode()
        self.around = self._own.num_special_tokens_to_add(False)
        """How many special pieces stand around a text."""
        self._own.enable_truncation(longest + self.around)
        spelt = model.get("unk_token")
        self._unknown = self._own.token_to_id(spelt) if spelt is not None else model.get("unk_id")
        self._special = {i for i, token in self._own.get_added_tokens_decoder().items() if token.special} | {pad}
        if longest < 1:
            raise InputError(f"longest is 1 piece of a text at least, not {longest}", code="words")

    def __call__(self, texts: Sequence[str]) -> list[Pieces]:
        # half of a surrogate pair is no text
        plain = [text.encode("utf-8", "replace").decode() for text in texts]
        return [self._cut(text, found) for text, found in zip(plain, self._own.encode_batch(plain), strict=True)]

    def _cut(self, text: str, found: Any) -> Pieces:
        ids, spans = found.ids, found.offsets
        places = [at for at, i in enumerate(ids) if i not in self._special and i != self._unknown]
        unknown = [text[slice(*spans[at])] for at, i in enumerate(ids) if i == self._unknown]
        tokens = found.tokens
        return Pieces(ids, places, tuple(tokens[at] for at in places), tuple(unknown))


def padded(rows: Sequence[Sequence[int]], pad: int, length: int = 0) -> NDArray[np.int64]:
    """(n, s) of ids, `pad` behind the end of each; s is `length`, or the longest one's."""
    ids = np.full((len(rows), length or max(map(len, rows))), pad, dtype=np.int64)
    for row, given in zip(ids, rows, strict=True):
        row[: len(given)] = given
    return ids


GOLDEN = (
    "A dog runs on the grass.",
    "two dogs are running on a beach, and a man in a red shirt throws a ball",
    "A little girl in a pink dress going into a wooden cabin",
    "snow",
    "Mountains at sunset: orange, violet and 3 shades of blue!",
    "Ein Hund läuft über die Wiese.",
    "Собака бежит по траве",
    "草地上的狗 🐕",
    "a street at night with many cars, wet asphalt, neon signs in the rain and people under umbrellas " * 2,
    "the the the",
    "An old man with a guitar sits in front of a brick wall.",
    "skateboarder",
)
"""Texts on which an exported graph is held against its network: short and long ones, other scripts, an emoji."""
