"""Folders, tables and listings: what is read, what is skipped with its reason, what is refused with its code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nearsight.core.errors import DatasetError, MissingExtra
from nearsight.data.datasets import load


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def refused(address: str, root: Path | None, code: str) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        load(address, root)
    assert caught.value.code == code, caught.value
    return caught.value


# -- folders ---------------------------------------------------------------------------------------------------------
def test_class_folders_without_splits(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "b/1.jpg", "a/x/deep.jpg", "a/.hidden", ".git/c"):
        touch(tmp_path / name)
    data = load("folder", tmp_path)
    assert [(i.key, str(i.path.relative_to(tmp_path)), i.label, i.split) for i in data.items] == [
        (0, "a/x/deep.jpg", "a", None),
        (1, "b/1.jpg", "b", None),
        (2, "b/2.jpg", "b", None),
    ]
    assert data.labels == ("a", "b")
    assert data.splits == ()


def test_a_level_of_splits_is_detected(tmp_path: Path) -> None:
    for name in ("Train/a/1", "test/a/1", "val/b/1"):
        touch(tmp_path / name)
    assert load("folder", tmp_path).splits == ("test", "train", "val")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path / "train/1.jpg")
    touch(tmp_path / "plane/1.jpg")
    data = load("folder", tmp_path)
    assert (data.labels, data.splits) == (("plane", "train"), ())


def test_splits_beside_other_folders_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "train/a/1.jpg")
    touch(tmp_path / "extra/1.jpg")
    assert "extra" in refused("folder", tmp_path, "dataset/layout").message


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "a/1.jpg")
    loose = touch(tmp_path / "readme.txt")
    (tmp_path / "a/gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "a/pipe")
    data = load("folder", tmp_path)
    assert len(data.items) == 1
    assert {(Path(s.path).name, s.code) for s in data.skipped} == {
        (loose.name, "dataset/no-class"),
        ("gone.jpg", "dataset/not-a-file"),
        ("pipe", "dataset/not-a-file"),
        ("loop", "dataset/link"),
    }


def test_empty_class_folders_are_counted_and_named(tmp_path: Path) -> None:
    touch(tmp_path / "a/1.jpg")
    for name in ("b", "c"):
        (tmp_path / name).mkdir()
    error = refused("folder", tmp_path, "dataset/empty-class")
    assert "2 class folder(s)" in error.message
    assert "b, c" in error.message
    assert error.hint


def test_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEARSIGHT_DATA", raising=False)
    refused("folder/none", tmp_path, "dataset/missing")
    refused("folder", tmp_path, "dataset/layout")
    refused("folder", None, "dataset/root")
    refused("mit_split", None, "dataset/root")
    monkeypatch.setenv("NEARSIGHT_DATA", str(tmp_path))
    refused("folder", None, "dataset/root")  # the folder of all data sets is none itself
    refused("mit_split", None, "dataset/missing")
    refused("mit_split", tmp_path, "dataset/missing")
    refused("karpathy/flickr8k", tmp_path, "dataset/missing")
    refused("karpathy", tmp_path, "dataset/variant")
    refused("mit_split/other", tmp_path, "dataset/variant")


def test_an_incomplete_mit_split_is_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        touch(tmp_path / "mit_split" / split / "coast" / "1.jpg")
    error = refused("mit_split", tmp_path, "dataset/count")
    assert "1 training and 1 test" in error.message
    assert "1881" in error.message
    assert len(load("mit_split?verify=no", tmp_path).items) == 2


# -- tables ----------------------------------------------------------------------------------------------------------
def table(root: Path, text: str) -> Path:
    for name in ("a.jpg", "b.jpg", "sub/c.jpg"):
        touch(root / name)
    (root / "t.csv").write_text(text)
    return root


def test_columns_become_fields_with_types(tmp_path: Path) -> None:
    text = (
        "path,label,year,price,sold,code,note\n"
        "a.jpg,cat,1999,1.5,true,007,hello\n"
        "b.jpg,dog,2000,2,False,12,\n"
        "sub/c.jpg,1,,,,9,x\n"
    )
    first, second, third = load("table/t.csv", table(tmp_path, text)).items
    assert first.fields == {"year": 1999, "price": 1.5, "sold": True, "code": "007", "note": "hello"}
    assert second.fields == {"year": 2000, "price": 2.0, "sold": False, "code": "12"}
    assert third.fields == {"code": "9", "note": "x"}
    assert type(first.fields["year"]) is int
    assert third.label == "1"
    assert third.path == tmp_path / "sub/c.jpg"


def test_rows_of_one_path_are_its_captions(tmp_path: Path) -> None:
    text = "path,label,caption\na.jpg,x,one\nb.jpg,y,two\n./a.jpg,x,three\nsub/../a.jpg,x,one\n"
    data = load("table/t.csv", table(tmp_path, text))
    assert [i.captions for i in data.items] == [("one", "three", "one"), ("two",)]


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    (item,) = load("table/t.csv?path=file&label=class", table(tmp_path, "file,class\na.jpg,x\n")).items
    assert (item.label, item.fields) == ("x", {})


@pytest.mark.parametrize(
    ("text", "options", "code", "says"),
    [
        ("file,label\na.jpg,x\n", "", "dataset/column", "'path'"),
        ("paths,label\na.jpg,x\n", "", "dataset/column", "'path'"),
        ("path,label\na.jpg,x\n", "?label=clas", "dataset/column", "'clas'"),
        ("path,path\na.jpg,x\n", "", "dataset/column", "twice"),
        ("path,label\na.jpg,\nb.jpg, \nsub/c.jpg,z\n", "", "dataset/cell", "2 row(s): 1, 2"),
        ("path,label\n,x\n", "", "dataset/cell", "'path'"),
        ("path,label\na.jpg,x\na.jpg,x\n", "", "dataset/duplicate", "a.jpg"),
        ("path,label,caption\na.jpg,x,1\na.jpg,y,2\n", "", "dataset/conflict", "'x' and 'y'"),
        ("path,year,caption\na.jpg,1,p\na.jpg,2,q\n", "", "dataset/conflict", "'year'"),
        ("path,label\na.jpg,x,extra\n", "", "dataset/format", "3 cells"),
        ("", "", "dataset/format", "empty"),
        ("path,label\n", "", "dataset/empty", "no usable pictures"),
        ("path,label\ngone.jpg,x\n", "", "dataset/empty", "gone.jpg"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, text: str, options: str, code: str, says: str) -> None:
    error = refused("table/t.csv" + options, table(tmp_path, text), code)
    assert says in error.message


def test_rows_without_a_picture_are_skipped_and_named(tmp_path: Path) -> None:
    data = load("table/t.csv", table(tmp_path, "path,label\na.jpg,x\ngone.jpg,x\nb.jpg,y\n"))
    assert [i.key for i in data.items] == [0, 2]
    assert [(Path(s.path).name, s.code) for s in data.skipped] == [("gone.jpg", "dataset/missing-picture")]


def test_bytes_that_are_no_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"path\n\xff\xfe\n")
    refused("table/t.csv", tmp_path, "dataset/format")
    (tmp_path / "t.xls").write_bytes(b"x")
    refused("table/t.xls", tmp_path, "dataset/format")


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    table(tmp_path, "")
    columns = {"path": ["a.jpg", "b.jpg"], "label": ["x", "y"], "year": [1, None], "caption": ["one", None]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    first, second = load("table/t.parquet", tmp_path).items
    assert (first.label, first.captions, first.fields) == ("x", ("one",), {"year": 1})
    assert (second.captions, second.fields) == ((), {})
    pyarrow.parquet.write_table(pyarrow.table({"path": ["a.jpg"], "list": [[1]]}), tmp_path / "u.parquet")
    refused("table/u.parquet", tmp_path, "dataset/cell")
    (tmp_path / "v.parquet").write_bytes(b"PAR1junk")
    refused("table/v.parquet", tmp_path, "dataset/format")


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    touch(tmp_path / "t.parquet")
    with pytest.raises(MissingExtra) as caught:
        load("table/t.parquet", tmp_path)
    assert "nearsight[table]" in caught.value.hint


# -- Karpathy's layout -----------------------------------------------------------------------------------------------
def test_missing_pictures_of_a_listing_are_named(tmp_path: Path) -> None:
    touch(tmp_path / "images/val2014/1.jpg")
    sentences = [{"raw": " one "}]
    entries = [
        {"filename": f"{i}.jpg", "filepath": "val2014", "split": "val", "sentences": sentences} for i in range(3)
    ]
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": entries}))
    data = load("karpathy/dataset_coco.json", tmp_path)
    assert data.name == "coco"
    assert [(i.key, i.captions, i.split) for i in data.items] == [(1, ("one",), "val")]
    assert len(data.skipped) == 2


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"images": 3}', '{"images": [{"filename": "a"}]}', "\x00", "[" * 99999]
)
def test_a_listing_in_another_layout_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    refused("karpathy/x.json", tmp_path, "dataset/format")
    (tmp_path / "x.json.gz").write_text(text)
    refused("karpathy/x.json.gz", tmp_path, "dataset/format")


# -- the real ones ---------------------------------------------------------------------------------------------------
@pytest.mark.real
def test_the_mit_split_is_whole(data_root: Path) -> None:
    data = load("mit_split", data_root)
    assert (len(data.split("train")), len(data.split("test")), len(data.labels)) == (1881, 807, 8)
    assert len(data.benchmark("test-loo").gallery) == 807


@pytest.mark.real
def test_flickr8k_is_whole(data_root: Path) -> None:
    data = load("karpathy/flickr8k", data_root)
    assert {name: len(data.split(name)) for name in data.splits} == {"train": 6000, "val": 1000, "test": 1000}
    assert {len(i.captions) for i in data.items} == {5}
    assert not data.skipped
