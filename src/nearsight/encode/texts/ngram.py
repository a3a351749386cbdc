"""Words by hashed n-grams: ``ngram``, any language, any spelling, nothing to download; ``ngram?rows=32768``.

A word's vector is the mean of a row of its own and of those of its letter n-grams, and on top a row for it and the next
word together. All share ``rows`` rows of eight bits a number, found by their hash (Weinberger et al., "Feature hashing
for large scale multitask learning", ICML 2009). Untrained, the rows are random (``seed``), which compares texts by the
n-grams that they share; `nearsight.learn.from_ngrams` trains them beside pictures.
"""

from __future__ import annotations

import numpy as np

from nearsight.core.errors import InputError
from nearsight.encode.network import address_of
from nearsight.encode.texts._grams import Grams, GramWords, Hashing
from nearsight.encode.texts._static import require_longest

_SPREAD = 0.1
"""Of the random rows: small, so that what is learned soon outweighs them."""


def build(
    *,
    rows: int = 16_384,
    dim: int = 128,
    shortest_ngram: int = 3,
    longest_ngram: int = 5,
    pairs: bool = True,
    longest: int = 64,
    seed: int = 0,
) -> GramWords:
    """`rows` of `dim` numbers; letter n-grams from `shortest_ngram` to `longest_ngram`; `pairs` of words; `longest`:
    words of a text that are looked at.

    Raises InputError (code ``words``).
    """
    require_longest(longest)
    if not (1 <= rows <= 10**7 and 1 <= dim <= 4096 and seed >= 0 and 1 <= shortest_ngram <= longest_ngram <= 100):
        raise InputError(
            "ngram takes 1..10000000 rows, 1..4096 dim, n-grams of 1 <= shortest_ngram <= longest_ngram <= 100 letters "
            "and a seed of 0 or more",
            code="words",
        )
    options = {"rows": rows, "dim": dim, "shortest_ngram": shortest_ngram, "longest_ngram": longest_ngram,
               "pairs": pairs, "longest": longest, "seed": seed}  # fmt: skip
    values = _SPREAD * np.random.default_rng(seed).standard_normal((rows, dim), dtype=np.float32)
    hashing = Hashing(rows, shortest_ngram, longest_ngram, pairs)
    return GramWords(address_of("ngram", "", build, options), Grams.of(values, hashing), longest)
