"""A table of word vectors that an encoder folder keeps: what fastText, word2vec and GloVe become when they are saved.

Needs neither torch nor the package that made them. Not built by hand: give the encoder folder's path.
"""

from __future__ import annotations

from nearsight.encode.texts._static import StaticWords


def build() -> StaticWords:
    """Empty until `restore` reads an encoder folder."""
    return StaticWords("table")
