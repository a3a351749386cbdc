"""The relation of pictures and captions: nothing is lost unnamed, and no order of a listing changes it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearsight.core.errors import DatasetError
from nearsight.core.items import Item
from nearsight.data.captions import NO_CAPTIONS, Captioned, captioned
from nearsight.data.datasets import EMPTY_CAPTION, Dataset, load

ODD = ("…", "!?", "\N{DOG FACE}\N{WATER WAVE}", "\u0441\u043e\u0431\u0430\u043a\u0430 \u0438 \u043c\u043e\u0440\u0435",
       "\u4e24\u53ea\u72d7", "<b>bold</b> & co", "word " * 9999 + "word")  # fmt: skip


def dataset(*captions: tuple[str, ...], split: str | None = None) -> Dataset:
    return Dataset("set", tuple(Item(7 * k, Path(f"{k}.jpg"), None, split, own) for k, own in enumerate(captions)))


def test_every_caption_stands_beside_its_picture() -> None:
    made = captioned(dataset(("b", "a"), ("c",), ("e", "d", "f", "g", "h", "i")))
    assert made.ids.tolist() == [0, 7, 14]
    assert made.texts == ("a", "b", "c", "d", "e", "f", "g", "h", "i")
    assert made.of.tolist() == [0, 0, 1, 2, 2, 2, 2, 2, 2]
    assert made.starts.tolist() == [0, 2, 3, 9]
    assert not made.skipped
    rows, texts = np.array([2, 0]), np.array([0, 3, 2, 8])
    assert made.matches(rows, texts).tolist() == [[False, True, False, True], [True, False, False, False]]


def test_what_cannot_be_used_is_named_and_the_rest_is_kept() -> None:
    made = captioned(dataset((), ("one", " ", "", "\t\n"), ODD, (" ",)))
    assert [item.path.name for item in made.pictures] == ["1.jpg", "2.jpg"]
    assert made.texts == ("one", *sorted(ODD))
    counted = [(event.path, event.code) for event in made.skipped]
    assert counted == [
        ("0.jpg", NO_CAPTIONS),
        *[("1.jpg", EMPTY_CAPTION)] * 3,
        ("3.jpg", EMPTY_CAPTION),
        ("3.jpg", NO_CAPTIONS),
    ]
    assert "3 of 4" in made.skipped[2].why
    assert all(event.hint for event in made.skipped)


def test_the_same_words_under_two_pictures_are_kept_and_counted() -> None:
    made = captioned(dataset(("a dog", "same"), ("same", "same"), ("a cat",)))
    assert made.texts.count("same") == 3
    assert made.shared == 3
    assert captioned(dataset(("same", "same"), ("other",))).shared == 0


def test_nothing_to_relate_is_an_error_with_its_repair() -> None:
    for broken in (dataset((), ()), dataset((" ",))):
        with pytest.raises(DatasetError) as caught:
            captioned(broken)
        assert caught.value.code == NO_CAPTIONS
        assert "column 'caption'" in caught.value.hint
    with pytest.raises(DatasetError) as caught:
        captioned(dataset(("a",), split="test"), "train")
    assert caught.value.code == "dataset/split"


@settings(max_examples=50, deadline=None)
@given(
    captions=st.lists(st.lists(st.text(max_size=4), max_size=6).map(tuple), min_size=1, max_size=6),
    seed=st.integers(0, 9),
)
def test_no_order_changes_it(captions: list[tuple[str, ...]], seed: int) -> None:
    captions = [*captions, ("one",)]
    data = dataset(*captions)
    rng = np.random.default_rng(seed)
    mixed = [replace(item, captions=tuple(rng.permutation(np.array(item.captions, dtype=object))))
             for item in data.items]  # fmt: skip
    shuffled = replace(data, items=tuple(mixed[at] for at in rng.permutation(len(mixed))))
    one, two = captioned(data), captioned(shuffled)
    assert one.texts == two.texts
    assert one.digest == two.digest
    assert np.array_equal(one.of, two.of)
    assert np.array_equal(one.ids, two.ids)
    assert len(one.texts) == sum(bool(text.strip()) for own in captions for text in own)
    assert len(one.texts) + sum(e.code == EMPTY_CAPTION for e in one.skipped) == sum(map(len, captions))


def test_the_digest_is_of_the_relation() -> None:
    base = captioned(dataset(("a", "b"), ("c",)))
    for other in (dataset(("a",), ("b", "c")), dataset(("a", "b"), ("d",)), dataset(("a", "b", "c"))):
        assert captioned(other).digest != base.digest


def test_rows_are_left_out_with_what_hangs_on_them() -> None:
    made = captioned(dataset(("a", "b"), ("c",), ("d", "e")))
    left = made.without([0], [2, 3])
    assert left.ids.tolist() == [14]
    assert left.texts == ("e",)
    assert left.of.tolist() == [0]
    assert [(event.path, event.code) for event in left.skipped] == [("1.jpg", NO_CAPTIONS)]
    with pytest.raises(DatasetError) as caught:
        made.without([0, 1], [3, 4])
    assert caught.value.code == NO_CAPTIONS


def test_a_relation_that_is_none_is_refused() -> None:
    items = dataset(("a",), ("b",)).items
    for pictures, texts, of in [
        (items, ("a", "b"), [0, 0]),
        (items, ("a", "b"), [1, 0]),
        (items[:1], ("b", "a"), [0, 0]),
        (items[::-1], ("a", "b"), [0, 1]),
    ]:
        with pytest.raises(DatasetError, match="by key"):
            Captioned("set", None, pictures, texts, np.array(of))


# -- from files ------------------------------------------------------------------------------------------------------
def files(root: Path, *names: str) -> Path:
    for name in names or ("a.jpg", "b.jpg", "c.jpg"):
        (root / name).write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    "text",
    [
        "path,caption,split\na.jpg,one,test\nb.jpg,two,test\na.jpg,\"three, four\",test\nc.jpg,,test\nb.jpg, ,test\n",
        "path,caption,caption_2,split\na.jpg,one,\"three, four\",test\nb.jpg,two,,test\nc.jpg,,,test\n",
        "split,caption_10,path,caption_2\ntest,\"three, four\",a.jpg,one\ntest,,b.jpg,two\ntest,,c.jpg,\n",
    ],
)  # fmt: skip
def test_tables_of_every_form(tmp_path: Path, text: str) -> None:
    (files(tmp_path) / "t.csv").write_text(text)
    data = load("table/t.csv", tmp_path)
    assert [item.captions for item in data.items] == [("one", "three, four"), ("two",), ()]
    made = captioned(data, "test")
    assert made.texts == ("one", "three, four", "two")
    bare = [event for event in made.skipped if event.code == NO_CAPTIONS]
    assert [Path(event.path).name for event in bare] == ["c.jpg"]
    assert len(made.skipped) - len(bare) == text.count(", ,")
    assert all(not item.fields for item in data.items)


def test_captions_stay_as_they_are_written(tmp_path: Path) -> None:
    (files(tmp_path) / "t.csv").write_text("path,told,told_2\na.jpg,1.50,true\nb.jpg,2.0,false\n")
    data = load("table/t.csv?caption=told", tmp_path)
    assert [item.captions for item in data.items] == [("1.50", "true"), ("2.0", "false")]


def test_a_parquet_column_of_lists(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    columns = {"path": ["a.jpg", "b.jpg", "c.jpg"], "captions": [["one", "two "], ["three", "", None], []]}
    pyarrow.parquet.write_table(pyarrow.table(columns), files(tmp_path) / "t.parquet")
    data = load("table/t.parquet?caption=captions", tmp_path)
    assert [item.captions for item in data.items] == [("one", "two"), ("three",), ()]
    assert [event.code for event in captioned(data).skipped] == [EMPTY_CAPTION, EMPTY_CAPTION, NO_CAPTIONS]
    with pytest.raises(DatasetError) as caught:
        load("table/t.parquet", tmp_path)
    assert "?caption=COLUMN" in caught.value.hint


def test_a_listing_with_odd_captions(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    files(tmp_path / "images")
    told = [[*ODD, "  "], [], ["plain "]]
    entries = [
        {"filename": name, "split": "test", "sentences": [{"raw": text} for text in own]}
        for name, own in zip(("a.jpg", "b.jpg", "c.jpg"), told, strict=True)
    ]
    (tmp_path / "dataset_x.json").write_text(json.dumps({"images": entries}))
    made = captioned(load("karpathy/dataset_x.json", tmp_path), "test")
    assert made.texts == (*sorted(ODD), "plain")
    assert [event.code for event in made.skipped] == [EMPTY_CAPTION, NO_CAPTIONS]


def test_drawn_scenes_have_a_relation(tmp_path: Path) -> None:
    made = captioned(load("drawn?n=16&size=32", tmp_path), "train")
    assert set(np.bincount(made.of)) == {5}


@pytest.mark.real
def test_flickr8k_is_five_captions_a_picture(data_root: Path) -> None:
    data = load("karpathy/flickr8k", data_root)
    test = captioned(data, "test")
    assert (len(test.pictures), len(test.texts), len(test.skipped)) == (1000, 5000, 0)
    assert set(np.bincount(test.of)) == {5}
    assert len(captioned(data, "train").texts) == 30_000
