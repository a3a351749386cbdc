"""Word vectors learned from texts: skip-gram with negative samples, words as the mean of their letter n-grams.

Bojanowski et al., "Enriching Word Vectors with Subword Information" (TACL 2017), with the sampling of Mikolov et al.,
"Distributed Representations of Words and Phrases" (NeurIPS 2013): frequent words are read less often, the window's size
is drawn up to WINDOW for each word, and noise words by the square root of their count, as fastText does. Steps are of
many pairs at once, by Adagrad. Done here because fastText in one thread starts from memory that nobody set, and in
several does not give the same vectors twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import EncoderError
from nearsight.encode.export import need_torch
from nearsight.encode.texts._static import Subwords, Table

WINDOW, NOISE, RARE = 5, 5, 1e-4
_PAIRS, _RATE = 1024, 0.2


def train(
    texts: Iterable[Sequence[str]], *, dim: int, epochs: int, min_count: int, ngrams: tuple[int, int], buckets: int,
    seed: int,
) -> Table:  # fmt: skip
    """`texts`: the words of each. The same ones in the same order give the same table.

    Raises EncoderError (code ``words/fit``) where no word stands there `min_count` times and beside another one,
    MissingExtra.
    """
    torch = need_torch("training word vectors")
    read = [list(words) for words in texts]
    counts = Counter(word for words in read for word in words)
    vocabulary = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
    rows = {word: row for row, word in enumerate(vocabulary)}
    lines = [[rows[word] for word in words if word in rows] for words in read]
    flat = np.array([row for line in lines for row in line], dtype=np.int64)
    line_of = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    if not np.any(line_of[1:] == line_of[:-1]):
        raise EncoderError(
            f"no two words of these {len(read)} texts stand together and are there {min_count} times",
            code="words/fit",
            hint="give more texts, or a smaller min_count",
        )
    number = np.array([counts[word] for word in vocabulary], dtype=np.float64)
    share = RARE / (number / number.sum())
    kept = np.sqrt(share) + share
    noise = np.cumsum(np.sqrt(number) / np.sqrt(number).sum())
    draw = np.random.default_rng(seed)
    start = draw.uniform(-1 / dim, 1 / dim, (len(vocabulary) + buckets * (ngrams[1] > 0), dim)).astype(np.float32)
    look_up = torch.nn.functional.embedding
    parts = _parts(vocabulary, ngrams, buckets)
    inner, outer = _Rows(torch, torch.tensor(start)), _Rows(torch, torch.zeros(len(vocabulary), dim))
    epoch_pairs = [_pairs(flat, line_of, kept, draw) for _ in range(epochs)]
    batches = [pairs[at : at + _PAIRS] for pairs in epoch_pairs for at in range(0, len(pairs), _PAIRS)]
    for step, pairs in enumerate(batches):
        others = np.searchsorted(noise, draw.random((len(pairs), NOISE)), side="right").clip(max=len(number) - 1)
        others = np.concatenate([pairs[:, 1:], others], axis=1)
        # a noise word that is the neighbour itself is no noise
        counted = np.concatenate([np.ones((len(pairs), 1)), others[:, 1:] != others[:, :1]], axis=1)
        centres, which = np.unique(pairs[:, 0], return_inverse=True)
        vectors = look_up(torch.tensor(which), _composed(torch, inner.take, [parts[row] for row in centres]))
        scores = torch.einsum("nd,nmd->nm", vectors, look_up(*outer.take(others)))
        wanted = torch.zeros_like(scores)
        wanted[:, 0] = 1
        weight = torch.tensor(counted, dtype=scores.dtype)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, wanted, weight, reduction="sum")
        loss.backward()
        for rows_taken in (inner, outer):
            rows_taken.step(_RATE * (1 - step / len(batches)))
    with torch.no_grad():
        vectors = _composed(torch, inner.take, parts).numpy().astype(np.float16)
    grams = inner.all.numpy()[len(vocabulary) :].astype(np.float16)
    return Table(tuple(vocabulary), vectors, Subwords(grams, *ngrams) if ngrams[1] else None)


class _Rows:
    """A matrix of which a step touches few rows: Adagrad (Duchi et al., JMLR 2011) on these."""

    def __init__(self, torch: Any, start: Any) -> None:
        self._torch, self.all, self._squares = torch, start, torch.zeros_like(start)

    def take(self, rows: NDArray[np.int64]) -> tuple[Any, Any]:
        """Where each of `rows` is in the matrix of those taken, and that matrix, which gathers a gradient."""
        unique, at = np.unique(rows, return_inverse=True)
        self._taken = self._torch.tensor(unique)
        self._values = self.all[self._taken].requires_grad_()
        return self._torch.tensor(at.reshape(rows.shape)), self._values

    def step(self, rate: float) -> None:
        gradient = self._values.grad
        squares = self._squares[self._taken] + gradient.square()
        self._squares[self._taken] = squares
        self.all[self._taken] -= rate * gradient / (squares.sqrt() + 1e-10)


def _parts(vocabulary: Sequence[str], ngrams: tuple[int, int], buckets: int) -> list[NDArray[np.int64]]:
    """The rows whose mean a word is: its own, and those of its n-grams behind all words."""
    grams = Subwords(np.empty((buckets, 0), dtype=np.float16), *ngrams) if ngrams[1] else None
    return [
        np.array([row, *(len(vocabulary) + at for at in (grams.buckets(word) if grams else ()))], dtype=np.int64)
        for row, word in enumerate(vocabulary)
    ]


def _composed(torch: Any, take: Callable[[NDArray[np.int64]], tuple[Any, Any]], parts: Sequence[Any]) -> Any:
    """(n, dim): for each the mean of its rows."""
    at, values = take(np.concatenate(parts))
    starts = torch.tensor(np.cumsum([0, *(len(rows) for rows in parts[:-1])]))
    return torch.nn.functional.embedding_bag(at, values, starts, mode="mean")


def _pairs(flat: Any, line_of: Any, kept: Any, draw: np.random.Generator) -> NDArray[np.int64]:
    """(p, 2): a word and one beside it, in random order; each epoch leaves out other frequent words."""
    there = draw.random(len(flat)) < kept[flat]
    words, lines = flat[there], line_of[there]
    reach = draw.integers(1, WINDOW + 1, len(words))
    found = [np.empty((0, 2), dtype=np.int64)]
    for far in range(1, WINDOW + 1):
        same = lines[far:] == lines[:-far]
        for centre, beside, its in (
            (words[:-far], words[far:], reach[:-far]),
            (words[far:], words[:-far], reach[far:]),
        ):
            taken = same & (far <= its)
            found.append(np.stack([centre[taken], beside[taken]], axis=1))
    pairs = np.concatenate(found)
    draw.shuffle(pairs)
    return pairs
