"""Items over HTTP: listed, shown, added, changed, forgotten."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from fake_words import install
from nearsight import Collection
from nearsight.http.schemas import ChangedItem, ItemAnswer, ItemsAnswer, UploadAnswer
from nearsight.search.store.check import check
from serving import Served, code, png, snow

# looking


def test_items_page_by_page(served: Served) -> None:
    first = served.get("/items?limit=5").json()
    ItemsAnswer.model_validate(first)
    assert [item["key"] for item in first["items"]] == [1, 2, 3, 4, 5]
    assert first["total"] == 12
    last = served.get("/items?limit=5&offset=10").json()
    assert [item["key"] for item in last["items"]] == [11, 12]
    assert [i["key"] for i in served.get("/items?limit=2&order=-key").json()["items"]] == [12, 11]
    assert served.get("/items?order=label&limit=1").json()["items"][0]["label"] == "blue"


@pytest.mark.parametrize("where", ["label = red", '{"label": {"eq": "red"}}', "(label=red)"])
def test_items_that_meet_a_filter(served: Served, where: str) -> None:
    found = served.get("/items", params={"where": where}).json()
    assert found["total"] == 4
    assert {item["label"] for item in found["items"]} == {"red"}


def test_one_item(served: Served) -> None:
    item = served.get("/items/9").json()
    ItemAnswer.model_validate(item)
    assert (item["name"], item["label"], item["captions"]) == ("red 0.png", "red", ["something red"])
    assert item["fields"] == {"year": 2020, "shop": "harbour", "sold": True}
    answer = served.get("/items/99")
    assert (answer.status_code, code(answer)) == (404, "item/unknown")


@pytest.mark.parametrize("query", ["order=path", "limit=0", "limit=501", "offset=-1", "where=label"])
def test_lists_that_cannot_be(served: Served, query: str) -> None:
    answer = served.get(f"/items?{query}")
    assert answer.status_code == 400
    assert code(answer) in ("request/invalid", "query/grammar")


# pictures


@pytest.mark.parametrize(("side", "longest"), [(64, 128), (128, 128), (200, 320), (320, 320), (512, 512)])
def test_thumbnails_are_small_jpegs_without_metadata(mine: Served, side: int, longest: int) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    Image.new("RGB", (1200, 600), "navy").save(file, "JPEG", exif=exif)
    key = mine.upload(file.getvalue()).json()["items"][0]["key"]
    answer = mine.get(f"/items/{key}/thumbnail?side={side}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert b"secret" not in answer.content
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (longest, longest // 2)
    assert not picture.getexif()
    assert answer.headers["cache-control"].startswith("private")
    known = mine.get(f"/items/{key}/thumbnail?side={side}", headers={"If-None-Match": answer.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    told = mine.get(f"/items/{key}").json()
    assert (told["width"], told["height"]) == (1200, 600)


def test_a_picture_on_its_side_is_shown_upright(mine: Served) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40), "navy").save(file, "JPEG", exif=exif)
    key = mine.upload(file.getvalue()).json()["items"][0]["key"]
    assert Image.open(io.BytesIO(mine.get(f"/items/{key}/thumbnail").content)).size == (40, 60)
    told = mine.get(f"/items/{key}").json()
    assert (told["width"], told["height"]) == (40, 60)


def test_the_picture_itself_and_what_browsers_cannot_show(mine: Served) -> None:
    given = png("red", 5)
    tiff = png("blue", 6, format="TIFF")
    keys = [item["key"] for item in mine.upload(given, tiff).json()["items"]]
    whole, made = (mine.get(f"/items/{key}/picture") for key in keys)
    assert (whole.content, whole.headers["content-type"]) == (given, "image/png")
    assert made.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(made.content)).size == (64, 48)
    again = mine.get(f"/items/{keys[0]}/picture", headers={"If-None-Match": whole.headers["etag"]})
    assert again.status_code == 304


def test_a_picture_that_is_gone_is_not_found(mine: Served, tmp_path: Path) -> None:
    key = mine.upload(snow(1)).json()["items"][0]["key"]
    for file in (tmp_path / "mine.ns" / "uploads").rglob("*.png"):
        file.unlink()
    for what in ("thumbnail", "picture"):
        answer = mine.get(f"/items/{key}/{what}")
        assert (answer.status_code, code(answer)) == (404, "item/no-picture")
    region = mine.search(examples=[{"key": key, "box": [0, 0, 5, 5]}])
    assert (region.status_code, code(region)) == (400, "picture/vanished")
    assert "the file is not there" in region.json()["detail"]
    assert str(tmp_path) not in region.text
    assert [f.code for f in check(tmp_path / "mine.ns") if hasattr(f, "code")] == ["upload"]


# changing


def test_uploads_are_found_by_the_next_search_and_stay(mine: Served, tmp_path: Path) -> None:
    before = mine.get("/items").json()["generation"]
    answer = mine.upload(png("red", 7), names=["my lamp.PNG"], label="lamp", fields='{"year": 1999, "new": true}')
    assert answer.status_code == 201
    UploadAnswer.model_validate(answer.json())
    (item,) = answer.json()["items"]
    assert item["status"] == "added"
    assert answer.json()["generation"] > before
    told = mine.get(f"/items/{item['key']}").json()
    assert (told["name"], told["label"], told["fields"]) == ("my lamp.png", "lamp", {"year": 1999, "new": True})
    assert mine.keys({"p": png("red", 7)}, examples=[{"picture": "p"}], k=1) == [item["key"]]
    (file,) = [p for p in (tmp_path / "mine.ns" / "uploads").rglob("*") if p.is_file()]
    assert file.read_bytes() == png("red", 7)


def test_what_is_known_is_not_added_again(mine: Served) -> None:
    first = mine.upload(png("red", 7)).json()["items"][0]
    again = mine.upload(png("red", 7), names=["another name.png"])
    assert again.status_code == 200
    assert again.json()["items"] == [{"key": first["key"], "name": "another name.png", "status": "known"}]
    twice = mine.upload(snow(3), snow(3))
    assert [item["status"] for item in twice.json()["items"]] == ["added", "known"]
    assert len({item["key"] for item in twice.json()["items"]}) == 1


def test_what_cannot_be_used_is_named_and_the_rest_is_added(mine: Served) -> None:
    answer = mine.upload(b"GIF89a", snow(4), b"<svg/>", names=["a.gif", "b.png", "c.png"]).json()
    assert [item["name"] for item in answer["items"]] == ["b.png"]
    assert [(skip["name"], skip["code"]) for skip in answer["skipped"]] == [
        ("a.gif", "picture/truncated"), ("c.png", "picture/not-a-picture"),
    ]  # fmt: skip
    assert mine.upload(b"no picture").status_code == 200


def test_labels_captions_and_fields_are_changed_and_searched_by(mine: Served) -> None:
    answer = mine.ask("PATCH", "/items/2", json={"label": "sky"})
    assert answer.status_code == 200
    ChangedItem.model_validate(answer.json())
    assert answer.json()["label"] == "sky"
    assert answer.json()["captions"] == ["something blue"]
    assert mine.keys(query="red", where={"label": "sky"}, k=12) == [2]
    assert mine.ask("PATCH", "/items/2", json={"label": None, "fields": {"n": 1}, "captions": []}).status_code == 200
    told = mine.get("/items/2").json()
    assert (told["label"], told["fields"], told["captions"]) == (None, {"n": 1}, [])
    missing = mine.ask("PATCH", "/items/99", json={"label": "x"})
    assert (missing.status_code, code(missing)) == (404, "item/unknown")
    assert code(mine.ask("PATCH", "/items/2", json={"key": 3})) == "request/invalid"
    assert code(mine.ask("PATCH", "/items/2", json={"fields": {"a": [1]}})) == "request/invalid"


def test_deleted_is_gone_from_everywhere(mine: Served, tmp_path: Path) -> None:
    key = mine.upload(png("red", 7)).json()["items"][0]["key"]
    assert mine.get(f"/items/{key}/thumbnail").status_code == 200
    answer = mine.ask("DELETE", f"/items/{key}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert int(answer.headers["x-generation"]) > 0
    assert mine.get(f"/items/{key}").status_code == 404
    assert mine.get(f"/items/{key}/thumbnail").status_code == 404
    assert key not in mine.keys(query="red", k=20)
    assert not any(path.is_file() for path in (tmp_path / "mine.ns" / "uploads").rglob("*"))
    assert mine.ask("DELETE", f"/items/{key}").status_code == 404
    assert mine.upload(png("red", 7)).json()["items"][0]["key"] != key


def test_a_picture_of_an_indexed_folder_stays_when_its_item_is_deleted(mine: Served, shop_made: Path) -> None:
    with Collection.open(shop_made, read_only=True) as collection:
        path = collection.item(1).path
    assert mine.ask("DELETE", "/items/1").status_code == 204
    assert path.is_file()


def test_uploads_move_with_the_collection_and_are_backed_up(mine: Served, tmp_path: Path) -> None:
    key = mine.upload(snow(8)).json()["items"][0]["key"]
    with Collection.open(tmp_path / "mine.ns", read_only=True) as collection:
        list(collection.backup(tmp_path / "copy.ns"))
        assert "uploads" not in {str(root) for root in collection.roots()}
    (tmp_path / "copy.ns").rename(tmp_path / "moved.ns")
    with Collection.open(tmp_path / "moved.ns", read_only=True) as collection:
        assert collection.item(key).path.read_bytes() == snow(8)
        assert str(tmp_path / "moved.ns") in str(collection.item(key).path)
    assert [f for f in check(tmp_path / "moved.ns") if hasattr(f, "harmless")] == []


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"label": "x" * 1001}, "request/invalid"),
        ({"fields": "[1]"}, "request/invalid"),
        ({"fields": "{"}, "request/json"),
        ({"fields": '{"a": NaN}'}, "request/json"),
        ({"fields": '{"a": {"b": 1}}'}, "request/invalid"),
        ({"lable": "x"}, "request/json"),
    ],
)
def test_uploads_with_fields_that_cannot_be(mine: Served, fields: dict, wanted: str) -> None:
    answer = mine.upload(snow(9), **fields)
    assert (answer.status_code, code(answer)) == (400, wanted)


def test_an_upload_without_pictures_is_refused(mine: Served) -> None:
    answer = mine.ask("POST", "/items", files=[("picture", ("a.png", snow(9)))])
    assert (answer.status_code, code(answer)) == (400, "request/form")
    answer = mine.ask("POST", "/items", json={})
    assert (answer.status_code, code(answer)) == (415, "request/media-type")


def test_a_read_only_server_changes_nothing(shop_made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import shutil

    install(monkeypatch)
    shutil.copytree(shop_made, tmp_path / "kept.ns")
    with Served([tmp_path / "kept.ns"], read_only=True) as still:
        answers = [
            still.upload(snow(1)), still.ask("DELETE", "/items/1"), still.ask("PATCH", "/items/1", json={"label": "x"})
        ]  # fmt: skip
        assert [(answer.status_code, code(answer)) for answer in answers] == [(403, "store/read-only")] * 3
        assert still.get("/items/1/thumbnail").status_code == 200
        assert still.get("/collections").json()["collections"][0]["writable"] is False
    assert not (tmp_path / "kept.ns" / "thumbnails").exists()
