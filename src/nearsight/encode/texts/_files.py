"""Files of word vectors: word2vec's text and binary formats, GloVe's text. A broken line is left out and told."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from array import array
from collections import Counter
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nearsight.core.errors import EncoderError, InputError
from nearsight.core.events import Skipped
from nearsight.encode.texts._static import Table

WORDS = 200_000
"""So many words of a file are read, unless an option says otherwise: files begin with the frequent ones."""
_HEADER = re.compile(rb"\s*(\d+)\s+(\d+)\s*")
_LOOKED_AT, _WIDEST = 100, 100_000
_LARGEST = float(np.finfo(np.float16).max)


def read_vectors(path: Path, words: int = WORDS) -> tuple[Table, tuple[Skipped, ...]]:
    """The first `words` words of a file, and the lines among them that were not used.

    Text: a word and its numbers a line, with a first line of two numbers (word2vec, fastText) or without (GloVe).
    Binary, where the name ends in ``.bin``: word2vec's. Either may be packed with gzip. A line is left out whose
    numbers are too many or too few, not finite or larger than float16 holds, that is not UTF-8, or whose word was there
    before. Raises EncoderError (code ``words/file``) for a file that is missing, or without a line of use; InputError.
    """
    if words < 1:
        raise InputError(f"words is 1 at least, not {words}", code="words")
    reading = _Reading(path, words)
    try:
        with open(path, "rb") as raw:
            unpacked = _Unpacked(raw)
            read = _read_binary if ".bin" in path.suffixes[-2:] else _read_text
            read(reading, io.BufferedReader(unpacked))
            if unpacked.broken and not reading.full:
                reading.skip("ends too early", f"nothing can be read from here on: {unpacked.broken}")
    except OSError as error:
        raise EncoderError(
            f"no word vectors can be read from {path}: {error}", code="words/file", hint="check the path"
        ) from error
    if not reading.names:
        first = f"; the first line: {reading.skipped[0].why}" if reading.skipped else ""
        raise EncoderError(
            f"{path} holds no word vectors{first}",
            code="words/file",
            hint="a word and its numbers a line, as word2vec, fastText (.vec) and GloVe write them",
        )
    return Table(tuple(reading.names), reading.vectors()), tuple(reading.skipped)


class _Unpacked(io.RawIOBase):
    """A file, unpacked where it is gzip; what is broken in that way is its end."""

    def __init__(self, raw: io.BufferedReader) -> None:
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
        self._file = gzip.GzipFile(fileobj=raw) if packed else raw
        self.broken = ""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            read = self._file.read(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.broken, read = str(error), b""
        buffer[: len(read)] = read
        return len(read)


class _Reading:
    """What has been read, and where we are."""

    def __init__(self, path: Path, words: int) -> None:
        self.path, self.words, self.at, self.width = path, words, 0, 0
        self.names: dict[str, None] = {}
        self.skipped: list[Skipped] = []
        self._numbers = array("f")

    @property
    def full(self) -> bool:
        return len(self.names) + len(self.skipped) >= self.words

    def skip(self, code: str, why: str) -> None:
        self.skipped.append(Skipped(f"{self.path}:{self.at}", f"words/{code.replace(' ', '-')}", why))

    def take(self, name: bytes, numbers: NDArray[np.float32] | list[float]) -> None:
        """One line, `width` numbers for certain."""
        try:
            word = name.decode()
        except UnicodeDecodeError:
            return self.skip("not utf-8", f"{name[:40]!r} is not UTF-8")
        if word in self.names or not word:
            return self.skip("twice", f"the word {word!r} was there before") if word else self.skip("empty", "no word")
        vector = np.asarray(numbers, dtype=np.float64)
        if not (np.abs(vector) <= _LARGEST).all():  # NaN is not either
            return self.skip("not finite", f"{word!r} has a number that is not finite, or larger than {_LARGEST:.0f}")
        self.names[word] = None
        self._numbers.frombytes(vector.astype(np.float32).tobytes())
        return None

    def vectors(self) -> NDArray[np.float16]:
        return np.frombuffer(self._numbers, dtype=np.float32).reshape(-1, self.width).astype(np.float16)


def _read_text(reading: _Reading, file: BinaryIO) -> None:
    ahead = list(islice(file, _LOOKED_AT))
    if ahead and (header := _HEADER.fullmatch(ahead[0])):
        reading.at, reading.width = 1, int(header[2])
        del ahead[0]
    else:
        usual = Counter(len(line.split()) - 1 for line in ahead)
        reading.width = max(usual, key=lambda width: (usual[width], width), default=0)
    for line in chain(ahead, file):
        if reading.full:
            break
        reading.at += 1
        name, *parts = line.split() or [b""]
        if len(parts) != reading.width or not parts:
            reading.skip("numbers", f"{len(parts)} numbers instead of {max(reading.width, 1)}")
            continue
        try:
            numbers = [float(part) for part in parts]
        except ValueError as error:
            reading.skip("not a number", str(error))
            continue
        reading.take(name, numbers)


def _read_binary(reading: _Reading, file: BinaryIO) -> None:
    header = _HEADER.fullmatch(file.readline(100))
    if header is None or not 1 <= int(header[2]) <= _WIDEST:
        return reading.skip("numbers", "the file does not begin with two numbers, as word2vec's does")
    reading.width = int(header[2])
    for reading.at in range(1, int(header[1]) + 1):
        if reading.full:
            break
        name = bytearray()
        while (letter := file.read(1)) not in (b" ", b""):
            name += letter
        numbers = file.read(4 * reading.width)
        if len(numbers) < 4 * reading.width:
            return reading.skip("ends too early", "the file ends before its last word")
        reading.take(bytes(name).lstrip(b"\n"), np.frombuffer(numbers, dtype="<f4"))
    return None
