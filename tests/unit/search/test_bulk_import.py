"""Shards into collections: checked, once, and as an index of the same pictures would have it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_words import install, two_towers
from nearsight.core.errors import Damaged, EncoderMismatch, InputError, NotACollection, PictureError, ReadOnly
from nearsight.core.events import Done, Step, outcome
from nearsight.encode import Encoder, create
from nearsight.search.bulk import Options, encode, imports
from nearsight.search.bulk.files import Entry, Picture, named, read_shard, write_shard
from nearsight.search.collection import Collection
from nearsight.search.query import Filter, Text
from nearsight.search.sync import folder_label

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

NONE = dict.fromkeys(imports._COUNTS, 0) | {"shards": 3}


@pytest.fixture
def out(folder: Path, tmp_path: Path) -> Path:
    """The folder's twelve pictures in three shards."""
    list(encode(str(folder), create("colour"), tmp_path / "out", Options(rows=5)))
    return tmp_path / "out"


@pytest.fixture
def kept(out: Path, tmp_path: Path) -> Iterator[Collection]:
    """A new collection of the run's encoder."""
    with Collection.create(tmp_path / "c.ns", Encoder.load(out / "encoder")) as made:
        yield made


def again(out: Path, number: int, *, change: dict[bytes, dict[str, object]], vectors: object = None) -> None:
    """Write a shard again with other entries or vectors, as another run might have."""
    path = named(out, "shards", number)
    facts = {name.decode()[10:]: value.decode() for name, value in pq.read_schema(path).metadata.items()}
    (pictures, rows), *_ = read_shard(path)
    changed = []
    for one in pictures:
        told = change.get(one.entry.path, {})
        entry = replace(one.entry, **{name: value for name, value in told.items() if name != "sha256"})
        changed.append(Picture(entry, told.get("sha256", one.sha256), one.size))  # type: ignore[arg-type]
    write_shard(path, changed, rows if vectors is None else np.asarray(vectors), facts)


def test_an_import_is_an_index_without_the_encoding(
    folder: Path, kept: Collection, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = outcome(kept.take_in(out))
    assert counts == NONE | {"added": 12}
    assert kept.engine_state == "ready"
    with Collection.create(tmp_path / "indexed.ns", create("colour")) as indexed:
        list(indexed.sync(folder, annotate=folder_label))
        for one, other in zip(kept.items(), indexed.items(), strict=True):
            assert (one.path, one.label) == (other.path, other.label)
        query = folder / "red" / "00.png"
        assert [(m.item.path, m.score) for m in kept.search(query, 5)] == [
            (m.item.path, m.score) for m in indexed.search(query, 5)
        ]
    monkeypatch.setattr("nearsight.search.sync.pipeline.Pipeline.run", None)
    *_, done = kept.sync(folder)
    assert isinstance(done, Done)
    assert done.counts["unchanged"] == 12


def test_a_second_import_changes_nothing(kept: Collection, out: Path) -> None:
    outcome(kept.take_in(out))
    generation = kept.store.snapshot().generation
    assert outcome(kept.take_in(out)) == NONE | {"unchanged": 12}
    assert kept.store.snapshot().generation == generation


def test_an_import_that_is_broken_off_is_repeated(kept: Collection, out: Path) -> None:
    work = kept.take_in(out)
    assert next(work) == Step("import", 5, 12)
    work.close()
    assert len(kept) == 5
    assert outcome(kept.take_in(out)) == NONE | {"added": 7, "unchanged": 5}
    assert len({item.path for item in kept.items()}) == len(kept) == 12


def test_shards_that_are_not_there_yet_are_counted(kept: Collection, out: Path, folder: Path) -> None:
    named(out, "shards", 1).unlink()
    assert outcome(kept.take_in(out)) == NONE | {"added": 7, "shards": 2, "missing": 1}
    list(encode(str(folder), create("colour"), out, Options(rows=5)))
    assert outcome(kept.take_in(out)) == NONE | {"added": 5, "unchanged": 7}


def test_new_content_and_labels_replace_old_ones(kept: Collection, out: Path) -> None:
    outcome(kept.take_in(out))
    keys = {os.fsencode(item.path.name): item.key for item in kept.items()}
    (pictures, rows), *_ = read_shard(named(out, "shards", 0))
    first, second, *_ = (one.entry for one in pictures)
    later = first.mtime_ns + 1  # type: ignore[operator]
    change = {
        first.path: {"sha256": b"x" * 32, "mtime_ns": later},
        second.path: {"label": "other", "captions": ("told",), "fields": {"n": 1}},
    }
    again(out, 0, change=change, vectors=[rows[1], *rows[1:]])
    assert outcome(kept.take_in(out)) == NONE | {"updated": 1, "annotated": 1, "unchanged": 10}
    assert {os.fsencode(item.path.name): item.key for item in kept.items()} == keys
    changed, other = (kept.item(keys[os.path.basename(entry.path)]) for entry in (first, second))
    assert (other.label, other.captions, other.fields) == ("other", ("told",), {"n": 1})
    assert np.array_equal(*kept.vectors(np.array([changed.key, other.key])))


def test_what_is_newer_in_the_collection_stays(kept: Collection, out: Path, folder: Path) -> None:
    changed = folder / "red" / "00.png"
    shutil.copy(folder / "red" / "03.png", changed)
    os.utime(changed, ns=(2**62, 2**62))
    list(kept.sync(folder, annotate=folder_label))
    (before,) = (kept.vectors(np.array([item.key])) for item in kept.items() if item.path == changed)
    assert outcome(kept.take_in(out)) == NONE | {"newer": 1, "unchanged": 11}
    (after,) = (kept.vectors(np.array([item.key])) for item in kept.items() if item.path == changed)
    assert np.array_equal(before, after)


def test_a_path_that_comes_twice_is_one_item(kept: Collection, folder: Path, tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"path": ["red/00.png", "red/03.png", "red/00.png"], "label": ["a", "b", "c"]}), folder / "t.parquet"
    )
    list(encode(str(folder / "t.parquet"), create("colour"), tmp_path / "twice"))
    counts = outcome(kept.take_in(tmp_path / "twice"))
    assert (counts["added"], counts["repeated"]) == (2, 1)
    assert kept.labels() == {"b": 1, "c": 1}
    counts = outcome(kept.take_in(tmp_path / "twice"))
    assert (counts["unchanged"], counts["repeated"]) == (2, 1)


def test_pictures_need_not_be_at_hand(kept: Collection, out: Path, folder: Path, tmp_path: Path) -> None:
    query = tmp_path / "query.png"
    shutil.copy(folder / "red" / "00.png", query)
    shutil.rmtree(folder)
    assert outcome(kept.take_in(out))["added"] == 12
    found = kept.search(query, 3)
    assert found[0].item.path == folder / "red" / "00.png"
    assert kept.twins(query.read_bytes()) == [found[0].item.key]
    assert [f for f in kept.check() if not isinstance(f, Step)] == []
    with pytest.raises(PictureError):
        kept.search(found[0].item.path)
    assert outcome(kept.duplicates()) == []


def test_pictures_may_lie_elsewhere_than_they_did(
    kept: Collection, out: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.rename(tmp_path / "mounted")
    assert outcome(kept.take_in(out, pictures=tmp_path / "mounted"))["added"] == 12
    assert all(item.path.is_file() for item in kept.items())
    monkeypatch.setattr("nearsight.search.sync.pipeline.Pipeline.run", None)
    *_, done = kept.sync(tmp_path / "mounted")
    assert isinstance(done, Done)
    assert done.counts["unchanged"] == 12
    with pytest.raises(InputError) as caught:
        outcome(kept.take_in(out, pictures=tmp_path / "nowhere"))
    assert caught.value.code == "folder/none"


def test_a_folder_that_comes_back_is_known(kept: Collection, out: Path, folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "away")
    outcome(kept.take_in(out))
    (tmp_path / "away").rename(folder)
    (folder / "red" / "00.png").unlink()
    *_, done = kept.sync(folder)
    assert isinstance(done, Done)
    assert (done.counts["dropped"], done.counts["added"], len(kept)) == (1, 0, 11)


def test_paths_outside_the_folder_stay_whole(kept: Collection, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    paths = ["../pictures/red/00.png", str(folder / "red" / "03.png"), "../tables/../pictures/green/01.png"]
    pq.write_table(pa.table({"path": paths}), tmp_path / "tables" / "t.parquet")
    list(encode(str(tmp_path / "tables" / "t.parquet"), create("colour"), tmp_path / "some"))
    assert outcome(kept.take_in(tmp_path / "some"))["added"] == 3
    assert {item.path for item in kept.items()} == {
        folder / "red" / "00.png", folder / "red" / "03.png", folder / "green" / "01.png",
    }  # fmt: skip
    assert outcome(kept.take_in(tmp_path / "some"))["unchanged"] == 3


def test_objects_keep_their_address(kept: Collection, folder: Path, tmp_path: Path) -> None:
    store = pytest.importorskip("fsspec").filesystem("memory")
    for path in (folder / "red").iterdir():
        store.pipe(f"/bucket/{path.name}", path.read_bytes())
    try:
        list(encode("memory://bucket", create("colour"), tmp_path / "some"))
    finally:
        store.rm("/bucket", recursive=True)
    assert outcome(kept.take_in(tmp_path / "some"))["added"] == 4
    assert outcome(kept.take_in(tmp_path / "some"))["unchanged"] == 4
    where = Filter.parse(["address=memory:///bucket/00.png"])
    (item,) = kept.items(where=where)
    assert kept.search(folder / "red" / "00.png", 1)[0].item == item


def test_another_encoder_is_refused_before_anything_is_written(out: Path, tmp_path: Path) -> None:
    with Collection.create(tmp_path / "other.ns", create("colour?bins=4")) as other:
        generation = other.store.snapshot().generation
        with pytest.raises(EncoderMismatch):
            outcome(other.take_in(out))
        assert (len(other), other.roots(), other.store.snapshot().generation) == (0, [], generation)


@pytest.mark.parametrize("harm", ["nan", "long", "short"])
def test_vectors_are_checked(kept: Collection, out: Path, harm: str) -> None:
    (_, rows), *_ = read_shard(named(out, "shards", 1))
    bad = {"nan": np.where(np.arange(5)[:, None] == 3, np.nan, rows), "long": rows * 2, "short": rows[:, :-1]}[harm]
    again(out, 1, change={}, vectors=bad.astype(np.float32))
    with pytest.raises(InputError, match=r"000001\.parquet") as caught:
        outcome(kept.take_in(out))
    assert caught.value.code == "vectors"
    assert len(kept) == 5, "what came before is committed"


def test_a_damaged_shard_is_named(kept: Collection, out: Path) -> None:
    path = named(out, "shards", 2)
    content = path.read_bytes()
    for changed in (content[:-40], content[: len(content) // 2] + b"\0" * 64 + content[len(content) // 2 + 64 :], b""):
        path.write_bytes(changed)
        with pytest.raises(Damaged, match=r"000002\.parquet"):
            outcome(kept.take_in(out))
    pq.write_table(pa.table({"path": ["a"]}, metadata={"nearsight.fingerprint": kept.fingerprint}), path)
    with pytest.raises(Damaged, match="sums"):
        outcome(kept.take_in(out))


def test_what_is_no_run_and_what_may_not_be_written_are_refused(
    kept: Collection, out: Path, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotACollection):
        outcome(kept.take_in(folder))
    with Collection.open(tmp_path / "c.ns", read_only=True) as reading, pytest.raises(ReadOnly):
        outcome(reading.take_in(out))


def test_a_folder_inside_an_indexed_one_is_refused(kept: Collection, out: Path, folder: Path) -> None:
    list(kept.sync(folder / "red"))
    with pytest.raises(InputError) as caught:
        outcome(kept.take_in(out))
    assert caught.value.code == "folder/overlap"


def test_captions_are_found_by_words(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    pq.write_table(
        pa.table({"path": ["red/00.png", "green/01.png"], "caption": ["one red", "one green"]}), folder / "t.parquet"
    )
    list(encode(str(folder / "t.parquet"), two_towers(), tmp_path / "out"))
    with Collection.create(tmp_path / "c.ns", Encoder.load(tmp_path / "out" / "encoder")) as kept:
        assert outcome(kept.take_in(tmp_path / "out"))["captions"] == 2
        assert kept.search_captions(Text("green"), 1)[0].caption == "one green"


def test_float16_shards_are_stored_as_they_are(folder: Path, tmp_path: Path) -> None:
    list(encode(str(folder), create("colour"), tmp_path / "out", Options(dtype="float16")))
    with Collection.create(tmp_path / "c.ns", create("colour"), dtype="float16") as kept:
        assert outcome(kept.take_in(tmp_path / "out"))["added"] == 12
        (pictures, rows), *_ = read_shard(named(tmp_path / "out", "shards", 0))
        keys = {item.path: item.key for item in kept.items()}
        mine = [keys[folder / os.fsdecode(one.entry.path)] for one in pictures]
        assert np.array_equal(kept.vectors(np.array(mine)), rows.astype(np.float32))
    assert isinstance(pictures[0].entry, Entry)
