"""Rows of n-grams found by their hash, eight bits a number: what any text has vectors from, in a few megabytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nearsight.core.errors import Damaged, InputError
from nearsight.core.events import Skipped
from nearsight.encode.texts import WordSet
from nearsight.encode.texts._tokens import tokens

FILE, FACTS = "words.safetensors", "words.json"
_KEPT = 65_536
"""Words whose n-grams are remembered."""
_LEVELS = 127


class Bag(NamedTuple):
    """The words of one text, each word's rows one after the other, and for each of these the word it is of and its
    share of the word's vector, which is their sum."""

    words: tuple[str, ...]
    rows: NDArray[np.int64]
    of: NDArray[np.int64]
    shares: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Hashing:
    """Which rows a text has.

    A word has one of its own, and one for each run of `shortest` to `longest` letters of it, ``<`` before and ``>``
    behind it (Bojanowski et al., TACL 2017), and is their mean; where `pairs`, a row for the word and the next one
    together comes on top. All share `rows` rows, by FNV-1a.
    """

    rows: int
    shortest: int
    longest: int
    pairs: bool

    def bag(self, text: str, most: int) -> Bag:
        """Of the first `most` words of a text."""
        words = tuple(tokens(text, most))
        found = [_of_word(self, word) for word in words]
        sizes = [len(rows) for rows in found]
        every, order = [row for rows in found for row in rows], np.arange(len(words))
        of = np.repeat(order, sizes)
        shares = (1 / np.array(sizes, dtype=np.float32))[of]
        if self.pairs and len(words) > 1:
            every += [_hash(f"{a} {b}") % self.rows for a, b in pairwise(words)]
            of, shares = np.concatenate([of, order[:-1]]), np.concatenate([shares, np.ones(len(words) - 1)])
        return Bag(words, np.array(every, dtype=np.int64), of, shares.astype(np.float32))


@lru_cache(_KEPT)
def _of_word(hashing: Hashing, word: str) -> tuple[int, ...]:
    """The word's own row first. Its own is hashed with a letter before it that no n-gram begins with."""
    marked = f"<{word}>"
    runs = (
        marked[start : start + length]
        for length in range(hashing.shortest, min(hashing.longest, len(marked) - 1) + 1)
        for start in range(len(marked) - length + 1)
    )
    return tuple(_hash(name) % hashing.rows for name in (f" {word}", *runs))


def _hash(text: str) -> int:
    """FNV-1a, 32 bits, over UTF-8."""
    hashed = 2166136261
    for byte in text.encode("utf-8", "surrogatepass"):
        hashed = ((hashed ^ byte) * 16777619) & 0xFFFFFFFF
    return hashed


@dataclass(frozen=True, slots=True, eq=False)
class Grams:
    """levels (rows, width) int8 and steps (rows,) float16: a row's numbers are its levels times its step.

    Raises InputError (code ``words``) for what is not of these shapes, or steps that are not finite.
    """

    levels: NDArray[np.int8]
    steps: NDArray[np.float16]
    hashing: Hashing
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        if self.levels.ndim != 2 or self.steps.shape != self.levels.shape[:1] or not np.isfinite(self.steps).all():
            raise InputError("n-grams have a finite step for each row of levels", code="words")
        if len(self.levels) != self.hashing.rows:
            raise InputError(f"{len(self.levels)} rows are not {self.hashing.rows}", code="words")
        digest = hashlib.sha256(f"{self.hashing} {self.levels.shape}".encode())
        digest.update(np.ascontiguousarray(self.levels).data)
        digest.update(np.ascontiguousarray(self.steps).data)
        object.__setattr__(self, "digest", digest.hexdigest())

    @classmethod
    def of(cls, rows: NDArray[np.floating], hashing: Hashing) -> Self:
        """The nearest to `rows` (rows, width): each row's largest number becomes the highest level."""
        steps = (np.abs(rows).max(axis=1) / _LEVELS).astype(np.float16)
        safe = np.where(steps > 0, steps, 1).astype(np.float32)
        return cls(np.rint(rows / safe[:, None]).clip(-_LEVELS, _LEVELS).astype(np.int8), steps, hashing)

    def numbers(self) -> NDArray[np.float32]:
        """(rows, width) of all rows."""
        return self.levels.astype(np.float32) * self.steps.astype(np.float32)[:, None]

    def look_up(self, text: str, longest: int) -> WordSet:
        """A vector for each word of the text. Nothing is unknown."""
        bag = self.hashing.bag(text, longest)
        scaled = self.steps[bag.rows].astype(np.float32) * bag.shares
        vectors = np.zeros((len(bag.words), self.levels.shape[1]), dtype=np.float32)
        np.add.at(vectors, bag.of, self.levels[bag.rows].astype(np.float32) * scaled[:, None])
        return WordSet(bag.words, vectors, ())

    def files(self, facts: Mapping[str, Any]) -> dict[str, bytes | Path]:
        """FILE and FACTS; `facts` are kept beside."""
        hashing = [self.hashing.rows, self.hashing.shortest, self.hashing.longest, self.hashing.pairs]
        return {
            FILE: save({"levels": self.levels, "steps": self.steps}),
            FACTS: json.dumps({**facts, "hashing": hashing}).encode(),
        }

    @classmethod
    def read(cls, folder: Path) -> tuple[Self, Mapping[str, Any]]:
        """What `files` gave. Raises Damaged."""
        try:
            told, tensors = json.loads((folder / FACTS).read_bytes()), load((folder / FILE).read_bytes())
            rows, shortest, longest, pairs = told["hashing"]
            hashing = Hashing(int(rows), int(shortest), int(longest), bool(pairs))
            return cls(tensors["levels"].astype(np.int8), tensors["steps"].astype(np.float16), hashing), told
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError, InputError) as error:
            raise Damaged(f"the n-grams in {folder} cannot be read: {error}") from error


class GramWords:
    """Words by their n-grams, until `restore` reads others."""

    loader = "ngram?rows=1&dim=1"
    """What is read replaces its rows: none need be drawn."""
    batch = 1024
    skipped: tuple[Skipped, ...] = ()

    def __init__(self, address: str, grams: Grams, longest: int) -> None:
        self.address, self.grams, self.longest = address, grams, longest
        self.width = int(grams.levels.shape[1])

    @property
    def fitted(self) -> bool:
        return True

    def fit(self, texts: object) -> None:
        return None

    def split(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        return [self.grams.hashing.bag(text, self.longest).words for text in texts]

    def unknown(self, text: str) -> tuple[str, ...]:
        return ()

    def sets(self, texts: Sequence[str]) -> list[WordSet]:
        return [self.grams.look_up(text, self.longest) for text in texts]

    def identity(self) -> Mapping[str, Any]:
        return {"words": "ngram", "sha256": self.grams.digest, "longest": self.longest}

    def files(self) -> Mapping[str, bytes | Path]:
        return self.grams.files({"address": self.address, "longest": self.longest})

    def restore(self, folder: Path) -> None:
        """Raises Damaged."""
        grams, told = Grams.read(folder)
        try:
            self.address, self.longest = str(told["address"]), int(told["longest"])
        except (KeyError, TypeError, ValueError) as error:
            raise Damaged(f"the n-grams in {folder} cannot be read: {error}") from error
        self.grams, self.width = grams, int(grams.levels.shape[1])
