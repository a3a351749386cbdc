"""Tables of word vectors: one row a word, and rows of letter n-grams for words that have none (fastText)."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nearsight.core.errors import Damaged, EncoderError, InputError
from nearsight.core.events import Skipped
from nearsight.encode.texts import WordSet
from nearsight.encode.texts._tokens import tokens

LONGEST = 128
"""Words of a text that are looked at, unless an option says otherwise."""
FILE, FACTS = "words.safetensors", "words.json"
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True, eq=False)
class Subwords:
    """rows (buckets, width) float16 of letter n-grams, `shortest` to `longest` letters; found by their hash.

    Bojanowski et al., "Enriching Word Vectors with Subword Information" (TACL 2017): a word that has no row of its own
    is the mean of those of its n-grams, with ``<`` before and ``>`` behind it.
    """

    rows: NDArray[np.float16]
    shortest: int
    longest: int

    def of(self, word: str) -> NDArray[np.float32] | None:
        """(width,); None for a word too short to have an n-gram."""
        found = list(self.buckets(word))
        return self.rows[found].astype(np.float32).mean(axis=0) if found else None

    def buckets(self, word: str) -> Iterable[int]:
        """The row of each n-gram of `word`: FNV-1a over its UTF-8 bytes, each taken as a signed one, as fastText's
        files have it since its first version."""
        letters = [letter.encode() for letter in f"<{word}>"]
        for start in range(len(letters)):
            hashed = 2166136261
            for length, letter in enumerate(letters[start : start + self.longest], 1):
                for byte in letter:
                    hashed = ((hashed ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) & 0xFFFFFFFF
                at_an_end = start == 0 or start + length == len(letters)
                if length >= self.shortest and not (length == 1 and at_an_end):
                    yield hashed % len(self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """vocabulary (v,) and vectors (v, width) float16, as they are stored, so that storing changes nothing.

    A word of a text, which is in lower case, has the row of that very word, else that of the first one in the
    vocabulary that is written with capitals. Raises InputError (code ``words``) for numbers that float16 does not hold.
    """

    vocabulary: Sequence[str]
    vectors: NDArray[np.float16]
    subwords: Subwords | None = None
    digest: str = field(init=False)
    _rows: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        names = [unicodedata.normalize("NFC", word) for word in self.vocabulary]
        rows = {word.lower(): row for row, word in reversed(list(enumerate(names)))}
        rows |= {word: row for row, word in reversed(list(enumerate(names))) if word == word.lower()}
        object.__setattr__(self, "_rows", rows)
        digest = hashlib.sha256(json.dumps(list(self.vocabulary)).encode())
        for array in (self.vectors, *([self.subwords.rows] if self.subwords else [])):
            if not np.isfinite(array).all():
                raise InputError(f"word vectors are finite and at most {_LARGEST:.0f} in size", code="words")
            digest.update(f"{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        object.__setattr__(self, "digest", digest.hexdigest())

    def look_up(self, words: Sequence[str]) -> WordSet:
        """The vectors of `words`, and which of them have none."""
        known: list[str] = []
        vectors: list[NDArray[Any]] = []
        unknown: list[str] = []
        for word in words:
            row = self._rows.get(word)
            vector = self.vectors[row] if row is not None else self.subwords.of(word) if self.subwords else None
            if vector is None:
                unknown.append(word)
            else:
                known.append(word)
                vectors.append(vector)
        found = np.array(vectors, dtype=np.float32) if vectors else np.empty((0, self.vectors.shape[1]), np.float32)
        return WordSet(tuple(known), found, tuple(unknown))

    def identity(self) -> dict[str, Any]:
        """What determines the vectors of words."""
        ngrams = [self.subwords.shortest, self.subwords.longest] if self.subwords else []
        return {"words": "table", "sha256": self.digest, "ngrams": ngrams}

    def files(self, facts: Mapping[str, Any]) -> dict[str, bytes | Path]:
        """FILE and FACTS; `facts` are kept beside."""
        ngrams = [self.subwords.shortest, self.subwords.longest] if self.subwords else []
        tensors = {"vectors": self.vectors, **({"subwords": self.subwords.rows} if self.subwords else {})}
        told = {**facts, "ngrams": ngrams, "vocabulary": list(self.vocabulary)}
        return {FILE: save(tensors), FACTS: json.dumps(told, ensure_ascii=False).encode()}

    @classmethod
    def read(cls, folder: Path) -> tuple[Self, Mapping[str, Any]]:
        """What `files` gave. Raises Damaged."""
        try:
            told, tensors = json.loads((folder / FACTS).read_bytes()), load((folder / FILE).read_bytes())
            vectors, vocabulary, ngrams = tensors["vectors"], told["vocabulary"], told["ngrams"]
            subwords = Subwords(tensors["subwords"], *map(int, ngrams)) if ngrams else None
            if vectors.ndim != 2 or len(vectors) != len(vocabulary) or not all(isinstance(w, str) for w in vocabulary):
                raise ValueError("its words and its vectors are not of one number")
            if subwords and (subwords.rows.shape[1:] != vectors.shape[1:] or subwords.shortest < 1):
                raise ValueError("its n-grams are of another width")
            return cls(vocabulary, vectors, subwords), told
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError, InputError) as error:
            raise Damaged(f"the word vectors in {folder} cannot be read: {error}") from error


class StaticWords:
    """Words that have one vector each, wherever they stand: a Table, or what learns one (`learn`) from texts."""

    loader = "table"
    batch = 1024

    def __init__(
        self,
        address: str,
        *,
        width: int = 0,
        longest: int = LONGEST,
        table: Table | None = None,
        learn: Callable[[Iterable[str]], Table] | None = None,
        skipped: Sequence[Skipped] = (),
    ) -> None:
        require_longest(longest)
        self.address, self.longest, self.skipped = address, longest, tuple(skipped)
        self.width = int(table.vectors.shape[1]) if table else width
        self._table, self._learn = table, learn

    @property
    def fitted(self) -> bool:
        return self._table is not None

    def fit(self, texts: Iterable[str]) -> None:
        if self._learn is not None:
            self._table = self._learn(texts)

    def split(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        return [found.words for found in self.sets(texts)]

    def unknown(self, text: str) -> tuple[str, ...]:
        return self.sets([text])[0].unknown

    def sets(self, texts: Sequence[str]) -> list[WordSet]:
        table = self._fitted()
        return [table.look_up(tokens(text, self.longest)) for text in texts]

    def identity(self) -> Mapping[str, Any]:
        return {**self._fitted().identity(), "longest": self.longest}

    def files(self) -> Mapping[str, bytes | Path]:
        return self._fitted().files({"address": self.address, "longest": self.longest})

    def restore(self, folder: Path) -> None:
        table, told = Table.read(folder)
        try:
            self.address, self.longest = str(told["address"]), int(told["longest"])
        except (KeyError, TypeError, ValueError) as error:
            raise Damaged(f"the word vectors in {folder} cannot be read: {error}") from error
        self._table, self.width = table, int(table.vectors.shape[1])

    def _fitted(self) -> Table:
        if self._table is None:
            raise EncoderError(
                f"the word vectors {self.address} learn from texts and have seen none",
                code="encoder/unfitted",
                hint="call fit(captions of the training split)",
            )
        return self._table


def require_longest(longest: int) -> None:
    """Raises InputError (code ``words``) for a number of words that is not within 1 .. 10,000."""
    if not 1 <= longest <= 10_000:
        raise InputError(f"longest is 1 to 10000 words, not {longest}", code="words")
