"""The server itself: what it tells of its collections and of itself, the page, the token, the settings."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fake_words import install
from nearsight.core.errors import InputError, NotACollection
from nearsight.http import guard
from nearsight.http.app import create_app
from nearsight.http.routes import system
from nearsight.http.schemas import CollectionsAnswer, ProgressAnswer, Ready
from nearsight.http.settings import Settings
from nearsight.search.collection import Collection
from serving import TOKEN, Served, code


def test_collections_and_what_can_be_filtered_by(served: Served) -> None:
    told = served.get("/collections").json()
    CollectionsAnswer.model_validate(told)
    (shop,) = told["collections"]
    assert (shop["name"], shop["items"], shop["dim"], shop["captions"]) == ("shop", 12, 768, 12)
    assert shop["modalities"] == ["image", "text"]
    assert (shop["writable"], shop["calibrated"], shop["engine"]) == (True, False, "ready")
    label, *own = shop["fields"]
    assert label["name"] == "label"
    assert label["values"] == [{"value": name, "count": 4} for name in ("blue", "green", "red")]
    by_name = {field["name"]: field for field in own}
    assert (by_name["year"]["kind"], by_name["year"]["min"], by_name["year"]["max"]) == ("number", 2020, 2023)
    assert by_name["shop"]["values"] == [{"value": "harbour", "count": 6}, {"value": "old town", "count": 6}]
    assert by_name["sold"]["values"] == [{"value": False, "count": 9}, {"value": True, "count": 3}]


def test_values_that_are_told_can_be_filtered_by(served: Served) -> None:
    for field in served.get("/collections").json()["collections"][0]["fields"]:
        for one in field.get("values") or ():
            where = json.dumps({field["name"]: {"eq": one["value"]}})
            assert served.get("/items", params={"where": where}).json()["total"] == one["count"]


def test_collections_of_one_name_get_numbers(shop_made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with Served([shop_made, shop_made]) as two:
        assert [one["name"] for one in two.get("/collections").json()["collections"]] == ["shop", "shop-2"]
        assert two.keys(collection="shop-2", query="red", k=1)


def test_a_hidden_collection_is_called_like_its_folder(tmp_path: Path, shop_made: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / ".nearsight").symlink_to(shop_made)
    app = create_app([tmp_path / "holiday" / ".nearsight"], Settings(read_only=True))
    try:
        assert list(app.house.rooms) == ["shop"]
    finally:
        app.house.close()


def test_health_ready_and_metrics(served: Served) -> None:
    assert served.get("/health").json()["status"] == "ok"
    ready = served.get("/ready")
    Ready.model_validate(ready.json())
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "collections": {"shop": "ready"}})
    served.search(query="red")
    served.get("/items/1")
    served.get("/no/such/place")
    text = served.get("/metrics").text
    assert 'nearsight_requests_total{method="POST",route="/search",status="200"}' in text
    assert 'route="/items/{key}"' in text
    assert "/no/such" not in text
    assert 'nearsight_items{collection="shop"} 12.0' in text
    assert 'nearsight_engine_ready{collection="shop"} 1.0' in text
    assert 'nearsight_search_seconds_count{stage="search"}' in text


def test_the_openapi_document_says_what_comes(served: Served) -> None:
    told = served.get("/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in told["components"]["schemas"]
    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], f"{method} {path}"
            assert "422" not in operation["responses"]
            problem = operation["responses"]["default"]["content"]["application/problem+json"]
            assert problem["schema"]["$ref"].endswith("/Problem")
    named = {name for name in json.dumps(told).split('"') if name.startswith("#/components/schemas/")}
    assert {name.rpartition("/")[2] for name in named} <= told["components"]["schemas"].keys()
    assert {"application/json", "multipart/form-data"} == told["paths"]["/search"]["post"]["requestBody"][
        "content"
    ].keys()


def test_unknown_places_and_methods_are_problems(served: Served) -> None:
    for method, path, status, wanted in (
        ("GET", "/nothing", 404, "request/unknown"),
        ("GET", "/docs", 404, "request/unknown"),
        ("DELETE", "/search", 405, "request/method"),
        ("GET", "/items/one", 400, "request/invalid"),
    ):
        answer = served.ask(method, path)
        assert (answer.status_code, code(answer)) == (status, wanted)


# the page


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "index.html").write_text("<!doctype html><title>here</title>", encoding="utf-8")
    (tmp_path / "app.js").write_text("'use strict'", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("no", encoding="utf-8")
    monkeypatch.setattr(system, "WEB", tmp_path)
    return tmp_path


def test_the_page_and_its_files(served: Served, page: Path) -> None:
    index, script = served.get("/"), served.get("/web/app.js")
    assert "<title>here" in index.text
    assert script.headers["content-type"].startswith("text/javascript")
    for answer in (index, script):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert served.get("/web/app.js", headers={"If-None-Match": script.headers["etag"]}).status_code == 304
    for name in ("secret.txt", "../app.js", "..%2fapp.js", "nothing.js", ".hidden.js", "APP.JS"):
        assert served.get(f"/web/{name}").status_code == 404


def test_every_answer_tells_browsers_to_be_careful(served: Served, page: Path) -> None:
    for path in ("/", "/collections", "/items/1/picture", "/nothing"):
        headers = served.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
    assert "sandbox" in served.get("/items/1/picture").headers["content-security-policy"]


# the token


@pytest.fixture
def locked(shop: Path):
    with Served([shop], token=TOKEN, host="0.0.0.0", read_only=True) as running:
        yield running


def test_without_the_token_only_the_page_and_health_answer(locked: Served, page: Path) -> None:
    for path in ("/", "/web/app.js", "/health"):
        assert locked.get(path).status_code == 200
    for path in ("/collections", "/items", "/items/1/thumbnail", "/ready", "/metrics", "/openapi.json", "/nothing"):
        answer = locked.get(path)
        assert (answer.status_code, code(answer)) == (401, "request/token")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for given in ("Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \xff"):
        headers = {b"Authorization": given.encode("latin-1")}
        assert locked.get("/collections", headers=headers).status_code == 401
    assert locked.get("/collections", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_token_is_traded_for_a_cookie_that_does_not_tell_it(locked: Served) -> None:
    assert locked.ask("POST", "/session", json={"token": "x" * 20}).status_code == 401
    answer = locked.ask("POST", "/session", json={"token": TOKEN})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie.replace("Strict", "strict")
    assert TOKEN not in cookie
    value = cookie.partition(";")[0]
    assert locked.get("/collections", headers={"Cookie": value}).status_code == 200
    assert locked.get("/collections", headers={"Cookie": f"a=b; {value}; c=d"}).status_code == 200
    assert locked.get("/collections", headers={"Cookie": value + "0"}).status_code == 401
    assert locked.get("/collections", headers={"Cookie": f"{guard.COOKIE}={TOKEN}"}).status_code == 401


def test_a_server_without_a_token_sets_no_cookie(served: Served) -> None:
    answer = served.ask("POST", "/session", json={"token": "anything"})
    assert answer.status_code == 204
    assert "set-cookie" not in answer.headers


# settings


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "shop.example", ""])
def test_others_can_reach_it_only_with_a_token(host: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings(host=host)
    assert caught.value.code == "serve/token"
    Settings(host=host, token=TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    assert Settings(host=host).private


@pytest.mark.parametrize("token", ["", "short", "with a space in it", "unsendable-\n-in-a-header", "umlaut-ä-umlaut-ä"])
def test_tokens_that_can_be_guessed_or_not_be_sent(token: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings(token=token)
    assert caught.value.code == "serve/token"


def test_a_token_is_not_printed() -> None:
    assert TOKEN not in repr(Settings(token=TOKEN))


def test_a_folder_without_a_collection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotACollection):
        create_app([tmp_path])


# progress


def test_progress_of_an_index_run(served: Served, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fake_words import WORDS, noise
    from nearsight.search.sync import progress

    assert served.get("/progress").json() == {"jobs": []}
    monkeypatch.setattr(progress, "_SECONDS", 0.0)
    (tmp_path / "more").mkdir()
    for number in range(3):
        noise(WORDS["red"], 50 + number).save(tmp_path / "more" / f"{number}.png")
    seen = []
    with Collection.open(shop) as collection:
        for _ in collection.sync(tmp_path / "more"):
            answer = served.get("/progress").json()
            ProgressAnswer.model_validate(answer)
            seen += answer["jobs"]
    assert {"walk", "encode"} <= {job["stage"] for job in seen}
    last = [job for job in seen if job["stage"] == "encode"][-1]
    assert (last["done"], last["total"], last["skipped"]) == (3, 3, 0)
    assert served.get("/progress").json() == {"jobs": []}
    assert not (shop / progress.FILE).exists()


def test_the_progress_of_a_killed_run_is_not_believed(served: Served, shop: Path) -> None:
    from nearsight.search.sync import progress

    told = {"stage": "encode", "done": 1, "total": 9, "skipped": 0, "seconds": 1.0, "pid": os.getpid()}
    (shop / progress.FILE).write_text(json.dumps(told))
    try:
        assert served.get("/progress").json() == {"jobs": []}
        with Collection.open(shop):
            assert len(served.get("/progress").json()["jobs"]) == 1
            for junk in ("", "{", "[]", "null", json.dumps(told | {"pid": 1}), json.dumps({"pid": os.getpid()})):
                (shop / progress.FILE).write_text(junk)
                assert served.get("/progress").json() == {"jobs": []}
    finally:
        (shop / progress.FILE).unlink()
