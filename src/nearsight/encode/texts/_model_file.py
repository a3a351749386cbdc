"""fastText's binary model files (``.bin``), read without the package that writes them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nearsight.core.errors import EncoderError, InputError
from nearsight.encode.texts._static import Subwords, Table

_MAGIC, _VERSIONS = 793712314, (11, 12)
_ARGS = struct.Struct("<12id")


def read_model(path: Path, words: int) -> Table:
    """The vectors of the model's first `words` words, and its n-grams. Raises EncoderError (code ``words/file``)."""
    if words < 1:
        raise InputError(f"words is 1 at least, not {words}", code="words")
    try:
        with open(path, "rb") as file:
            return _read(file, path, words)
    except (OSError, struct.error, ValueError, OverflowError) as error:
        why = "it ends too early" if isinstance(error, struct.error) else str(error)
        raise EncoderError(
            f"{path} is not a fastText model: {why}",
            code="words/file",
            hint="give the .bin that fastText wrote; word2vec's .bin is read by vectors/PATH",
        ) from error


def _read(file: BinaryIO, path: Path, words: int) -> Table:
    magic, version = _unpack(file, "<2i")
    if magic != _MAGIC or version not in _VERSIONS:
        raise ValueError("it does not begin as one")
    *_, model, _buckets, shortest, longest, _rate, _sampling = _ARGS.unpack(file.read(_ARGS.size))
    if version == 11 and model == 3:  # a classifier of that version has no n-grams, whatever it says
        longest = 0
    count, own, _labels, _tokens, pruned = _unpack(file, "<3i2q")
    names = _names(file, count)[:own]
    file.seek(8 * max(pruned, 0), 1)
    (packed,) = _unpack(file, "<?")
    if packed:
        raise ValueError("it is packed (.ftz): give the .bin that it was made from")
    height, width = _unpack(file, "<2q")
    if height < own or width < 1 or len(names) != own:
        raise ValueError(f"{own} words and {height} vectors of {width} numbers")
    rows = np.memmap(path, dtype="<f4", mode="r", offset=file.tell(), shape=(height, width))
    grams = Subwords(rows[own:].astype(np.float16), shortest, longest) if longest and height > own else None
    kept = [(row, name) for row, name in enumerate(names) if name != "</s>"][:words]
    vectors = np.empty((len(kept), width), dtype=np.float16)
    for at, (row, name) in enumerate(kept):
        buckets_of = [own + bucket for bucket in grams.buckets(name)] if grams else []
        vectors[at] = rows[[row, *buckets_of]].mean(axis=0)
    return Table(tuple(name for _, name in kept), vectors, grams)


def _names(file: BinaryIO, count: int) -> list[str]:
    """The dictionary's entries: a word to a null byte, its count (8 bytes) and its kind (1)."""
    names: list[str] = []
    held, at = b"", 0
    while len(names) < count:
        end = held.find(b"\0", at)
        if end < 0 or end + 10 > len(held):
            more = file.read(1 << 20)
            if not more:
                raise ValueError("it ends too early")
            held, at = held[at:] + more, 0
            continue
        names.append(held[at:end].decode("utf-8", "replace"))
        at = end + 10
    file.seek(at - len(held), 1)
    return names


def _unpack(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
