"""Pictures by words: alone, weighed, less of them, with filters; and what is said where it cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fake_words import WORDS, FakeWords, install, noise, two_towers
from nearsight.core.arrays import unit
from nearsight.core.artefact import MANIFEST, read_manifest, write_manifest
from nearsight.core.errors import EncoderError, QueryError
from nearsight.encode import create
from nearsight.search.collection import Collection
from nearsight.search.query import Query, Text
from nearsight.search.store.store import FORMAT, VERSION
from nearsight.search.sync import folder_label


@pytest.fixture(autouse=True)
def three_words(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Four pictures of each colour in a folder of its name."""
    for at, (name, colour) in enumerate(WORDS.items()):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(4):
            noise(colour, 100 * at + number).save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


@pytest.fixture
def collection(colours: Path, tmp_path: Path) -> Iterator[Collection]:
    with Collection.create(tmp_path / "kept", two_towers()) as made:
        list(made.sync(colours, annotate=folder_label))
        yield made


def labels(matches) -> list[str | None]:
    return [match.item.label for match in matches]


def test_words_find_what_they_say(collection: Collection) -> None:
    for word in WORDS:
        assert labels(collection.search(Text(word), 4)) == [word] * 4
        assert collection.search(Query.words(word), 4) == collection.search(Text(word), 4)
    assert set(labels(collection.search(Query.words("a Red and a green one"), 8))) == {"red", "green"}


def test_words_are_weighed_as_pictures_are(collection: Collection) -> None:
    red, blue = (unit(FakeWords().vectors[word][None])[0] for word in ("red", "blue"))
    both = collection.vector(Query(((Text("red"), 1.0), (Text("blue"), -0.5))))
    assert both == pytest.approx(unit((red - 0.5 * blue)[None])[0], abs=1e-6)
    less = collection.search(Query(((Text("red green"), 1.0), (Text("green"), -1.0))), 12)
    assert labels(less)[:4] == ["red"] * 4
    assert set(labels(less)[-4:]) != {"red"}


def test_words_mix_with_pictures_and_keys(collection: Collection, colours: Path) -> None:
    key = collection.search(colours / "red" / "0.png", 1)[0].item.key
    mixed = Query(((key, 1.0), (colours / "red" / "1.png", 1.0), (Text("blue"), 1.0)))
    found = labels(collection.search(mixed, 8))
    assert set(found) == {"red", "blue"}
    with pytest.raises(QueryError, match="cancel"):
        collection.search(Query(((Text("blue"), 1.0), (Text("blue"), -1.0))))


def test_filters_hold_for_words_and_k_is_kept(collection: Collection) -> None:
    found = collection.search(Query.words("red", where={"label": "green"}), 4)
    assert labels(found) == ["green"] * 4
    assert collection.search(Query.words("red", where={"label": "green", "path": {"contains": "nothing"}})) == []


def test_words_alone_decode_no_picture(collection: Collection, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create("colour").tower.__class__, "prepare", None)
    assert labels(collection.search(Text("red"), 4)) == ["red"] * 4


@pytest.mark.parametrize("words", ["", "   ", "\n\t"])
def test_no_words_are_refused(words: str) -> None:
    with pytest.raises(QueryError) as caught:
        Text(words)
    assert caught.value.code == "query/words"
    with pytest.raises(QueryError):
        Query.words(words)
    with pytest.raises(QueryError):
        Query.words()


def test_half_a_letter_is_refused_in_words() -> None:
    with pytest.raises(QueryError, match="half a letter"):
        Text("caf\udce9")


@pytest.mark.parametrize("words", ["xyzzy", "собака", "犬", "🐕", "-rf", "xyzzy " * 10_000])
def test_words_that_nobody_knows_are_named(collection: Collection, words: str) -> None:
    with pytest.raises(EncoderError) as caught:
        collection.search(Text(words))
    assert caught.value.code == "text/empty"
    assert words[:30] in caught.value.message


@pytest.mark.parametrize("words", ["red 🐕", "красный red", "red " + "xyzzy " * 10_000, "-rf red"])
def test_one_known_word_is_enough(collection: Collection, words: str) -> None:
    assert labels(collection.search(Text(words), 4)) == ["red"] * 4


def test_an_encoder_without_words_says_what_to_do(colours: Path, tmp_path: Path) -> None:
    with Collection.create(tmp_path / "c", create("colour")) as plain:
        list(plain.sync(colours))
        assert plain.modalities == ("image",)
        assert plain.stats()["modalities"] == ["image"]
        with pytest.raises(EncoderError) as caught:
            plain.search(Text("red"))
        assert caught.value.code == "encoder/no-text"
        assert "captions" in caught.value.hint


def test_a_collection_knows_whether_it_has_words_before_and_after_it_is_opened(collection: Collection) -> None:
    assert collection.modalities == ("image", "text")
    collection.close()
    with Collection.open(collection.folder, read_only=True) as reader:
        assert reader.modalities == ("image", "text")
        assert labels(reader.search(Text("green"), 4)) == ["green"] * 4
    assert (collection.folder / "encoder" / "text.json").is_file()


def test_a_collection_made_before_there_were_words_is_as_it_was(colours: Path, tmp_path: Path) -> None:
    """Its manifest says nothing of modalities and its encoder folder has no text.json."""
    with Collection.create(tmp_path / "old", create("colour")) as made:
        list(made.sync(colours, annotate=folder_label))
    meta = read_manifest(tmp_path / "old" / MANIFEST, FORMAT, VERSION)["meta"]
    del meta["modalities"]
    write_manifest(tmp_path / "old" / MANIFEST, FORMAT, VERSION, meta, {})
    with Collection.open(tmp_path / "old") as old:
        assert old.modalities == ("image",)
        assert labels(old.search(colours / "red" / "0.png", 4)) == ["red"] * 4
        assert not (tmp_path / "old" / "captions").exists()
        assert list(old.sync(colours, annotate=folder_label))[-1].counts["unchanged"] == 12


def test_words_are_no_path(collection: Collection, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(colours / "blue")
    noise(WORDS["blue"], 7).save("red", "PNG")
    assert labels(collection.search("red", 4)) == ["blue"] * 4, "a plain str is a path"
    assert labels(collection.search(Text("red"), 4)) == ["red"] * 4
    assert np.allclose(collection.vector(Query.words("red")), FakeWords().vectors["red"], atol=1e-6)
