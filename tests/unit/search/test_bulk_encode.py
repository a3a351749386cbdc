"""Shards of a bulk run: whole or absent, made once, the same however often one begins."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nearsight.core.errors import ClusterError, Damaged, EncoderError, InputError, Locked, UnknownName, WriteFailed
from nearsight.core.events import Done, Encoded, Skipped, Step
from nearsight.data.images import Limits
from nearsight.encode import create
from nearsight.encode.images.colour import Colour
from nearsight.search.bulk import Columns, Options, encode, shard
from nearsight.search.bulk.encode import read_run
from nearsight.search.bulk.files import Picture, named, read_shard, read_skipped, shard_facts
from nearsight.search.collection import Collection

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

FIVE = Options(rows=5)


def run(source: object, out: Path, options: Options = FIVE) -> tuple[dict[str, int], list[object]]:
    """Counts of `Done`, and the events before it."""
    *events, last = encode(str(source), create("colour"), out, options)
    assert isinstance(last, Done)
    return last.counts, list(events)


def shards(out: Path) -> dict[bytes, tuple[Picture, bytes]]:
    """Path -> its picture and its vector's bytes; a path that is there twice fails."""
    found: dict[bytes, tuple[Picture, bytes]] = {}
    for path in sorted((out / "shards").glob("*.parquet")):
        for pictures, vectors in read_shard(path):
            for one, vector in zip(pictures, vectors, strict=True):
                assert one.entry.path not in found
                found[one.entry.path] = one, vector.tobytes()
    return found


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each picture that the encoder was given."""
    calls: list[int] = []
    original, lock = Colour.prepare, threading.Lock()

    def counting(self: Colour, shown: object) -> object:
        with lock:
            calls.append(1)
        return original(self, shown)  # type: ignore[arg-type]

    monkeypatch.setattr(Colour, "prepare", counting)
    return calls


def test_shards_hold_what_an_index_of_the_folder_holds(folder: Path, tmp_path: Path) -> None:
    counts, events = run(folder, tmp_path / "out")
    assert counts == {"encoded": 12, "skipped": 0, "kept": 0, "shards": 3}
    assert [event.count for event in events if isinstance(event, Encoded)] == [5, 5, 2]
    steps = [event for event in events if isinstance(event, Step) and event.what == "encode"]
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1] == Step("encode", 12, 12)
    found = shards(tmp_path / "out")
    with Collection.create(tmp_path / "c.ns", create("colour")) as kept:
        list(kept.sync(folder))
        for item in kept.items():
            picture, vector = found[os.fsencode(item.path.relative_to(folder))]
            assert vector == kept.vectors(np.array([item.key])).tobytes()
            assert picture.sha256.hex() == kept.hashes(np.array([item.key]))[0]
            assert picture.size == item.path.stat().st_size
            assert picture.entry.mtime_ns == item.path.stat().st_mtime_ns
            assert picture.entry.label == item.path.parent.name


def test_a_shard_says_what_made_it(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out", replace(FIVE, dtype="float16"))
    spec = create("colour").spec
    facts, rows = shard_facts(named(tmp_path / "out", "shards", 2))
    assert rows == 2
    assert (facts["encoder"], facts["fingerprint"], facts["shard"]) == (spec.address, spec.fingerprint, "2")
    assert json.loads(facts["identity"]) == spec.identity
    table = pq.read_table(named(tmp_path / "out", "shards", 2))
    assert table.schema.field("vector").type == pa.list_(pa.float16(), spec.dim)
    assert table.column_names == [
        "path", "raw_path", "mtime_ns", "label", "captions", "fields", "sha256", "size", "vector",
    ]  # fmt: skip


def test_a_second_run_does_nothing(folder: Path, tmp_path: Path, prepared: list[int]) -> None:
    run(folder, tmp_path / "out")
    assert len(prepared) == 12
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    counts, events = run(folder, tmp_path / "out")
    assert counts == {"encoded": 0, "skipped": 0, "kept": 12, "shards": 3}
    assert events == [Step("encode", 12, 12)]
    assert len(prepared) == 12
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")} == before


def test_a_run_that_is_closed_goes_on_with_the_missing_shards(
    folder: Path, tmp_path: Path, prepared: list[int]
) -> None:
    work = encode(str(folder), create("colour"), tmp_path / "out", FIVE)
    while not isinstance(next(work), Encoded):
        pass
    work.close()
    assert len(shards(tmp_path / "out")) == 5
    last = folder / "red" / "09.png"
    os.utime(last, ns=(10**18, 10**18))
    counts, events = run(folder, tmp_path / "out")
    assert (counts["encoded"], counts["kept"]) == (7, 5)
    assert shards(tmp_path / "out")[os.fsencode(last.relative_to(folder))][0].entry.mtime_ns == 10**18
    assert next(event for event in events if isinstance(event, Step)) == Step("encode", 5, 12)
    assert len(shards(tmp_path / "out")) == 12
    assert len(prepared) == 12
    assert not list((tmp_path / "out" / "tries").iterdir())


def test_a_listing_that_was_broken_off_begins_again(folder: Path, tmp_path: Path) -> None:
    work = encode(str(folder), create("colour"), tmp_path / "out", FIVE)
    assert [next(work), next(work)] == [Step("walk", 5, None), Step("walk", 10, None)]
    work.close()
    shutil.rmtree(folder / "red")
    shutil.rmtree(folder / "blue")
    assert run(folder, tmp_path / "out")[0]["encoded"] == 4
    assert len(shards(tmp_path / "out")) == 4
    assert len(list((tmp_path / "out" / "plan").iterdir())) == 1


def test_what_cannot_be_used_is_named_in_a_table_of_its_own(folder: Path, tmp_path: Path) -> None:
    (folder / "a_text.jpg").write_text("hello")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "empty.png").write_bytes(b"")
    shutil.copy(folder / "empty.png", folder / "void.png")
    counts, events = run(folder, tmp_path / "out", replace(FIVE, limits=Limits(max_side=47)))
    told = [event for event in events if isinstance(event, Skipped)]
    assert counts["skipped"] == len(told) == 16
    assert counts["encoded"] == 0
    assert shards(tmp_path / "out") == {}
    table = [one for path in sorted((tmp_path / "out" / "skipped").iterdir()) for one in read_skipped(path)]
    assert sorted(told, key=lambda one: one.path) == sorted(table, key=lambda one: one.path)
    codes = {Path(one.path).name: one.code for one in table}
    assert codes["a_text.jpg"] == "picture/not-a-picture"
    assert codes[".hidden.png"] == "picture/hidden"
    assert codes["empty.png"] == codes["void.png"] == "picture/empty"
    assert codes["00.png"] == "picture/too-long-side"


def test_left_out_pictures_are_tried_again_where_that_is_asked(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "red" / "00.png").read_bytes()
    (folder / "red" / "00.png").write_bytes(whole[:100])
    counts, _ = run(folder, tmp_path / "out")
    assert (counts["encoded"], counts["skipped"]) == (11, 1)
    (folder / "red" / "00.png").write_bytes(whole)
    assert run(folder, tmp_path / "out")[0]["encoded"] == 0
    counts, _ = run(folder, tmp_path / "out", replace(FIVE, retry=True))
    assert (counts["encoded"], counts["kept"], counts["skipped"]) == (5, 7, 0)
    assert len(shards(tmp_path / "out")) == 12
    assert not list((tmp_path / "out" / "skipped").iterdir())


def test_a_content_that_is_there_twice_is_encoded_once(folder: Path, tmp_path: Path, prepared: list[int]) -> None:
    for name in ("again.png", "and_again.png"):
        shutil.copy(folder / "red" / "00.png", folder / name)
    run(folder, tmp_path / "out", Options(rows=100))
    assert len(prepared) == 12
    found = shards(tmp_path / "out")
    assert len(found) == 14
    assert found[b"again.png"][1] == found[b"and_again.png"][1] == found[os.path.join(b"red", b"00.png")][1]


def test_copies_of_what_cannot_be_used_are_left_out_too(folder: Path, tmp_path: Path) -> None:
    broken = (folder / "red" / "00.png").read_bytes()[:150]
    for name in ("broken.png", "broken_too.png"):
        (folder / name).write_bytes(broken)
    counts, events = run(folder, tmp_path / "out", Options(rows=100))
    assert (counts["encoded"], counts["skipped"]) == (12, 2)
    assert {event.code for event in events if isinstance(event, Skipped)} <= {"picture/truncated", "picture/damaged"}


def test_a_picture_without_a_direction_does_not_take_its_batch_with_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Colour.forward

    def sometimes(self: Colour, batch: Sequence[np.ndarray]) -> np.ndarray:
        out = forward(self, batch)
        out[[hash(one.tobytes()) == hash(bad) for one in batch]] = 0
        return out

    from PIL import Image

    with Image.open(folder / "blue" / "05.png") as picture:
        bad = create("colour").prepare(picture.convert("RGB")).tobytes()
    monkeypatch.setattr(Colour, "forward", sometimes)
    counts, events = run(folder, tmp_path / "out")
    assert (counts["encoded"], counts["skipped"]) == (11, 1)
    (skipped,) = [event for event in events if isinstance(event, Skipped)]
    assert (Path(skipped.path).name, skipped.code) == ("05.png", "picture/no-vector")


def test_names_that_are_no_utf8_come_back_as_they_are(folder: Path, tmp_path: Path) -> None:
    name = b"caf\xe9 \\xe9.png"
    try:
        shutil.copy(folder / "red" / "00.png", os.fsencode(folder) + b"/" + name)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    run(folder, tmp_path / "out")
    assert name in shards(tmp_path / "out")


def test_isolated_decoding_gives_the_same(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "here")
    run(folder, tmp_path / "apart", replace(FIVE, isolate=True))
    assert shards(tmp_path / "here") == shards(tmp_path / "apart")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda o: replace(o, rows=6), "rows 5, not 6"),
        (lambda o: replace(o, dtype="float16"), "dtype float32, not float16"),
        (lambda o: replace(o, columns=Columns(path="file")), "path, label, caption, not file"),
        (lambda o: replace(o, folder_labels=False), "True, not False"),
    ],
)
def test_a_folder_of_another_run_is_refused(
    folder: Path, tmp_path: Path, change: Callable[[Options], Options], word: str
) -> None:
    run(folder, tmp_path / "out")
    with pytest.raises(InputError, match=word) as caught:
        run(folder, tmp_path / "out", change(FIVE))
    assert caught.value.code == "bulk/other"


def test_another_source_or_encoder_is_refused(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out")
    with pytest.raises(InputError, match="source"):
        run(folder / "red", tmp_path / "out")
    with pytest.raises(InputError, match="encoder") as caught:
        list(encode(str(folder), create("colour?bins=4"), tmp_path / "out", FIVE))
    assert caught.value.code == "bulk/other"
    with Collection.create(tmp_path / "c.ns", create("colour")):
        pass
    with pytest.raises(InputError, match="holds something else"):
        run(folder, tmp_path / "c.ns")


def test_what_cannot_begin_says_why(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        run(tmp_path / "empty", tmp_path / "out")
    assert caught.value.code == "bulk/empty"
    with pytest.raises(InputError) as caught:
        run(tmp_path / "nowhere", tmp_path / "out2")
    assert caught.value.code == "folder/none"
    with pytest.raises(EncoderError) as unfitted:
        list(encode(str(folder), create("bovw"), tmp_path / "out3", FIVE))
    assert unfitted.value.code == "encoder/unfitted"
    with pytest.raises(UnknownName, match="local"):
        list(encode(str(folder), create("colour"), tmp_path / "out4", FIVE, on="locall"))
    with pytest.raises(WriteFailed):
        run(folder, folder / "red" / "00.png")
    for options in ({"rows": 0}, {"dtype": "int8"}):
        with pytest.raises(InputError):
            Options(**options)


def test_only_one_run_at_a_time_works_in_a_folder(folder: Path, tmp_path: Path) -> None:
    first = encode(str(folder), create("colour"), tmp_path / "out", FIVE)
    next(first)
    with pytest.raises(Locked):
        run(folder, tmp_path / "out")
    first.close()
    assert run(folder, tmp_path / "out")[0]["encoded"] == 12


def test_the_folder_written_to_may_lie_in_the_source(folder: Path) -> None:
    assert run(folder, folder / "out")[0] == {"encoded": 12, "skipped": 0, "kept": 0, "shards": 3}
    assert run(folder, folder / "out")[0]["kept"] == 12


def test_a_damaged_shard_is_found_and_made_again(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out")
    path, before = named(tmp_path / "out", "shards", 1), shards(tmp_path / "out")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged, match=r"000001\.parquet") as caught:
        shards(tmp_path / "out")
    assert "remove that file" in caught.value.hint
    path.unlink()
    assert run(folder, tmp_path / "out")[0]["encoded"] == 5
    assert shards(tmp_path / "out") == before


def test_no_flipped_bit_changes_what_is_read(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out", Options(rows=100, dtype="float16"))
    path, before = named(tmp_path / "out", "shards", 0), shards(tmp_path / "out")
    content, found = path.read_bytes(), 0
    for place in np.random.default_rng(0).integers(4, len(content) - 8, 60).tolist():
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        try:
            assert shards(tmp_path / "out") == before
        except Damaged:
            found += 1
    assert found > 20


def test_a_shard_that_ends_process_after_process_stops_the_run(folder: Path, tmp_path: Path) -> None:
    work = encode(str(folder), create("colour"), tmp_path / "out", FIVE)
    while not isinstance(next(work), Encoded):
        pass
    work.close()
    tries = tmp_path / "out" / "tries" / "000001"
    tries.write_bytes(b"." * shard._DEADLY)
    with pytest.raises(ClusterError, match="shard 1 ended 10 processes") as caught:
        run(folder, tmp_path / "out")
    assert caught.value.code == "cluster/deadly"
    assert str(tries) in caught.value.hint
    tries.write_bytes(b"." * (shard._DEADLY - 1))
    assert run(folder, tmp_path / "out")[0]["encoded"] == 7


def test_the_manifest_says_how_much_there_is(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out")
    told = read_run(tmp_path / "out")
    assert (told["pictures"], told["shards"], told["root"]) == (12, 3, str(folder.resolve()))
    assert told["dim"] == create("colour").spec.dim
