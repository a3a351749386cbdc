"""A backup is a whole collection of its own; an export is a table of all items."""

from __future__ import annotations

import csv
import json
import threading
from pathlib import Path

import numpy as np
import pytest

from nearsight.core import artefact
from nearsight.core.arrays import unit
from nearsight.core.errors import Damaged, InputError, StoreError, WriteFailed
from nearsight.core.events import Done
from nearsight.encode.encoder import EncoderSpec, create
from nearsight.search import export as exporting
from nearsight.search.collection import Collection
from nearsight.search.store import backup as backing
from nearsight.search.store import segments
from nearsight.search.store.check import Finding, check
from nearsight.search.store.segments import HEADER
from nearsight.search.store.store import Record

SPEC = EncoderSpec("elsewhere", 8, ("image",), "ef" * 32, {})


def rows(n: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((n, 8)))


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """1,500 vectors in two segments, the second not full, with a saved index."""
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 1)
    with Collection.create(tmp_path / "c", SPEC, engine="faiss/HNSW8") as collection:
        collection.add(rows(1500), [Record(f"{i}".encode(), label=f"l{i % 3}") for i in range(1500)])
        collection.delete([5, 6])
        collection.build_engine()
        yield collection


def copy(collection: Collection, target: Path, **options: bool) -> Done:
    *_, last = collection.backup(target, **options)
    assert isinstance(last, Done)
    return last


def clean(folder: Path) -> bool:
    return not [f for f in check(folder) if isinstance(f, Finding)]


def test_a_backup_opens_is_clean_and_goes_its_own_way(collection: Collection, tmp_path: Path) -> None:
    told = copy(collection, tmp_path / "b")
    assert told.counts == {"linked": 2, "copied": 2}, "only the segment that still grows is copied"
    assert clean(tmp_path / "b")
    query = rows(1, 9)
    wanted = collection.search_vectors(query, 2000)
    collection.add(rows(100, 1), [Record(f"here {i}".encode()) for i in range(100)])
    with Collection.open(tmp_path / "b") as other:
        assert other.search_vectors(query, 2000).keys.tolist() == wanted.keys.tolist()
        assert other.engine_state == "ready", "the saved index came with it"
        other.add(rows(100, 2), [Record(f"there {i}".encode()) for i in range(100)])
        snapshot = other.store.verified()
        there = snapshot.vectors(snapshot.rows_of(np.arange(1501, 1601)))
    snapshot = collection.store.verified()
    here = snapshot.vectors(snapshot.rows_of(np.arange(1501, 1601)))
    assert here.tobytes() == rows(100, 1).tobytes()
    assert there.tobytes() == rows(100, 2).tobytes()
    assert clean(tmp_path / "b")
    assert clean(collection.folder)


def test_without_links_the_backup_shares_no_file(collection: Collection, tmp_path: Path) -> None:
    assert copy(collection, tmp_path / "b", link=False).counts["linked"] == 0
    for path in (tmp_path / "b").rglob("*"):
        assert path.is_dir() or path.stat().st_nlink == 1


def test_a_backup_while_a_writer_goes_on_is_one_generation(collection: Collection, tmp_path: Path) -> None:
    stop = threading.Event()
    sizes = {len(collection)}

    def write() -> None:
        while not stop.is_set():
            sizes.add(len(collection) + 10)
            collection.add(rows(10, 3), [Record(f"w {len(sizes)} {i}".encode()) for i in range(10)])
            sizes.add(len(collection) - 1)
            collection.delete([collection.keys().tolist()[0]])
            collection.compact()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with Collection.open(collection.folder, read_only=True) as reader:
            for number in range(4):
                copy(reader, tmp_path / f"b{number}")
    finally:
        stop.set()
        writer.join()
    for number in range(4):
        assert not [f for f in check(tmp_path / f"b{number}") if isinstance(f, Finding) and not f.harmless]
        with Collection.open(tmp_path / f"b{number}") as other:
            assert len(other) in sizes
            assert (
                sorted(int(k) for k in other.search_vectors(rows(1), 5000).keys[0] if k >= 0) == other.keys().tolist()
            )


def test_damage_is_not_backed_up_and_nothing_is_left_behind(collection: Collection, tmp_path: Path) -> None:
    path = collection.folder / "segments" / "000001.vec"
    content = bytearray(path.read_bytes())
    content[HEADER + 999] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged, match="not backed up"):
        copy(collection, tmp_path / "b")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c"]


def test_a_backup_overwrites_nothing_and_says_when_it_cannot_write(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").touch()
    with pytest.raises(StoreError) as refused:
        copy(collection, tmp_path / "there")
    assert refused.value.code == "store/exists"
    (tmp_path / "empty").mkdir()
    copy(collection, tmp_path / "empty")

    def full(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backing, "_place", full)
    with pytest.raises(WriteFailed, match="No space"):
        copy(collection, tmp_path / "b")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "empty", "there"]


def test_the_encoder_comes_along(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "c", create("colour?bins=2&grid=1")) as collection:
        copy(collection, tmp_path / "b")
    with Collection.open(tmp_path / "b") as other:
        assert other.encoder.spec.fingerprint == other.fingerprint


# export


@pytest.fixture
def described(tmp_path: Path, request: pytest.FixtureRequest):
    """Ten items with everything awkward that text can be."""
    dtype = getattr(request, "param", "float32")
    with Collection.create(tmp_path / "c", SPEC, dtype=dtype) as collection:
        names = [b"plain", b"caf\xc3\xa9", b"latin-\xe9", b'quo"te,comma', b"new\nline", *(b"%d" % i for i in range(5))]
        about = [
            Record(
                name, label=None if i == 3 else f"lab\u00e9l {i}", captions=("one", "two;"), fields={"n": i, "t": "x"}
            )
            for i, name in enumerate(names)
        ]
        collection.add(rows(10), about)
        collection.delete([9])
        yield collection


@pytest.mark.parametrize("described", ["float32", "float16"], indirect=True)
def test_parquet_has_every_item_and_its_vector_exactly(
    described: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(exporting, "_ROWS", 4)
    *_, last = described.export(tmp_path / "x.parquet")
    assert isinstance(last, Done)
    assert last.counts == {"items": 9}
    file = parquet.ParquetFile(tmp_path / "x.parquet")
    assert file.metadata.num_row_groups == 3, "a few thousand items at a time"
    table = file.read()
    assert table.column_names == ["key", "path", "label", "captions", "fields", "vector"]
    assert table["key"].to_pylist() == [1, 2, 3, 4, 5, 6, 7, 8, 10]
    assert table["path"].to_pylist()[:5] == ["plain", "café", "latin-\\xe9", 'quo"te,comma', "new\nline"]
    assert table["label"].to_pylist()[3] is None
    assert table["captions"].to_pylist()[0] == ["one", "two;"]
    assert json.loads(table["fields"].to_pylist()[1]) == {"n": 1, "t": "x"}
    stored = rows(10).astype(described.store.shape.dtype)[[0, 1, 2, 3, 4, 5, 6, 7, 9]]
    flat = np.asarray(table["vector"].combine_chunks().flatten())
    assert flat.tobytes() == stored.tobytes()
    assert table.schema.metadata[b"nearsight.fingerprint"].decode() == described.fingerprint


def test_csv_and_json_lines_say_the_same(described: Collection, tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl"):
        list(described.export(tmp_path / f"x.{suffix}"))
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(table) == len(lines) == 9
    for row, line in zip(table, lines, strict=True):
        assert (int(row["key"]), row["path"], row["label"] or None) == (line["key"], line["path"], line["label"])
        assert json.loads(row["captions"]) == line["captions"] == ["one", "two;"]
        assert json.loads(row["fields"]) == line["fields"]


def test_an_unknown_format_is_refused_and_a_failed_export_leaves_the_old_file(
    described: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError) as refused:
        described.export(tmp_path / "x.xlsx")
    assert refused.value.code == "export/format"
    assert ".parquet" in refused.value.hint
    list(described.export(tmp_path / "x.csv"))
    before = (tmp_path / "x.csv").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artefact, "sync_file", full)
    with pytest.raises(WriteFailed):
        list(described.export(tmp_path / "x.csv"))
    assert (tmp_path / "x.csv").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "x.csv"]


def test_damaged_vectors_are_not_exported(described: Collection, tmp_path: Path) -> None:
    path = described.folder / "segments" / "000001.vec"
    content = bytearray(path.read_bytes())
    content[HEADER + 9] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged):
        list(described.export(tmp_path / "x.csv"))
    assert not (tmp_path / "x.csv").exists()
