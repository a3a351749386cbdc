"""Which items of a collection are surely unrelated to a query: told by labels, or by the words of captions."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nearsight.core.items import Item

Signs = NDArray[np.int8]
"""(m, n): 1 related, -1 unrelated, 0 nobody can say."""

_WORD = re.compile(r"[^\W_]+")
_APART, _ALIKE = 0.02, 0.15
"""Cosines of weighted words: below the first, two pictures share no word that tells anything; from the second on, what
they show has something in common."""


class Relation(Protocol):
    """What is known of m queries and n items."""

    how: str

    def __call__(self, rows: slice) -> Signs:
        """Of some of the queries: (b, n)."""


class ByLabels:
    """One label: related. Two: unrelated. An item without one says nothing."""

    how = "labels"

    def __init__(self, queries: Sequence[Item], items: Sequence[Item]) -> None:
        codes: dict[str | None, int] = {None: -1}
        self._items = np.array([codes.setdefault(item.label, len(codes)) for item in items], dtype=np.int64)
        self._queries = np.array([codes.setdefault(item.label, len(codes)) for item in queries], dtype=np.int64)

    def __call__(self, rows: slice) -> Signs:
        own = self._queries[rows][:, None]
        signs = np.where(own == self._items, 1, -1).astype(np.int8)
        signs[(own < 0) | (self._items < 0)[None]] = 0
        return signs


class ByCaptions:
    """The cosine of the words of the queries and of all captions of an item, each word weighed by how rare it is.

    The weight of a word is log(n / items that have it), times log(1 + how often) (Salton and Buckley, 1988): what every
    caption has ("a", "the", "of") weighs nothing, in any language.
    """

    how = "captions"

    def __init__(
        self, queries: Sequence[Sequence[str]], items: Sequence[Sequence[str]], own: NDArray[np.int64]
    ) -> None:
        """`own` (m,): the place of the item that a query's texts are of; it is related whatever the words."""
        bags = [_bag(texts) for texts in items]
        held = Counter(word for bag in bags for word in bag)
        self._rare = {word: math.log(len(bags) / count) for word, count in held.items()}
        places: dict[str, list[tuple[int, float]]] = {}
        for at, bag in enumerate(bags):
            for word, weight in self._weighed(bag).items():
                places.setdefault(word, []).append((at, weight))
        self._places = {
            word: (np.array([at for at, _ in found]), np.array([weight for _, weight in found], dtype=np.float32))
            for word, found in places.items()
        }
        self._told = np.array([bool(bag) for bag in bags])
        self._queries = [self._weighed(_bag(texts)) for texts in queries]
        self._own = own

    def __call__(self, rows: slice) -> Signs:
        asked = self._queries[rows]
        alike = np.zeros((len(asked), len(self._told)), dtype=np.float32)
        for row, words in zip(alike, asked, strict=True):
            for word, weight in words.items():
                at, weights = self._places[word]
                row[at] += weight * weights
        signs = np.zeros(alike.shape, dtype=np.int8)
        signs[alike >= _ALIKE] = 1
        signs[(alike < _APART) & self._told] = -1
        signs[[not words for words in asked]] = 0
        signs[np.arange(len(asked)), self._own[rows]] = 1
        return signs

    def _weighed(self, bag: Counter[str]) -> dict[str, float]:
        weights = {word: self._rare[word] * math.log1p(count) for word, count in bag.items() if self._rare.get(word)}
        length = math.sqrt(sum(weight * weight for weight in weights.values()))
        return {word: weight / length for word, weight in weights.items()}


def _bag(texts: Sequence[str]) -> Counter[str]:
    return Counter(word for text in texts for word in set(_WORD.findall(text.lower())))
