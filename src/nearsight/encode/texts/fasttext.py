"""fastText word vectors, with vectors for unknown words by their letter n-grams: ``fasttext/cc.en.300.bin``.

The variant is the path of a model (``.bin``) or of its words alone (``.vec``, ``.vec.gz``; then words that are not in
it have no vector). Without one, vectors of the same kind are trained on the captions of the training split: skip-gram
with letter n-grams, Bojanowski et al., "Enriching Word Vectors with Subword Information" (TACL 2017). Words that stand
in too few of them have the mean of their n-grams, and so does every word that is met later.
"""

from __future__ import annotations

from collections.abc import Iterable

from nearsight.core.errors import InputError
from nearsight.encode.export import need_torch, weights_path
from nearsight.encode.network import address_of
from nearsight.encode.texts._files import WORDS, read_vectors
from nearsight.encode.texts._model_file import read_model
from nearsight.encode.texts._skipgram import train
from nearsight.encode.texts._static import LONGEST, StaticWords, Table
from nearsight.encode.texts._tokens import tokens


def build(
    variant: str | None = None,
    *,
    dim: int = 300,
    epochs: int = 5,
    min_count: int = 2,
    shortest_ngram: int = 3,
    longest_ngram: int = 6,
    buckets: int = 50_000,
    seed: int = 0,
    words: int = WORDS,
    longest: int = LONGEST,
) -> StaticWords:
    """`words`: so many of a file's are read, from its beginning; `longest`: words of a text that are looked at.

    Training: `dim` numbers a word, `epochs` over the captions, words that stand in them `min_count` times at least
    have a vector of their own; letter n-grams from `shortest_ngram` to `longest_ngram` (0: none) share `buckets` rows.

    Raises MissingExtra, EncoderError (code ``words/file``), InputError (code ``words``).
    """
    if not (1 <= dim <= 4096 and 1 <= epochs <= 1000 and min_count >= 1 and 1 <= buckets <= 10**7 and seed >= 0):
        raise InputError(
            "fasttext takes 1..4096 dim, 1..1000 epochs, a min_count of 1 or more, 1..10000000 buckets and a seed of "
            "0 or more",
            code="words",
        )
    if longest_ngram and not 1 <= shortest_ngram <= longest_ngram <= 100:
        raise InputError(f"there are no n-grams of {shortest_ngram} to {longest_ngram} letters", code="words")
    options = {"dim": dim, "epochs": epochs, "min_count": min_count, "shortest_ngram": shortest_ngram,
               "longest_ngram": longest_ngram, "buckets": buckets, "seed": seed, "words": words,
               "longest": longest}  # fmt: skip
    address = address_of("fasttext", variant or "", build, options)
    if variant is None:
        need_torch("training word vectors")

        def learn(texts: Iterable[str]) -> Table:
            read = (tokens(text, longest) for text in texts)
            return train(read, dim=dim, epochs=epochs, min_count=min_count, ngrams=(shortest_ngram, longest_ngram),
                         buckets=buckets, seed=seed)  # fmt: skip

        return StaticWords(address, width=dim, longest=longest, learn=learn)
    path = weights_path(variant)
    if path.suffix == ".bin":
        return StaticWords(address, table=read_model(path, words), longest=longest)
    table, skipped = read_vectors(path, words)
    return StaticWords(address, table=table, longest=longest, skipped=skipped)
