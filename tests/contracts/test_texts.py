"""Every file in encode/texts, judged. New word vectors are found by themselves and tried with their defaults; give them
a sample address below if those need a download or a file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from text_models import CAPTIONS, bert_folder, glove, word2vec, word2vec_binary

from nearsight.core.errors import Damaged, EncoderError, InputError, MissingExtra
from nearsight.encode.texts import TEXTS, Words

SAMPLES: dict[str, Callable[[Path], str]] = {
    "vectors": lambda folder: f"vectors/{glove(folder / 'glove.txt')}",
    "vectors header": lambda folder: f"vectors/{word2vec(folder / 'w2v.vec')}?longest=40",
    "vectors binary": lambda folder: f"vectors/{word2vec_binary(folder / 'w2v.bin')}",
    "fasttext": lambda folder: "fasttext?dim=12&epochs=2&buckets=300&min_count=1",
    "fasttext file": lambda folder: f"fasttext/{word2vec(folder / 'words.vec')}",
    "idf": lambda folder: f"idf?of=vectors/{glove(folder / 'glove.txt')}?words=20;longest=30",
    "idf trained": lambda folder: "idf?of=fasttext?dim=6;epochs=1;buckets=50",
    "ngram": lambda folder: "ngram?rows=500&dim=12&longest=40",
    "ngram words": lambda folder: "ngram?rows=500&dim=12&pairs=false&seed=2",
    "transformers": lambda folder: f"transformers/{bert_folder(folder / 'bert')}?pretrained=false&seed=3",
    "transformers layers": lambda folder: (
        f"transformers/{bert_folder(folder / 'bert')}?pretrained=false&layers=1,3&longest=50"
    ),
}
NEEDS = {"transformers": ("transformers", "torch"), "fasttext": ("torch",), "idf trained": ("torch",)}
RESTORED = {"table", "pieces"}
TEXTS_HERE = [
    "a dog runs on the grass",
    "Two DOGS, running on the beach!",
    "xylophone",
    "",
    " \t\n",
    "?!...",
    "собака 狗 हिन्दी",
    "🐕",
    "the the the dog",
    "a dog in the red shirt " * 2000,
    "[PAD] dog [SEP] [MASK]",
    "\ud800 dog \x00",
    "a" * 5000,
]
TORCHLESS = ("torch", "transformers", "fasttext", "open_clip", "onnx")


def cases() -> list[object]:
    found: list[object] = []
    for name in {*SAMPLES, *TEXTS.names()} - RESTORED:
        first = name.split()[0]
        needs = NEEDS.get(name, NEEDS.get(first, ()) if name not in ("fasttext file",) else ())
        missing = [package for package in needs if find_spec(package) is None]
        marks = [pytest.mark.torch] if needs else []
        if missing:
            marks.append(pytest.mark.skip(reason=f"needs {missing[0]}"))
        found.append(pytest.param(name, marks=marks))
    return sorted(found, key=str)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Words]:
    @cache
    def build(name: str) -> Words:
        address = SAMPLES[name](tmp_path_factory.mktemp("texts")) if name in SAMPLES else name
        words: Words = TEXTS.build(address)
        words.fit(CAPTIONS)
        return words

    return build


@pytest.fixture(scope="module")
def saved(built: Callable[[str], Words], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def save(name: str) -> Path:
        folder = tmp_path_factory.mktemp("saved")
        for file, content in built(name).files().items():
            assert file.startswith("words")
            assert Path(file).name == file
            (folder / file).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        return folder

    return save


@pytest.fixture(params=cases())
def words(request: pytest.FixtureRequest, built: Callable[[str], Words]) -> Words:
    return built(request.param)


@pytest.fixture(params=cases())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_samples_are_known() -> None:
    assert {name.split()[0] for name in SAMPLES} <= set(TEXTS.names())


def test_every_text_has_a_set(words: Words) -> None:
    sets = words.sets(TEXTS_HERE)
    assert len(sets) == len(TEXTS_HERE)
    for text, found in zip(TEXTS_HERE, sets, strict=True):
        assert found.vectors.shape == (len(found.words), words.width), text[:40]
        assert found.vectors.dtype == np.float32
        assert np.isfinite(found.vectors).all()
        assert len(found.words) + len(found.unknown) <= words.longest
    assert [len(sets[i].words) for i in (3, 4)] == [0, 0]
    assert len(sets[0].words) == 6
    assert words.sets([]) == []


def test_words_and_vectors_are_in_the_order_of_the_text(words: Words) -> None:
    (found,) = words.sets(["a dog on the beach"])
    assert found.words == ("a", "dog", "on", "the", "beach")
    assert len({vector.tobytes() for vector in found.vectors}) == 5
    assert words.split(["a dog on the beach", ""]) == [found.words, ()]


def test_case_and_punctuation_mean_nothing(words: Words) -> None:
    one, two = words.sets(["a dog runs", "A DOG runs"])
    assert one.words == two.words
    assert np.allclose(one.vectors, two.vectors, atol=1e-5)


def test_a_text_s_vectors_do_not_depend_on_the_texts_beside_it(words: Words) -> None:
    together = words.sets(TEXTS_HERE)
    for text, found in zip(TEXTS_HERE, together, strict=True):
        (alone,) = words.sets([text])
        assert (alone.words, alone.unknown) == (found.words, found.unknown)
        assert words.unknown(text) == found.unknown
        assert np.allclose(alone.vectors, found.vectors, atol=1e-5)


def test_of_a_long_text_the_beginning_is_looked_at(words: Words) -> None:
    text = " ".join(["a", "dog"] * 5000)
    (found,) = words.sets([text])
    assert len(found.words) == words.longest
    (cut,) = words.sets([" ".join(text.split()[: words.longest])])
    assert np.allclose(found.vectors, cut.vectors, atol=1e-5)


def test_the_same_address_gives_the_same_vectors(words: Words) -> None:
    again: Words = TEXTS.build(words.address)
    again.fit(CAPTIONS)
    assert again.identity() == words.identity()
    assert again.address == words.address
    for one, two in zip(again.sets(TEXTS_HERE), words.sets(TEXTS_HERE), strict=True):
        assert np.array_equal(one.vectors, two.vectors)


def test_what_is_saved_is_restored(name: str, built: Callable[[str], Words], saved: Callable[[str], Path]) -> None:
    words = built(name)
    again: Words = TEXTS.build(words.loader)
    again.restore(saved(name))
    assert again.identity() == words.identity()
    assert (again.width, again.longest, again.loader) == (words.width, words.longest, words.loader)
    for one, two in zip(again.sets(TEXTS_HERE), words.sets(TEXTS_HERE), strict=True):
        assert (one.words, one.unknown) == (two.words, two.unknown)
        assert np.allclose(one.vectors, two.vectors, atol=2e-5)
    files = again.files()
    assert {file: (saved(name) / file).read_bytes() for file in files} == dict(files)


def test_restored_it_needs_no_torch(name: str, built: Callable[[str], Words], saved: Callable[[str], Path]) -> None:
    code = (
        "import sys\n"
        f"for name in {TORCHLESS}: sys.modules[name] = None\n"
        "from pathlib import Path; from nearsight.encode.texts import TEXTS\n"
        "words = TEXTS.build(sys.argv[2]); words.restore(Path(sys.argv[1]))\n"
        "assert words.sets(['a dog on the grass'])[0].vectors.shape == (5, words.width)\n"
    )
    command = [sys.executable, "-c", code, str(saved(name)), built(name).loader]
    subprocess.run(command, check=True, timeout=60)


def test_identity_and_facts_are_plain(words: Words) -> None:
    assert json.loads(json.dumps(words.identity())) == words.identity()
    assert words.fitted
    assert words.width >= 1
    assert words.longest >= 1
    assert 1 <= words.batch <= 10_000
    assert list(words.skipped) == []
    assert TEXTS.help(words.address.partition("?")[0].partition("/")[0])


def test_damaged_files_are_told(
    name: str, built: Callable[[str], Words], saved: Callable[[str], Path], tmp_path: Path
) -> None:
    for file in built(name).files():
        for part in (b"", b"{}", b"[" * 9000):
            for other in saved(name).iterdir():
                (tmp_path / other.name).write_bytes(other.read_bytes())
            (tmp_path / file).write_bytes(part)
            with pytest.raises((Damaged, EncoderError)):
                TEXTS.build(built(name).loader).restore(tmp_path)


@pytest.mark.parametrize("name", ["fasttext", "idf", "table", "pieces"])
def test_what_learns_says_so_before(name: str, tmp_path: Path) -> None:
    if name == "fasttext":
        pytest.importorskip("torch")
    words: Words = TEXTS.build(SAMPLES[name](tmp_path) if name in SAMPLES else name)
    if name in ("fasttext", "idf"):
        assert not words.fitted
    learns = (words.identity, words.files) if name in ("fasttext", "idf") else ()
    for asked in (lambda: words.sets(["a dog"]), *learns):
        with pytest.raises(EncoderError) as caught:
            asked()
        assert caught.value.code == "encoder/unfitted"


@pytest.mark.parametrize(
    ("address", "package"),
    [("transformers/all-MiniLM-L6-v2", "torch"), ("transformers/x", "transformers"), ("fasttext", "torch")],
)
def test_a_missing_package_is_named_with_its_repair(
    address: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package != "torch":
        pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=package) as caught:
        TEXTS.build(address)
    assert "pip install 'nearsight[" in caught.value.hint


@pytest.mark.parametrize("longest", [0, -3, 20_000])
def test_a_length_that_is_none_is_refused(longest: int, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        TEXTS.build(f"vectors/{glove(tmp_path / 'g.txt')}?longest={longest}")
    assert caught.value.code == "words"
