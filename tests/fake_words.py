"""A text tower of three words beside the colour tower: small enough to know what every answer must be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import EncoderError
from nearsight.encode import Encoder, create, text_tower
from nearsight.encode.encoder import TEXT, TextTower

WORDS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 40, 40)}


def noise(colour: tuple[int, int, int], seed: int = 12345) -> Image.Image:
    draw = np.random.default_rng(seed)
    return Image.fromarray(np.clip(np.array(colour) + draw.integers(-50, 50, (48, 64, 3)), 0, 255).astype(np.uint8))


class FakeWords:
    """A text is the sum of its words' vectors, and a word means pictures of its colour; others mean nothing."""

    address = "fake_words"
    dim = 768
    seen: ClassVar[list[str]] = []
    """Every text that was encoded, in all towers."""

    def __init__(self) -> None:
        pictures = create("colour").encode_images([noise(colour) for colour in WORDS.values()])
        self.vectors = dict(zip(WORDS, pictures, strict=True))

    def identity(self) -> dict[str, object]:
        return {"words": list(WORDS)}

    def forward(self, texts: Sequence[str]) -> np.ndarray:
        self.seen.extend(texts)
        out = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(out, texts, strict=True):
            text.encode()  # as any tokeniser does: half a letter is an error of Python's, not of ours
            for word in _split(text):
                row += self.vectors.get(word, np.zeros_like(row))
            if not row.any():
                raise EncoderError(f"there is no known word in '{text[:40]}'", code="text/empty")
        return out

    def unknown(self, text: str) -> tuple[str, ...]:
        return tuple(word for word in _split(text) if word not in WORDS)

    def files(self) -> dict[str, bytes]:
        return {TEXT: json.dumps(list(WORDS)).encode()}


def _split(text: str) -> list[str]:
    return [word.strip(".,!") for word in text.lower().split()]


def two_towers() -> Encoder:
    return Encoder(create("colour").tower, FakeWords())


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoder folders that were saved with these words load with them; others as ever, for the tests of a server have
    this in place for as long as the server runs."""
    read = text_tower.read_text_tower

    def either(folder: Path) -> TextTower:
        ours = json.loads((folder / TEXT).read_bytes()) == list(WORDS)
        return FakeWords() if ours else read(folder)

    monkeypatch.setattr(text_tower, "read_text_tower", either)
    FakeWords.seen.clear()


def saved(folder: Path) -> Path:
    two_towers().save(folder)
    return folder
