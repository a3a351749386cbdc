"""Captions as something to be found: right, encoded once, kept, brought up to date, and safe to lose."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fake_words import WORDS, FakeWords, install, noise, two_towers
from nearsight.core.arrays import unit
from nearsight.core.errors import EncoderError, QueryError, WriteFailed
from nearsight.core.events import Skipped, Step
from nearsight.encode import create
from nearsight.search import captions as module
from nearsight.search.collection import Collection
from nearsight.search.query import Query, Text
from nearsight.search.store.store import Record

SAID = {
    "blue": ("blue", "Blue and blue and green"),
    "green": ("green", "all of it green, some of it red"),
    "red": ("red", "red, but a little blue"),
}


@pytest.fixture(autouse=True)
def three_words(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


def records() -> list[Record]:
    return [Record(f"{name}.png".encode(), label=name, captions=SAID[name]) for name in WORDS]


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    """Three items with two captions each: keys 1 (blue), 2 (green), 3 (red)."""
    encoder = two_towers()
    with Collection.create(tmp_path / "kept", encoder) as made:
        made.add(encoder.encode_images([noise(colour, 1) for colour in WORDS.values()]), records())
        yield made


def told(matches) -> list[tuple[int, str]]:
    return [(match.item.key, match.caption) for match in matches]


def brute(collection: Collection, query: Query, k: int) -> list[tuple[int, str]]:
    wanted = collection.vector(query).astype(np.float64)
    rows = [(item.key, place, text) for item in collection.items() for place, text in enumerate(item.captions)]
    vectors = collection.encoder.encode_texts([text for _, _, text in rows])
    scored = [(-np.float32(v.astype(np.float64) @ wanted), key, place, text) for v, (key, place, text) in
              zip(vectors, rows, strict=True)]  # fmt: skip
    return [(key, text) for _, key, _, text in sorted(scored)[:k]]


@pytest.mark.parametrize(
    "query",
    [Query.words("red"), Query.like(2), Query(((Text("red"), 1.0), (3, 1.0), (Text("blue"), -0.7)))],
    ids=["words", "key", "mixed"],
)
def test_captions_rank_as_a_plain_loop_ranks_them(collection: Collection, query: Query) -> None:
    for k in (1, 4, 6, 50):
        found = collection.search_captions(query, k)
        assert told(found) == brute(collection, query, k)
        assert [match.rank for match in found] == list(range(1, min(k, 6) + 1))
        assert all(match.caption in match.item.captions for match in found)
    exact = unit(FakeWords().vectors["red"][None])[0] @ collection.vector(Query.words("red"))
    assert collection.search_captions(Query.words("red"), 1)[0].score == pytest.approx(exact, abs=1e-6)


def test_a_least_score_cuts_captions_and_they_are_not_folded(collection: Collection) -> None:
    everything = collection.search_captions(Text("red"), 6)
    least = everything[2].score
    some = collection.search_captions(Query.like(Text("red"), min_score=least), 6)
    assert some == [match for match in everything if match.score >= least]
    assert len(some) < len(everything)
    with pytest.raises(QueryError) as caught:
        collection.search_captions(Query.like(Text("red"), fold=0.9), 6)
    assert caught.value.code == "query/fold"


def test_a_picture_finds_its_captions(collection: Collection) -> None:
    assert collection.search_captions(noise(WORDS["green"], 9), 1)[0].caption == "green"


def test_equal_captions_stand_in_the_order_of_their_items(collection: Collection) -> None:
    collection.annotate(1, captions=["Red", "red!", "red"])
    found = collection.search_captions(Query.words("red"), 4)
    assert told(found) == [(1, "Red"), (1, "red!"), (1, "red"), (3, "red")]
    assert len({match.score for match in found}) == 1


def test_a_filter_is_held_against_the_items(collection: Collection) -> None:
    found = collection.search_captions(Query.words("red", where={"label": "blue"}), 10)
    assert sorted(told(found)) == sorted((1, text) for text in SAID["blue"])
    assert collection.search_captions(Query.words("red", where={"key": {"gt": 99}}), 10) == []


def test_nothing_is_encoded_twice(collection: Collection) -> None:
    every = {text for texts in SAID.values() for text in texts}
    assert list(collection.encode_captions())[-1] == Step("captions", 6, 6)
    assert sorted(FakeWords.seen) == sorted(every)
    FakeWords.seen.clear()
    assert list(collection.encode_captions()) == []
    collection.annotate(1, captions=["green", "blue blue red", *SAID["red"]])
    collection.delete([3])
    collection.search_captions(1, 5)
    assert FakeWords.seen == ["blue blue red"], "texts that are known elsewhere are not encoded again"
    collection.close()
    FakeWords.seen.clear()
    with Collection.open(collection.folder, read_only=True) as reader:
        assert len(reader.search_captions(1, 50)) == 6
        assert FakeWords.seen == []


def test_what_is_kept_answers_as_what_was_encoded(collection: Collection) -> None:
    before = collection.search_captions(Query.words("red blue"), 6)
    collection.close()
    with Collection.open(collection.folder, read_only=True) as reader:
        assert reader.search_captions(Query.words("red blue"), 6) == before


def test_captions_that_change_are_followed_by_writer_and_reader(collection: Collection) -> None:
    collection.search_captions(1, 1)
    with Collection.open(collection.folder, read_only=True) as reader:
        assert told(reader.search_captions(Query.words("blue red"), 1)) == [(3, "red, but a little blue")]
        collection.annotate(2, captions=["blue red"])
        for kept in (reader, collection, reader):
            assert told(kept.search_captions(Query.words("blue red"), 1)) == [(2, "blue red")]
            assert len(kept.search_captions(1, 50)) == 5
        collection.delete([2])
        for kept in (reader, collection):
            assert told(kept.search_captions(Query.words("blue red"), 1)) == [(3, "red, but a little blue")]


def test_texts_that_nobody_has_any_more_are_not_kept(collection: Collection) -> None:
    collection.search_captions(1, 1)
    collection.annotate(2, captions=["blue red"])
    collection.search_captions(1, 1)
    kept = module._read(collection.folder / "captions", collection.fingerprint, like=np.empty((0, 768), np.float32))
    assert set(kept.rows) == {*SAID["blue"], *SAID["red"], "blue red"}


def test_a_reader_keeps_nothing_and_answers(collection: Collection) -> None:
    collection.close()
    before = sorted(path.name for path in collection.folder.iterdir())
    with Collection.open(collection.folder, read_only=True) as reader:
        first = reader.search_captions(Query.words("red"), 3)
        assert [match.caption for match in first][:1] == ["red"]
        assert len(FakeWords.seen) == 7
        assert reader.search_captions(Query.words("red"), 3) == first
        assert len(FakeWords.seen) == 8, "the query only: captions are in memory"
    assert sorted(path.name for path in collection.folder.iterdir()) == before


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "foreign", "older", "half"])
def test_a_table_that_is_harmed_or_foreign_is_made_again(collection: Collection, harm: str) -> None:
    before = collection.search_captions(1, 6)
    collection.close()
    place = collection.folder / "captions"
    vectors = place / "vectors.npy"
    if harm == "gone":
        shutil.rmtree(place)
    elif harm == "half":
        vectors.unlink()
    elif harm == "foreign":
        table = module._Table(np.zeros((1, 768), np.float32), {"red": 0})
        module._write(place, "0" * 64, table)
    elif harm == "older":
        module._write(place, collection.fingerprint, module._Table(np.zeros((1, 5), np.float32), {"red": 0}))
    else:
        content = bytearray(vectors.read_bytes())
        content[len(content) // 2] ^= 8
        vectors.write_bytes(content if harm == "flip" else content[:-9])
    FakeWords.seen.clear()
    with Collection.open(collection.folder) as again:
        findings = [f.code for f in again.check() if not isinstance(f, Step)]
        assert findings == (["captions"] if harm in ("flip", "cut", "half") else [])
        assert again.search_captions(1, 6) == before
        assert len(FakeWords.seen) == 6
        assert [f for f in again.check() if not isinstance(f, Step)] == []


def test_captions_without_a_known_word_are_named_and_counted_once_encoded(collection: Collection) -> None:
    odd = ["", "  ", "犬が二匹", "🐕🐕", "half \ud800", "xyzzy " * 10_000, "red 🐕"]
    collection.annotate(2, captions=odd)
    events = list(collection.encode_captions())
    skipped = [event for event in events if isinstance(event, Skipped)]
    assert [(event.path, event.code) for event in skipped] == [("green.png", "caption/empty")] * 6
    assert "犬が二匹" in skipped[2].why
    assert max(len(event.why) for event in skipped) < 300
    assert (2, "red 🐕") in told(collection.search_captions(Query.words("red"), 3))
    assert len(collection.search_captions(1, 50)) == 5
    FakeWords.seen.clear()
    again = [event for event in collection.encode_captions() if isinstance(event, Skipped)]
    assert (again, FakeWords.seen) == (skipped, []), "named again, not tried again"
    collection.close()
    with Collection.open(collection.folder) as reopened:
        assert list(reopened.encode_captions()) == skipped
        assert FakeWords.seen == []


def test_stopped_half_way_it_goes_on_from_there(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    work = collection.encode_captions()
    next(work)
    work.close()
    assert len(FakeWords.seen) == 2
    collection.close()
    with Collection.open(collection.folder) as again:
        assert [event.total for event in again.encode_captions()] == [4, 4]
    assert len(FakeWords.seen) == len(set(FakeWords.seen)) == 6


def test_long_work_is_kept_as_it_goes(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 1)
    monkeypatch.setattr(module, "_KEEP", 2)
    work = collection.encode_captions()
    for _ in range(5):
        next(work)
    with Collection.open(collection.folder, read_only=True) as reader:
        assert len(reader._captions.missing()) <= 3, "a kill here would lose no more"
    work.close()


def test_a_full_disk_does_not_stop_an_answer(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise WriteFailed("no space left")

    monkeypatch.setattr(module, "write_artefact", full)
    assert told(collection.search_captions(Query.words("red"), 1)) == [(3, "red")]
    collection.annotate(1, captions=["green red"])
    with pytest.raises(WriteFailed):
        list(collection.encode_captions())


def test_sync_encodes_captions_of_an_encoder_with_words_only(tmp_path: Path) -> None:
    from nearsight.search.sync import Annotation

    (tmp_path / "pictures").mkdir()
    for name, colour in WORDS.items():
        noise(colour).save(tmp_path / "pictures" / f"{name}.png")

    def annotate(path: Path) -> Annotation:
        return Annotation(captions=(path.stem, "犬"))

    with Collection.create(tmp_path / "two", two_towers()) as kept:
        events = list(kept.sync(tmp_path / "pictures", annotate=annotate))
        assert events[-1].counts["captions"] == 4
        assert events[-1].counts["skipped"] == 0, "no picture was left out"
        assert sum(isinstance(event, Skipped) for event in events) == 3
        FakeWords.seen.clear()
        assert list(kept.sync(tmp_path / "pictures", annotate=annotate))[-1].counts["captions"] == 0
        assert kept.stats()["captions"] == 6
        assert FakeWords.seen == []
    with Collection.create(tmp_path / "one", create("colour")) as plain:
        assert list(plain.sync(tmp_path / "pictures", annotate=annotate))[-1].counts["captions"] == 0
        assert not (plain.folder / "captions").exists()
        with pytest.raises(EncoderError) as caught:
            plain.search_captions(1)
        assert caught.value.code == "encoder/no-text"


def test_a_collection_without_captions_says_so(external: Callable) -> None:
    collection, _ = external(3)
    with collection, pytest.raises(QueryError) as caught:
        collection.search_captions(1)
    assert caught.value.code == "query/captions"
    with pytest.raises(QueryError):
        collection.search_captions(1, 0)


def test_a_backup_has_them_too(collection: Collection, tmp_path: Path) -> None:
    before = collection.search_captions(1, 6)
    list(collection.backup(tmp_path / "copy"))
    FakeWords.seen.clear()
    with Collection.open(tmp_path / "copy", read_only=True) as copy:
        assert copy.search_captions(1, 6) == before
    assert FakeWords.seen == []


def test_half_precision_is_kept_as_pictures_are(tmp_path: Path) -> None:
    encoder = two_towers()
    with Collection.create(tmp_path / "half", encoder, dtype="float16") as kept:
        kept.add(encoder.encode_images([noise(colour, 1) for colour in WORDS.values()]), records())
        before = kept.search_captions(Query.words("red"), 6)
        assert np.load(kept.folder / "captions" / "vectors.npy").dtype == np.float16
    with Collection.open(tmp_path / "half", read_only=True) as again:
        assert again.search_captions(Query.words("red"), 6) == before


def test_repair_takes_a_damaged_table_away(collection: Collection) -> None:
    before = collection.search_captions(1, 6)
    collection.close()
    (collection.folder / "captions" / "texts.json").write_bytes(b"{}")
    list(Collection.repair(collection.folder))
    assert not (collection.folder / "captions").exists()
    with Collection.open(collection.folder) as again:
        assert again.search_captions(1, 6) == before


def test_readers_meet_one_generation_while_captions_change(collection: Collection) -> None:
    """Every caption that is found stands on its item then, and its score is its own."""
    collection.search_captions(1, 1)
    query = Query.words("red")
    wanted = collection.vector(query).astype(np.float64)
    words = FakeWords()
    stop, wrong, looks = threading.Event(), [], [0]

    def look() -> None:
        with Collection.open(collection.folder, read_only=True) as reader:
            while not stop.is_set():
                looks[0] += 1
                for match in reader.search_captions(query, 50):
                    true = float(unit(words.forward([match.caption]))[0].astype(np.float64) @ wanted)
                    if abs(true - match.score) > 1e-6 or match.caption not in match.item.captions:
                        wrong.append(match)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(look)
        for number in range(25):
            collection.annotate(1 + number % 3, captions=["green " * (number % 5) + "red", f"blue {number}"])
            list(collection.encode_captions())
        stop.set()
        reading.result()
    assert wrong == []
    assert looks[0] > 2
