"""Items by key, page by page, and what they can be filtered by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nearsight.core.errors import QueryError
from nearsight.encode.encoder import EncoderSpec
from nearsight.search.collection import Collection
from nearsight.search.filters import Filter
from nearsight.search.listing import Facet, at_once, by_key, facets, hashes, page
from nearsight.search.store.catalogue import Catalogue
from nearsight.search.store.store import Record
from nearsight.search.uploads import Upload, forget, keep, plain_name

SPEC = EncoderSpec("made-up", 4, ("image",), "ab" * 32, {})


@pytest.fixture
def shelf(tmp_path: Path):
    """Twelve items: labels a, b, none in turn; fields of several kinds."""
    with Collection.create(tmp_path / "c", SPEC) as collection:
        vectors = np.tile(np.eye(1, 4, dtype=np.float32), (12, 1))
        records = [
            Record(
                f"{i}".encode(),
                label=["a", "b", None][i % 3],
                fields={"n": i, "half": i / 2, "word": f"w{i % 4}", "flag": i % 2 == 0, "mixed": 1 if i else "x"},
            )
            for i in range(12)
        ]  # fmt: skip
        collection.add(vectors, records)
        yield collection


def test_pages_are_one_list(shelf: Collection) -> None:
    for order, wanted in (
        ("key", list(range(1, 13))),
        ("-key", list(range(12, 0, -1))),
        ("label", [1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12]),
    ):
        found = [page(shelf.store, Filter(), offset=o, limit=5, order=order) for o in (0, 5, 10, 15)]
        assert [item.key for one in found for item in one.items] == wanted
        assert {one.total for one in found} == {12}
        assert {one.generation for one in found} == {shelf.store.snapshot().generation}
    some = page(shelf.store, Filter.of({"label": "b", "n": {"gte": 4}}), limit=2)
    assert ([item.key for item in some.items], some.total) == ([5, 8], 3)
    with pytest.raises(QueryError):
        page(shelf.store, Filter(), order="key; DROP TABLE item")


def test_by_key_and_at_once(shelf: Collection) -> None:
    assert [item.key for item in by_key(shelf.store, [5, 99, 1, 5])] == [5, 1, 5]
    items, generation = at_once(shelf.store, [5, 99, 1])
    assert (set(items), generation) == ({1, 5}, shelf.store.snapshot().generation)
    assert hashes(shelf.store, [1, 2]) == {}


def test_facets(shelf: Collection) -> None:
    label, *own = facets(shelf.store, most=3)
    assert label == Facet("label", "text", (("a", 4), ("b", 4)))
    told = {facet.name: facet for facet in own}
    assert (told["n"].kind, told["n"].least, told["n"].most) == ("number", 0, 11)
    assert (told["half"].least, told["half"].most) == (0.0, 5.5)
    assert told["flag"].values == ((False, 6), (True, 6))
    assert (told["word"].values, told["word"].more) == ((("w0", 3), ("w1", 3), ("w2", 3)), True)
    assert told["mixed"].values == ((1, 11), ("x", 1))
    for facet in own:
        for value, count in facet.values:
            assert page(shelf.store, Filter.of({facet.name: {"eq": value}})).total == count


def test_uploads_are_items_whose_pictures_lie_in_the_collection(shelf: Collection, tmp_path: Path) -> None:
    from serving import snow

    vector = np.eye(1, 4, dtype=np.float32)[0]
    keys = keep(shelf, [Upload(snow(n), vector, f"dir/pic {n}.jpeg", "new") for n in range(2)])
    items = list(by_key(shelf.store, keys.tolist()))
    assert [item.path.name for item in items] == ["pic 0.png", "pic 1.png"]
    assert [item.path.read_bytes() for item in items] == [snow(0), snow(1)]
    assert items[0].path.is_relative_to(shelf.folder / "uploads")
    assert set(hashes(shelf.store, keys.tolist())) == set(keys.tolist())
    assert forget(shelf, [int(keys[0]), 1]) == 2
    assert [item.path.exists() for item in items] == [False, True]
    assert sorted(p.name for p in (shelf.folder / "uploads").rglob("*.png")) == ["pic 1.png"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("cat.png", "cat.jpg"), ("C:\\pictures\\cat.bmp", "cat.jpg"), ("../../cat", "cat.jpg"), ("", "picture.jpg"),
        (".htaccess", "htaccess.jpg"), ("a<b>:c.png", "a_b__c.jpg"), ("con", "picture con.jpg"), ("..", "picture.jpg"),
        ("com1.tar.gz", "picture com1.tar.jpg"), ("ä" * 200, "ä" * 50 + ".jpg"), ("a\nb\u202e.png", "a_b_.jpg"),
    ],
)  # fmt: skip
def test_names_of_files(name: str, wanted: str) -> None:
    assert plain_name(name, b"\xff\xd8\xff\xe0" + bytes(60)) == wanted


def test_a_label_is_looked_up_not_looked_for(external: Callable) -> None:
    """Of ten million items, a thousandth is found without reading all."""
    collection, _ = external(50)
    for where in (
        Filter.of({"label": "a"}),
        Filter.of({"label": {"in": ["a", "c"]}}),
        Filter.of({"label": "a", "n": 4}),
    ):
        clause, values = where.sql()
        with collection.store.reading() as catalogue:
            plan = catalogue.all(f"EXPLAIN QUERY PLAN SELECT key FROM item WHERE {clause} ORDER BY key", *values)
        assert "USING INDEX item_label" in plan[0][3] or "COVERING INDEX item_label" in plan[0][3], plan


def test_what_a_filter_admits_is_remembered_until_something_is_committed(
    shelf: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ask = list[str](), Catalogue.all

    def listening(self: Catalogue, sql: str, *values: object) -> list[tuple[object, ...]]:
        asked.extend([sql] * sql.startswith("SELECT key FROM item"))
        return ask(self, sql, *values)

    monkeypatch.setattr(Catalogue, "all", listening)
    late, early = Filter.of({"n": {"gte": 9}}), Filter.of({"n": {"lt": 2}})
    for _ in range(3):
        assert shelf.keys(late).tolist() == [10, 11, 12]
        assert shelf.keys(early).tolist() == [1, 2]
    assert len(asked) == 2
    with pytest.raises(ValueError, match="read-only"):
        shelf.keys(late)[0] = 5
    with Collection.open(shelf.folder, read_only=True) as reader:
        assert reader.keys(late).tolist() == [10, 11, 12]
        shelf.annotate(3, fields={"n": 20})
        shelf.delete([12])
        assert shelf.keys(late).tolist() == reader.keys(late).tolist() == [3, 10, 11]
        assert reader.admitted(late)[1] == shelf.store.snapshot().generation
    for _ in range(2):
        with pytest.raises(QueryError, match="'m'"):
            shelf.keys(Filter.of({"m": 1}))


def test_few_of_them_are_remembered_and_one_is_not_taken_for_another(
    shelf: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearsight.search.listing._REMEMBERED", 5)
    for least in (9, 8, 9, 10, 1):
        assert len(shelf.keys(Filter.of({"n": {"gte": least}}))) == 12 - least
    assert [len(keys) for keys in shelf._admitted._known.values()] == [11], "one is kept, however long"
    for least in (9, 10, 9, 11):
        shelf.keys(Filter.of({"n": {"gte": least}}))
    assert [len(keys) for keys in shelf._admitted._known.values()] == [3, 1], "who was asked for last stays"
    assert shelf.keys(Filter.of({"flag": True})).tolist() == [1, 3, 5, 7, 9, 11]
    assert shelf.keys(Filter.of({"n": 1})).tolist() == [2]
