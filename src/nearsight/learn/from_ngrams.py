"""Texts by hashed n-grams whose rows are learned: with pictures beside them, or alone, captions of one picture being
alike. `nearsight.learn.from_pairs` takes both, for it knows only rows with labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.encode.export import need_torch
from nearsight.encode.heads import with_dim
from nearsight.encode.pooling import POOLINGS
from nearsight.encode.text_tower import SetTower, pooled_head
from nearsight.encode.texts import nothing_known
from nearsight.encode.texts._grams import Grams, GramWords
from nearsight.learn.from_pairs import TEXT, pair_network
from nearsight.learn.recipe import PairRecipe
from nearsight.learn.samplers import Numbers

MEAN = "mean"
"""How the words of a text become one vector; what is learned is how long the words' are."""


@dataclass(frozen=True, eq=False)
class Bags:
    """n texts as n-grams: for each the rows of the table, and each row's share of the text's vector, their sum."""

    digest: str
    _rows: NDArray[np.int64]
    _shares: NDArray[np.float32]
    _ends: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str], words: GramWords) -> Bags:
        """Raises EncoderError (code ``text/empty``) naming the first text that has no words."""
        bags = [words.grams.hashing.bag(text, words.longest) for text in texts]
        for row, bag in enumerate(bags):
            if not bag.words:
                raise nothing_known(texts, row, words.grams.look_up(texts[row], words.longest))
        digest = hashlib.sha256(f"{words.grams.hashing} {words.longest}\n".encode())
        digest.update("\n".join(texts).encode("utf-8", "surrogatepass"))
        return cls(
            digest.hexdigest(),
            np.concatenate([bag.rows for bag in bags]),
            np.concatenate([bag.shares / len(bag.words) for bag in bags]).astype(np.float32),
            np.cumsum([0, *(len(bag.rows) for bag in bags)]),
        )

    def __len__(self) -> int:
        return len(self._ends) - 1

    def rows(self, rows: Numbers) -> tuple[NDArray[Any], ...]:
        """(t,) -> rows of the table of all these texts, where each text's begin (t,), and their shares."""
        sizes = self._ends[rows + 1] - self._ends[rows]
        starts = np.cumsum(sizes) - sizes
        at = np.repeat(self._ends[rows] - starts, sizes) + np.arange(sizes.sum())
        return self._rows[at], starts, self._shares[at]


@dataclass(frozen=True, eq=False)
class NoPictures:
    """For texts alone."""

    width: int
    digest: str = "none"

    def __len__(self) -> int:
        return 0

    def rows(self, rows: Numbers) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """See `nearsight.learn.from_pairs.Sets`."""
        return np.empty((0, 1, self.width), np.float32), np.empty((0, 1), np.bool_)


def ngram_network(recipe: PairRecipe, pictures: int, words: GramWords) -> Any:
    """`pair_network` with a table of n-grams, which begins as that of `words`, in the place of the text's pooling.

    Raises UnknownName, InputError.
    """
    torch = need_torch("training")
    network = pair_network(recipe, pictures, words.width)
    network.head[TEXT] = _text_side(torch, words, network.head[TEXT].head)
    return network


def _text_side(torch: Any, words: GramWords, head: Any) -> Any:
    """The module with the children ``pool``, the table, and ``head``; it takes what `Bags.rows` gives."""

    class Table(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.from_numpy(words.grams.numbers()))

        def forward(self, rows: Any, starts: Any, shares: Any) -> Any:
            look_up = torch.nn.functional.embedding_bag
            return look_up(rows, self.weight, starts, mode="sum", per_sample_weights=shares)

    class Side(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.pool, self.head, self.dim = Table(), head, head.dim

        def forward(self, rows: Any, starts: Any, shares: Any) -> Any:
            return self.head(self.pool(rows, starts, shares))

    return Side()


def text_tower(recipe: PairRecipe, network: Any, words: GramWords, *, keep_weights: bool = False) -> SetTower:
    """The tower for texts of a network of `ngram_network`, its table rounded to the eight bits it is kept in.

    Raises UnknownName, InputError.
    """
    side = network.head[TEXT]
    learned = Grams.of(side.pool.weight.detach().cpu().numpy(), words.grams.hashing)
    module = pooled_head(POOLINGS.build(MEAN, width=words.width, seed=0), side.head)
    heads = [with_dim(recipe.text.head, recipe.dim)]
    return SetTower(
        GramWords(words.address, learned, words.longest), module, pool=MEAN, heads=heads, keep_weights=keep_weights
    )
