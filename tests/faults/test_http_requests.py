"""Requests that mean harm, or know no better: each is answered with a problem, none with a fault, and work goes on."""

from __future__ import annotations

import asyncio
import io
import json
import random
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from nearsight.core.errors import Locked
from nearsight.http import guard, problems
from nearsight.http.guard import name_of
from nearsight.http.settings import Settings
from serving import Served, code, png, snow

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=frontier"}


@pytest.fixture(autouse=True)
def _work_goes_on(served: Served):
    """Whatever came, the next search is answered, nobody is left at work, and no request was a fault."""
    yield
    assert served.search(query="red", k=1).status_code == 200
    for desk in (served.house.searches, served.house.others):
        served.run(_empty(desk))
    assert 'status="500"' not in served.get("/metrics").text


async def _empty(desk) -> None:
    async with asyncio.timeout(20):
        while desk.inside:
            await asyncio.sleep(0.01)


# size and time


@pytest.mark.parametrize("path", ["/search", "/query", "/session", "/feedback"])
@pytest.mark.parametrize("told", [True, False])
def test_a_body_over_the_limit(served: Served, path: str, told: bool) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1 << 16
            yield b" " * (1 << 16)

    headers = JSON | ({"Content-Length": str(1 << 40)} if told else {})
    answer = served.ask("POST", path, content=endless(), headers=headers)
    assert (answer.status_code, code(answer)) == (413, "request/too-large")
    assert answer.headers["connection"] == "close"
    assert read <= (1 << 16 if told else Settings().json_bytes + (1 << 17))


def test_pictures_over_the_limit(shop: Path) -> None:
    with Served([shop], upload_bytes=100_000, read_only=True) as small:
        answer = small.search({"a": bytes(200_000)}, examples=[{"picture": "a"}])
        assert (answer.status_code, code(answer)) == (413, "request/too-large")
        assert small.search({"a": png()}, examples=[{"picture": "a"}], k=1).status_code == 200


def test_a_body_that_comes_too_slowly(shop: Path) -> None:
    async def dripping() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" "
            await asyncio.sleep(0.1)

    with Served([shop], body_seconds=0.5, body_rate=1000, read_only=True) as hasty:
        answer = hasty.ask("POST", "/search", content=dripping(), headers=JSON)
        assert (answer.status_code, code(answer)) == (408, "request/slow")


@pytest.mark.parametrize("length", ["-1", "one", "1e3", "9" * 5000])
def test_lengths_that_are_none(served: Served, length: str) -> None:
    answer = served.ask("POST", "/search", content=b'{"query": "red"}', headers=JSON | {"Content-Length": length})
    assert answer.status_code in (200, 400, 413)


def test_an_address_that_is_too_long(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_LONGEST_QUERY", 1000)
    for path in ("/" + "a" * 5000, "/items?where=" + "a" * 1001):
        assert code(served.get(path)) == "request/address"


# JSON


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b'"red"', b"{}{}", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{'query': 'red'}", b'{"k": 01}',
        b"[" * 100_000, b'{"a":' * 50_000, b'{"where":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"query": "red", "where": ' + b'{"not":' * 900 + b'{"label": "x"}' + b"}" * 900 + b"}",
        b'{"query": "red", "k": ' + b"9" * 10_000 + b"}", b'{"query": "red", "k": 1e999}',
        b'{"query": "red", "min_score": NaN}', b'{"query": "red", "min_score": Infinity}',
        b'{"examples": [{"text": "red", "weight": 1e999}]}', b'{"query": "red", "fold": -Infinity}',
    ],
    ids=lambda body: body[:24].decode("latin-1") + f" {len(body)}",
)  # fmt: skip
def test_json_that_is_none_or_too_much(served: Served, body: bytes) -> None:
    answer = served.ask("POST", "/search", content=body, headers=JSON)
    assert answer.status_code == 400
    assert code(answer).partition("/")[0] in ("request", "query")


@pytest.mark.parametrize("k", [0, -1, 1001, 1_000_000_000, 1 << 70, None, "10", 2.5, True, [10], {"a": 1}])
def test_k_that_is_none(served: Served, k: object) -> None:
    answer = served.search(query="red", k=k)
    assert (answer.status_code, code(answer)) == (400, "request/invalid")
    assert "k" in answer.json()["detail"]


def test_more_than_there_is(served: Served) -> None:
    assert len(served.keys(query="red", k=1000)) == 12
    assert served.keys(query="red", k=1000, offset=9000) == []
    assert code(served.search(query="red", k=1000, offset=9001)) == "request/invalid"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400), (" ", 400), ("a" * 900_000, 400), ("\0", 400), ("red\0", 400), ("\ud800", 400), ("red \udfff", 400),
        ("red " * 4000, 200), ("\u202ered", 400), ("red" + " + red" * 3000, 400), ("(" * 19_000, 400),
        ("red | " + "not " * 4000 + "label = x", 200), ("red | " + "(" * 4000, 400), ('red "', 400), ("2:" * 9000, 400),
    ],
    ids=lambda value: f"{value[:12]!a} {len(value)}" if isinstance(value, str) else "",
)  # fmt: skip
def test_queries_that_are_too_much_or_nothing(served: Served, text: str, status: int) -> None:
    answer = served.ask("POST", "/search", content=json.dumps({"query": text}), headers=JSON)
    assert answer.status_code == status, answer.text[:300]
    as_words = served.ask("POST", "/search", content=json.dumps({"examples": [{"text": text}]}), headers=JSON)
    assert as_words.status_code in (200, 400)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", '"1"', "null", "[1]", "9" * 400])
def test_vectors_that_are_none(served: Served, value: str) -> None:
    body = '{"examples": [{"vector": [' + ",".join([value] * 768) + "]}]}"
    answer = served.ask("POST", "/search", content=body, headers=JSON)
    assert answer.status_code == 400
    zero = served.search(examples=[{"vector": [0.0] * 768}])
    assert (zero.status_code, code(zero)) == (400, "vectors")


def test_a_filter_beyond_all_bounds(served: Served) -> None:
    for where in (
        {"any": [{"label": str(i)} for i in range(2000)]},
        {"label": {"in": [str(i) for i in range(40_000)]}},
        {"label": {"eq": "\ud800"}},
        {"\ud800": 1},
        {'a"b': 1},
        {"label": {"like": "x"}},
        {"year": {"gt": 10**4000}},
    ):
        answer = served.ask("POST", "/search", content=json.dumps({"query": "red", "where": where}), headers=JSON)
        assert (answer.status_code, code(answer)) == (400, "query/filter"), where


# forms


def _part(name: str, content: bytes, *, file: bool = False) -> bytes:
    named = f'; filename="{name}"' if file else ""
    head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + content + b"\r\n"


SEARCH = _part("request", b'{"examples": [{"picture": "p"}], "k": 1}')
END = b"--frontier--\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"--frontier", b"--frontier\r\n\r\n", END, b"no form at all", SEARCH, SEARCH + b"--frontier",
        SEARCH + b'--frontier\r\nContent-Disposition: form-data\r\n\r\nx\r\n' + END,
        b"".join(_part(f"f{i}", b"x") for i in range(10_000)) + END,
        b"".join(_part(f"f{i}", b"x", file=True) for i in range(10_000)) + END,
        SEARCH + SEARCH + _part("p", b"x", file=True) + END,
        _part("request", b"x" * 1_100_000) + END,
        b"--frontier\r\n" + b"X-Header: y\r\n" * 20_000 + b"\r\n" + END,
        b"--frontier\r\n" + b"X" * 100_000 + b": y\r\n\r\n" + END,
        SEARCH + _part("p", snow(1))[:200],
        SEARCH + _part("other", snow(1), file=True) + END,
        SEARCH + _part("p", b"", file=True) + END,
        SEARCH + _part("p", b"<svg/>", file=True) + END,
        b"\r\n" * 50_000,
    ],
    ids=lambda body: f"{body[-16:]!a} {len(body)}",
)  # fmt: skip
def test_forms_that_are_broken_or_too_much(served: Served, body: bytes) -> None:
    for path in ("/search", "/items"):
        answer = served.ask("POST", path, content=body, headers=FORM)
        assert answer.status_code in (200, 400, 413, 415), answer.text[:300]
        if answer.status_code == 200:
            assert path == "/items"
            assert answer.json()["skipped"]


def test_a_form_that_breaks_off_is_not_half_understood(served: Served) -> None:
    whole = _part("request", b'{"query": "red", "k": 1}')
    assert served.ask("POST", "/search", content=whole + END, headers=FORM).status_code == 200
    for broken in (whole, whole + b"--frontier", whole[:-2] + b"\r\n--frontier\r\nContent-Disposition: form-data"):
        answer = served.ask("POST", "/search", content=broken, headers=FORM)
        assert (answer.status_code, code(answer)) == (400, "request/form")


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=",
     "multipart/form-data; boundary=" + "b" * 5000, "multipart/form-data; boundary=\x01", "application/jsonx", "json"],
)  # fmt: skip
def test_kinds_of_bodies_that_are_not_taken(served: Served, kind: str) -> None:
    answer = served.ask("POST", "/search", content=b'{"query": "red"}', headers={"Content-Type": kind})
    assert answer.status_code in (400, 415)
    code(answer)


def test_random_bytes_for_bodies(served: Served) -> None:
    draw = random.Random(0)
    whole = SEARCH + _part("p", snow(1), file=True) + END
    for _ in range(60):
        spoilt = bytearray(whole)
        for _ in range(draw.randint(1, 30)):
            spoilt[draw.randrange(len(spoilt))] = draw.randrange(256)
        cut = draw.randrange(len(spoilt))
        answer = served.ask("POST", "/search", content=bytes(spoilt[: draw.choice((cut, len(spoilt)))]), headers=FORM)
        assert answer.status_code in (200, 400, 413, 415)


# pictures


def _bomb() -> bytes:
    """A PNG of 60,000 x 60,000 in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def _thin() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (1, 6000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "wanted", "status"),
    [
        (_bomb(), "picture/too-long-side", 400), (_thin(), "picture/aspect", 400), (b"", "picture/empty", 400),
        (b"%PDF-1.7", "picture/not-a-picture", 415), (b"\x7fELF", "picture/not-a-picture", 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "picture/not-a-picture", 415),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "picture/not-a-picture", 415), (snow(1)[:-200], "picture/truncated", 400),
        (b"http://169.254.169.254/latest/meta-data", "picture/not-a-picture", 415),
    ],
)  # fmt: skip
def test_pictures_that_are_none_or_too_much(served: Served, content: bytes, wanted: str, status: int) -> None:
    answer = served.search({"p": content}, examples=[{"picture": "p"}])
    assert (answer.status_code, code(answer)) == (status, wanted)
    assert served.upload(content).json()["skipped"][0]["code"] == wanted


def test_a_decoder_that_takes_too_long_is_stopped(shop: Path) -> None:
    file = io.BytesIO()
    Image.effect_noise((5000, 5000), 90).convert("RGB").save(file, "WEBP", quality=20, method=0)
    with Served([shop], decode_seconds=0.05, read_only=True) as hasty:
        answer = hasty.search({"p": file.getvalue()}, examples=[{"picture": "p"}])
        assert (answer.status_code, code(answer)) == (400, "picture/timeout")
        assert hasty.search(query="red").status_code == 200


# places


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/web/../app.py", "/web/..%2fapp.py",
        "/web/%2e%2e%2fapp.py", "/web/..%5capp.py", "/web/....//app.py", "/web/%252e%252e%252fapp.py",
        "/web//etc/passwd", "/web/%00index.html", "/web/index.html%00.js", "/web/.", "/web/", "/web", "/web/..",
        "/web/~root", "/web/C:%5cx.js",
        "/items/..%2f..%2fetc/picture", "/items/1%00/picture", "/items/%2e%2e/picture", "/items/1/picture/..",
        "/items/0x1/picture", "/items/1e0/picture", "/items/-1/picture", "/items/99999999999999999999/picture",
        "/items/٣/picture", "//items/1", "/items//1", "/items/1/", "/\\items/1", "/items/1;a=b", "/%ff%fe",
    ],
)  # fmt: skip
def test_places_that_are_none(served: Served, path: str) -> None:
    status, told = served.run(served.raw(path))
    assert status in (400, 404), f"{path}: {status}"
    assert told["status"] == status


def test_names_of_collections_that_are_none(served: Served) -> None:
    for name in ("../shop", "/etc", "shop.ns", "", "a" * 5000, "\0", "shop%00"):
        answer = served.get("/items", params={"collection": name})
        assert (answer.status_code, code(answer)) == (404, "collection/unknown")


def test_ten_thousand_ranges_are_one_picture(served: Served) -> None:
    whole = served.get("/items/1/picture")
    ranges = "bytes=" + ",".join(f"{i}-{i}" for i in range(10_000))
    for wanted in (ranges, "bytes=0-0", "bytes=-1", "bytes=9-1", "junk"):
        answer = served.get("/items/1/picture", headers={"Range": wanted})
        assert (answer.status_code, answer.content) == (200, whole.content)


def test_names_of_uploads_are_names_only(served: Served, shop: Path) -> None:
    strange = [
        "../../../../tmp/evil.png", "/etc/cron.d/evil", "..\\..\\evil.png", "<script>alert(1)</script>.png",
        ".htaccess", "a\r\nX-Evil: yes.png", "\u202egnp.exe", "CON.png", "nul", "n" * 400 + ".png", "", "..", "...",
        " ", "ä ö ü.png",
    ]  # fmt: skip
    before = {path for path in shop.parent.rglob("*") if "uploads" not in path.parts}
    for number, name in enumerate(strange):
        content = snow(1000 + number)
        head = f'--frontier\r\nContent-Disposition: form-data; name="pictures"; filename="{name}"\r\n\r\n'.encode()
        answer = served.ask("POST", "/items", content=head + content + b"\r\n" + END, headers=FORM)
        if answer.status_code == 400:
            continue  # no form
        for item in answer.json()["items"]:
            told = served.get(f"/items/{item['key']}").json()["name"]
            assert told.isprintable()
            assert told[0] != "."
            assert not set(told) & set('/\\<>:"|?*\0')
            assert served.ask("DELETE", f"/items/{item['key']}").status_code == 204
    after = {path for path in shop.parent.rglob("*") if "uploads" not in path.parts}
    assert {path.name for path in after - before} <= {"LOCK", "LOCK.pid", "thumbnails", "thumbnails.sqlite"}
    assert not [path for path in (shop / "uploads").rglob("*") if path.is_file()]


def test_script_in_labels_stays_text(served: Served) -> None:
    evil = "<img src=x onerror=alert(1)>"
    assert served.ask("PATCH", "/items/1", json={"label": evil, "captions": [evil]}).status_code == 200
    answer = served.get("/items/1")
    assert answer.json()["label"] == evil
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    served.ask("PATCH", "/items/1", json={"label": "blue", "captions": ["something blue"]})


# who asks


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example:8000", "127.0.0.1.nip.io", "169.254.169.254", "", "[::2]",
     "localhost:8000@evil.example", "localhost evil.example", "localhost:80:80", "localhost,evil.example"],
)  # fmt: skip
def test_a_foreign_host_is_refused(served: Served, host: str) -> None:
    answer = served.get("/collections", headers={"Host": host})
    assert (answer.status_code, code(answer)) == (403, "request/host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[::1]", "localhost."])
def test_its_own_names_are_known(served: Served, host: str) -> None:
    assert served.get("/health", headers={"Host": host}).status_code == 200


def test_names_in_host_headers() -> None:
    assert [name_of(host) for host in ("A.b:80", "[::1]:80", "[::1]", "a:", "a:b", "[::1]x", "a:80:80")] == [
        "a.b", "::1", "::1", "a", "", "", "",
    ]  # fmt: skip


def test_a_host_that_is_there_twice(served: Served) -> None:
    headers = [(b"host", b"localhost"), (b"host", b"evil.example")]
    answer = served.get("/health", headers=headers)
    assert (answer.status_code, code(answer)) == (400, "request/headers")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:3000", "https://localhost:8000.evil.example", "file://", "",
     "http://localhost:8000@evil.example", "chrome-extension://abc", "http://\xff",
     "http://[", "http://localhost:8000/", "http://localhost", "//localhost:8000"],
)  # fmt: skip
def test_pages_of_other_origins_are_refused(served: Served, origin: str) -> None:
    headers = {b"Origin": origin.encode("latin-1")}
    for method, path in (("POST", "/search"), ("POST", "/items"), ("DELETE", "/items/1"), ("GET", "/items")):
        answer = served.ask(method, path, headers=headers)
        assert (answer.status_code, code(answer)) == (403, "request/origin")
        assert "access-control-allow-origin" not in answer.headers


def test_its_own_page_and_programs_may_ask(served: Served) -> None:
    for headers in ({"Origin": "http://localhost:8000"}, {"Sec-Fetch-Site": "same-origin"}, {}):
        assert served.ask("POST", "/search", json={"query": "red"}, headers=headers).status_code == 200
    answer = served.ask("POST", "/search", json={"query": "red"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, code(answer)) == (403, "request/origin")
    assert served.ask("OPTIONS", "/search", headers={"Origin": "http://localhost:8000"}).status_code == 405


def test_a_name_that_was_allowed(shop: Path) -> None:
    with Served([shop], allow_hosts=("Shop.example",), read_only=True) as other:
        for headers in ({"Host": "shop.example"}, {"Host": "shop.example", "Origin": "https://shop.example"}):
            assert other.ask("POST", "/search", json={"query": "red"}, headers=headers).status_code == 200
        assert other.get("/items", headers={"Host": "evil.example"}).status_code == 403


# crowds


def test_a_thousand_searches_at_once(shop: Path) -> None:
    with Served([shop], searches=4, waiting=8, read_only=True) as small:

        async def all_at_once() -> list[int]:
            asked = [small.asked("POST", "/search", json={"query": "red", "k": 3}) for _ in range(1000)]
            answers = await asyncio.gather(*asked)
            for answer in answers:
                if answer.status_code == 503:
                    assert code(answer) == "server/busy"
                    assert answer.headers["retry-after"] == "1"
                else:
                    assert len(answer.json()["hits"]) == 3
            return [answer.status_code for answer in answers]

        statuses = small.run(all_at_once(), 120)
        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= 12
        assert small.search(query="red").status_code == 200
        assert small.get("/items/1/thumbnail").status_code == 200


def test_a_full_desk_refuses_before_it_reads(shop: Path) -> None:
    with Served([shop], searches=1, waiting=0, read_only=True) as small:

        async def meanwhile() -> None:
            held = asyncio.Event()
            desk = small.house.searches
            loop = asyncio.get_running_loop()

            def hold() -> None:
                asyncio.run_coroutine_threadsafe(held.wait(), loop).result(30)

            holding = asyncio.create_task(desk.do(hold))
            while not desk.inside:
                await asyncio.sleep(0.01)
            read = []

            async def body() -> AsyncIterator[bytes]:
                read.append(1)
                yield b"{}"

            answer = await small.asked("POST", "/search", content=body(), headers=JSON)
            assert (answer.status_code, code(answer)) == (503, "server/busy")
            assert not read
            assert (await small.asked("GET", "/items/1")).status_code == 200
            held.set()
            await holding

        small.run(meanwhile())
        assert small.search(query="red").status_code == 200


def test_who_goes_away_leaves_its_place(served: Served) -> None:
    async def leave() -> None:
        asking = [asyncio.create_task(served.asked("POST", "/search", json={"query": "red"})) for _ in range(20)]
        await asyncio.sleep(0.005)
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    served.run(leave())


def test_a_body_that_breaks_off(served: Served) -> None:
    messages = [{"type": "http.request", "body": b'{"que', "more_body": True}, {"type": "http.disconnect"}]
    headers = [(b"content-type", b"application/json")]
    status, told = served.run(served.raw("/search", method="POST", headers=headers, body=messages))
    assert (status, told["code"]) == (400, "request/broken-off")


def test_what_errors_say_of_the_server() -> None:
    told = json.loads(problems.of(Locked("another process (pid 4) is writing to /srv/secret")).body)
    assert (told["status"], told["code"]) == (409, "store/locked")
    assert "/srv" not in json.dumps(told)
    assert "pid" not in json.dumps(told)
