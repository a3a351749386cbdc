"""Word vectors from a file, as word2vec, GloVe and fastText publish them: ``vectors/glove.6B.300d.txt``.

The variant is the path (``~`` and environment variables are filled in): text with or without a first line of two
numbers, or word2vec's binary format (``.bin``), packed with gzip or not. Mikolov et al., "Distributed Representations
of Words and Phrases" (NeurIPS 2013); Pennington et al., "GloVe" (EMNLP 2014). A broken line is left out, named and
counted; the rest is used. Words that are not in the file have no vector.
"""

from __future__ import annotations

from nearsight.core.errors import UnknownName
from nearsight.encode.export import weights_path
from nearsight.encode.network import address_of
from nearsight.encode.texts._files import WORDS, read_vectors
from nearsight.encode.texts._static import LONGEST, StaticWords


def build(variant: str | None = None, *, words: int = WORDS, longest: int = LONGEST) -> StaticWords:
    """`words`: so many of the file's are read, from its beginning; `longest`: words of a text that are looked at.

    Raises UnknownName, EncoderError (code ``words/file``), InputError (code ``words``).
    """
    if not variant:
        raise UnknownName("which file of word vectors?", hint="vectors/PATH")
    table, skipped = read_vectors(weights_path(variant), words)
    address = address_of("vectors", variant, build, {"words": words, "longest": longest})
    return StaticWords(address, table=table, longest=longest, skipped=skipped)
