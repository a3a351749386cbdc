"""What a source lists: folders, tables of paths, stores of objects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nearsight.core.errors import DatasetError, InputError, MissingExtra, PictureError
from nearsight.core.events import Done, Skipped
from nearsight.data.images import Limits
from nearsight.encode import create
from nearsight.search.bulk import Columns, Options, encode
from nearsight.search.bulk.files import Entry, numbers, read_shard
from nearsight.search.bulk.reading import fetch
from nearsight.search.bulk.sources import listed, source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def entries(given: object, options: Options = Options()) -> list[Entry | Skipped]:  # noqa: B008 (frozen)
    return list(listed(source(str(given)), options, Path("nowhere")))


def table(made: Path, /, **columns: list[object]) -> Path:
    pq.write_table(pa.table(columns), made)
    return made


@pytest.fixture
def store(folder: Path) -> Iterator[Any]:
    """The folder's pictures as objects ``memory://shop/...``, and what is no picture."""
    fsspec = pytest.importorskip("fsspec")
    found = fsspec.filesystem("memory")
    for path in sorted(folder.rglob("*.png")):
        found.pipe(f"/shop/{path.relative_to(folder).as_posix()}", path.read_bytes())
    found.pipe("/shop/notes.txt", b"no picture")
    found.pipe("/shop/.hidden/x.png", b"")
    yield found
    found.rm("/shop", recursive=True)


def test_a_folder_is_listed_in_a_fixed_order_with_its_labels(folder: Path) -> None:
    (folder / "top.png").write_bytes(b"")
    found = entries(folder)
    assert [entry.path for entry in found] == sorted(entry.path for entry in found)
    assert [entry.label for entry in found] == ["blue"] * 4 + ["green"] * 4 + ["red"] * 4 + [None]
    assert all(entry.label is None for entry in entries(folder, Options(folder_labels=False)))
    assert entries(f"file://{folder}") == found


def test_a_table_keeps_its_other_columns(folder: Path, tmp_path: Path) -> None:
    made = table(
        tmp_path / "shop.parquet",
        file=["pictures/red/00.png", str(folder / "green" / "01.png"), "s3://bucket/x.png", "file:///y.png"],
        kind=["lamp", None, "chair", "chair"],
        told=["a lamp", "  ", None, "x"],
        told_2=["red", "y", None, ""],
        price=[9.5, float("nan"), None, 1.0],
        sold=[True, False, None, True],
    )
    options = Options(columns=Columns("file", "kind", "told"))
    found = entries(made, options)
    skipped = [one for one in found if isinstance(one, Skipped)]
    assert [one.code for one in skipped] == ["dataset/empty-caption"] * 2
    assert [one for one in found if isinstance(one, Entry)] == [
        Entry(b"pictures/red/00.png", None, "lamp", ("a lamp", "red"), {"price": 9.5, "sold": True}),
        Entry(os.fsencode(folder / "green" / "01.png"), None, None, ("y",), {"sold": False}),
        Entry(b"s3://bucket/x.png", None, "chair", (), {}),
        Entry(b"/y.png", None, "chair", ("x",), {"price": 1.0, "sold": True}),
    ]


def test_captions_of_a_table_may_be_lists(tmp_path: Path) -> None:
    (found,) = entries(table(tmp_path / "t.parquet", path=["a.png"], caption=[["one", "two"]]))
    assert isinstance(found, Entry)
    assert found.captions == ("one", "two")


def test_paths_of_a_table_start_at_its_folder(folder: Path, tmp_path: Path) -> None:
    made = table(folder / "t.parquet", path=["red/00.png", "../pictures/green/01.png", "gone.png"])
    *events, last = encode(str(made), create("colour"), tmp_path / "out")
    assert isinstance(last, Done)
    assert (last.counts["encoded"], last.counts["skipped"]) == (2, 1)
    (skipped,) = [event for event in events if isinstance(event, Skipped)]
    assert (skipped.path, skipped.code) == ("gone.png", "picture/vanished")


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"file": ["a"]}, "dataset/column"),
        ({"path": ["a", None]}, "dataset/cell"),
        ({"path": ["a", " "]}, "dataset/cell"),
        ({"path": [3]}, "dataset/cell"),
        ({"path": ["a"], "boxes": [[1, 2]]}, "dataset/cell"),
    ],
)
def test_tables_that_cannot_be_used_say_why(tmp_path: Path, columns: dict[str, list[object]], code: str) -> None:
    with pytest.raises(DatasetError) as caught:
        entries(table(tmp_path / "t.parquet", **columns))
    assert caught.value.code == code


def test_what_is_no_table_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("path\na.png\n")
    with pytest.raises(DatasetError) as caught:
        entries(tmp_path / "t.parquet")
    assert caught.value.code == "dataset/format"
    (tmp_path / "t.csv").write_text("path\na.png\n")
    with pytest.raises(InputError) as refused:
        source(str(tmp_path / "t.csv"))
    assert refused.value.code == "folder/none"


def test_a_store_of_objects_gives_the_vectors_of_the_folder(store: Any, folder: Path, tmp_path: Path) -> None:
    def vectors(out: Path) -> dict[tuple[str, str | None], bytes]:
        return {
            (Path(os.fsdecode(one.entry.path)).name, one.entry.label): vector.tobytes()
            for number in numbers(out, "shards")
            for pictures, some in read_shard(out / "shards" / f"{number:06d}.parquet")
            for one, vector in zip(pictures, some, strict=True)
        }

    options = Options(rows=5)
    list(encode(str(folder), create("colour"), tmp_path / "here", options))
    *events, _ = encode("memory://shop", create("colour"), tmp_path / "there", options)
    assert vectors(tmp_path / "here") == vectors(tmp_path / "there")
    assert len(vectors(tmp_path / "there")) == 12
    (skipped,) = [event for event in events if isinstance(event, Skipped)]
    assert (skipped.path, skipped.code) == ("memory:///shop/notes.txt", "picture/not-a-picture")


def test_objects_carry_their_address_and_time(store: Any) -> None:
    first = entries("memory://shop")[0]
    assert isinstance(first, Entry)
    assert first.path == b"memory:///shop/notes.txt"
    assert first.mtime_ns is not None
    assert first.label is None


def test_a_table_in_a_store_starts_at_its_own_place(store: Any, tmp_path: Path) -> None:
    store.pipe(
        "/shop/t.parquet", table(tmp_path / "t.parquet", path=["red/00.png", "memory://else/x.png"]).read_bytes()
    )
    found = [entry.path for entry in entries("memory://shop/t.parquet") if isinstance(entry, Entry)]
    assert found == [b"memory://shop/red/00.png", b"memory://else/x.png"]


def test_objects_are_held_to_the_limits(store: Any, folder: Path) -> None:
    whole = (folder / "red" / "00.png").read_bytes()
    store.pipe("/shop/none.png", b"")
    address = b"memory://shop/red/00.png"
    assert fetch(Path(), address, Limits()) == (whole, None)
    assert fetch(Path(), address, Limits(max_bytes=len(whole))) == (whole, None)
    for path, limits, reason in (
        (address, Limits(max_bytes=len(whole) - 1), "too-many-bytes"),
        (b"memory://shop/notes.txt", Limits(), "not-a-picture"),
        (b"memory://shop/none.png", Limits(), "empty"),
        (b"memory://shop/gone.png", Limits(), "vanished"),
    ):
        with pytest.raises(PictureError) as caught:
            fetch(Path(), path, limits)
        assert caught.value.reason == reason


def test_a_store_that_fails_names_the_picture(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no route")

    monkeypatch.setattr(type(store), "_open", fail)
    with pytest.raises(PictureError, match="no route") as caught:
        fetch(Path(), b"memory://shop/red/00.png", Limits())
    assert caught.value.reason == "unreadable"
    monkeypatch.setattr(type(store), "ls", fail)
    with pytest.raises(InputError) as refused:
        entries("memory://shop")
    assert refused.value.code == "folder/unreadable"


def test_only_protocols_of_stores_are_opened(tmp_path: Path) -> None:
    for address in ("reference://x", "zip://a.zip::memory://x", "local:///etc", "python://x"):
        with pytest.raises(InputError) as caught:
            source(address)
        assert caught.value.code == "bulk/address"


def test_an_address_in_a_table_that_is_none_is_left_out(tmp_path: Path) -> None:
    made = table(tmp_path / "t.parquet", path=["python://x.png"])
    *events, last = encode(str(made), create("colour"), tmp_path / "out")
    assert isinstance(last, Done)
    assert last.counts["skipped"] == 1
    (skipped,) = [event for event in events if isinstance(event, Skipped)]
    assert skipped.code == "picture/unreadable"


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(MissingExtra, match="fsspec") as caught:
        source("memory://shop")
    assert "nearsight[remote]" in caught.value.hint
