"""What a word is, in every script."""

from __future__ import annotations

import time

import pytest

from nearsight.encode.texts._tokens import tokens

MAN, WOMAN, GIRL, TONE, JOINER, HEART = "\U0001f468", "\U0001f469", "\U0001f467", "\U0001f3fd", "\u200d", "\u2764"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog's ball, the 2nd one!", ["a", "dog", "s", "ball", "the", "2nd", "one"]),
        ("well-known snake_case 3.14", ["well", "known", "snake", "case", "3", "14"]),
        ("Собака бежит", ["собака", "бежит"]),
        ("ΣΊΣΥΦΟΣ", ["σίσυφος"]),
        ("हिन्दी में लिखा", ["हिन्दी", "में", "लिखा"]),
        ("كلب يجري", ["كلب", "يجري"]),
        ("草地上的狗", ["草", "地", "上", "的", "狗"]),
        ("いぬがはしる 犬", ["いぬがはしる", "犬"]),
        ("개가 달린다", ["개가", "달린다"]),
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("dogs🐕🐶run", ["dogs", "🐕", "🐶", "run"]),
        (f"{MAN}{JOINER}{WOMAN}{JOINER}{GIRL} {WOMAN}{TONE}", [f"{MAN}{JOINER}{WOMAN}{JOINER}{GIRL}", WOMAN + TONE]),
        (f"{HEART}\ufe0f{HEART}", [HEART, HEART]),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", ["\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"]),
        ("", []),
        (" \t\n?!—«»…", []),
        ("\ud800 x\x00y", ["x", "y"]),
        ("<b>bold</b> & more", ["b", "bold", "b", "more"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert tokens(text, 100) == words


def test_the_first_are_taken() -> None:
    assert tokens("one two three four", 2) == ["one", "two"]
    assert tokens("x" * 250, 10) == ["x" * 100, "x" * 100, "x" * 50]


def test_long_texts_take_no_time() -> None:
    start = time.process_time()
    for letter in ("a", "\ufe0f", JOINER, MAN + JOINER, "狗", "a ", TONE):
        assert len(tokens(letter * 100_000, 128)) <= 128
    assert time.process_time() - start < 5
