"""fastText's n-grams and files against the package that writes them, and vectors trained on captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearsight.core.errors import EncoderError, InputError
from nearsight.encode.texts import TEXTS, Words
from nearsight.encode.texts._static import Subwords, Table

CAPTIONS = [
    f"a {animal} {does} on the {ground}"
    for animal in ("dog", "puppy", "cat", "kitten")
    for does in ("runs", "jumps", "sleeps", "sits", "plays")
    for ground in ("grass", "lawn", "beach", "sand")
] + [
    f"the {person} wears a {colour} {thing}"
    for person in ("man", "woman", "boy", "girl")
    for colour in ("red", "blue", "green", "white")
    for thing in ("shirt", "hat", "dress", "jacket")
]


def model(path: Path, **given: Any) -> Any:
    """A model of the package, and the file it wrote."""
    fasttext = pytest.importorskip("fasttext")
    (path / "captions.txt").write_text("\n".join([*CAPTIONS, "собака бежит", "🐕 狗"] * 3), encoding="utf-8")
    usual = {"dim": 16, "epoch": 1, "minCount": 1, "bucket": 211, "minn": 2, "maxn": 5}
    made = fasttext.train_unsupervised(str(path / "captions.txt"), verbose=0, thread=12, **{**usual, **given})
    made.save_model(str(path / "model.bin"))
    return made


@pytest.mark.parametrize(("shortest", "longest"), [(3, 6), (1, 4), (2, 2), (1, 1), (4, 9)])
def test_ngrams_are_hashed_as_fasttext_does(shortest: int, longest: int, tmp_path: Path) -> None:
    made = model(tmp_path, minn=shortest, maxn=longest)
    own, words = Subwords(np.zeros((211, 1), np.float16), shortest, longest), len(made.get_words())
    for word in ["dog", "a", "", "xylophone", "собака", "बिल्ली", "狗", "🐕", "naïve", "don't", "x" * 40]:
        _, rows = made.get_subwords(word)
        assert list(own.buckets(word)) == [row - words for row in rows if row >= words], word


@pytest.mark.parametrize("given", [{}, {"maxn": 0}, {"model": "cbow", "minn": 3}])
def test_its_files_are_read_as_it_reads_them(given: dict[str, Any], tmp_path: Path) -> None:
    made = model(tmp_path, **given)
    words: Words = TEXTS.build(f"fasttext/{tmp_path / 'model.bin'}")
    text = "a dog runs собака 🐕 xylophone puppies"
    (found,) = words.sets([text])
    assert found.unknown == (("xylophone", "puppies") if "maxn" in given else ())
    wanted = np.stack([made.get_word_vector(word) for word in found.words])
    assert np.allclose(found.vectors, wanted, atol=2e-3)
    assert np.abs(wanted).max() > 0.02
    few: Words = TEXTS.build(f"fasttext/{tmp_path / 'model.bin'}?words=3")
    words_here = [word for word in made.get_words() if word != "</s>"]
    assert len(few.sets([" ".join(words_here)])[0].words) == (3 if "maxn" in given else len(words_here))


@pytest.mark.parametrize("size", [0, 3, 8, 30, 60, 70, 400, -1000, -1])
def test_a_torn_model_is_refused(size: int, tmp_path: Path) -> None:
    model(tmp_path)
    path = tmp_path / "model.bin"
    path.write_bytes(path.read_bytes()[:size])
    if size == -1000 or size == -1:  # the output matrix, which is not read, lies there
        TEXTS.build(f"fasttext/{path}")
        return
    with pytest.raises(EncoderError) as caught:
        TEXTS.build(f"fasttext/{path}")
    assert caught.value.code == "words/file"


def test_other_files_are_no_models(tmp_path: Path) -> None:
    for content in (b"", b"3 2\nx \0\0\0\0", bytes(range(256)) * 9):
        (tmp_path / "m.bin").write_bytes(content)
        with pytest.raises(EncoderError, match="not a fastText model"):
            TEXTS.build(f"fasttext/{tmp_path / 'm.bin'}")
    with pytest.raises(EncoderError, match=r"absent\.bin"):
        TEXTS.build(f"fasttext/{tmp_path / 'absent.bin'}")


def test_a_packed_model_is_refused_with_the_repair(tmp_path: Path) -> None:
    fasttext = pytest.importorskip("fasttext")
    (tmp_path / "c.txt").write_text("\n".join(f"__label__x {text} w{i % 400}" for i, text in enumerate(CAPTIONS * 5)))
    made = fasttext.train_supervised(str(tmp_path / "c.txt"), dim=4, epoch=1, thread=12, verbose=0)
    made.quantize()
    made.save_model(str(tmp_path / "m.bin"))
    with pytest.raises(EncoderError, match="packed"):
        TEXTS.build(f"fasttext/{tmp_path / 'm.bin'}")


@pytest.mark.torch
class TestTraining:
    ADDRESS = "fasttext?dim=24&epochs=10&min_count=2&buckets=2000"

    def trained(self, address: str = ADDRESS, captions: list[str] = CAPTIONS) -> Words:
        pytest.importorskip("torch")
        words: Words = TEXTS.build(address)
        words.fit(captions)
        return words

    def test_words_that_stand_alike_are_alike(self) -> None:
        words = self.trained(captions=CAPTIONS * 20)
        middle = np.mean([found.vectors.mean(axis=0) for found in words.sets(CAPTIONS)], axis=0)

        def likeness(one: str, two: str) -> float:
            a, b = words.sets([f"{one} {two}"])[0].vectors - middle
            return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

        for one, two, other in (("dog", "kitten", "jacket"), ("red", "blue", "cat"), ("lawn", "beach", "woman")):
            assert likeness(one, two) > likeness(one, other) + 0.2, (one, two, other)

    def test_the_same_captions_give_the_same_vectors(self) -> None:
        quick = "fasttext?dim=8&epochs=2&buckets=100"
        one = self.trained(quick).identity()
        assert one == self.trained(quick).identity()
        assert one != self.trained(quick + "&seed=1").identity()
        assert one != self.trained(quick, CAPTIONS[:-4]).identity()

    def test_unknown_words_are_the_mean_of_their_ngrams(self) -> None:
        words = self.trained("fasttext?dim=8&epochs=2&buckets=100&min_count=1000000000&min_count=2")
        assert words.sets(["dogs doggy x"])[0].words == ("dogs", "doggy", "x")
        without = self.trained("fasttext?dim=8&epochs=2&longest_ngram=0")
        assert without.sets(["dogs dog"])[0][::2] == (("dog",), ("dogs",))

    def test_captions_that_teach_nothing_are_refused(self) -> None:
        for captions in ([], ["", "?!"], ["dog"], ["dog", "cat"], ["a dog", "the cat"]):
            with pytest.raises(EncoderError) as caught:
                self.trained(captions=captions)
            assert caught.value.code == "words/fit"
            assert caught.value.hint

    def test_two_words_are_enough(self) -> None:
        words = self.trained("fasttext?dim=4&epochs=1&min_count=1&buckets=10", ["dog cat"])
        assert np.isfinite(words.sets(["dog cat"])[0].vectors).all()


@pytest.mark.parametrize("options", ["dim=0", "epochs=0", "min_count=0", "buckets=0", "seed=-1", "shortest_ngram=7"])
def test_options_that_make_no_vectors_are_refused(options: str) -> None:
    with pytest.raises(InputError) as caught:
        TEXTS.build(f"fasttext?{options}")
    assert caught.value.code == "words"


def test_numbers_that_are_not_stored_are_refused() -> None:
    with pytest.raises(InputError):
        Table(("a",), np.array([[np.inf]], dtype=np.float16))
