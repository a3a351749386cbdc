"""A served collection for tests: small enough to know what every answer must be, asked without a socket."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import httpx
import numpy as np
from PIL import Image

from fake_words import WORDS, noise, two_towers
from nearsight.core.items import Item
from nearsight.http.app import create_app
from nearsight.http.settings import Settings
from nearsight.search.collection import Collection
from nearsight.search.sync import Annotation

TOKEN = "a-token-of-twenty-letters"
EACH = 4
"""Pictures of each colour: keys 1 to 4 are blue, 5 to 8 green, 9 to 12 red; each differs a little from the others."""


def shop(folder: Path) -> Path:
    """A collection of twelve pictures in three colours, with labels, captions, fields and words."""
    pictures = folder / "pictures"
    for colour in WORDS:
        (pictures / colour).mkdir(parents=True)
        for number in range(EACH):
            noise(WORDS[colour], number).save(pictures / colour / f"{colour} {number}.png")

    def annotate(path: Path) -> Annotation:
        number = int(path.stem.split()[-1])
        about = {"year": 2020 + number, "shop": "old town" if number % 2 else "harbour", "sold": number == 0}
        return Annotation(path.parent.name, (f"something {path.parent.name}",), about)

    with Collection.create(folder / "shop.ns", two_towers()) as collection:
        list(collection.sync(pictures, annotate=annotate))
    return folder / "shop.ns"


def png(colour: str | tuple[int, int, int] = "red", seed: int = 99, **how: Any) -> bytes:
    """A picture of one colour that is in no collection."""
    file = BytesIO()
    noise(WORDS[colour] if isinstance(colour, str) else colour, seed).save(file, how.pop("format", "PNG"), **how)
    return file.getvalue()


def snow(seed: int) -> bytes:
    """A picture of nothing, of its own for each number."""
    file = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def until(done: Callable[[], object], otherwise: str) -> None:
    """Wait for it, up to a minute."""
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)


class Served:
    """An application with its lifespan, in a loop of its own thread, asked as if from the same machine."""

    def __init__(self, folders: Sequence[Path], **settings: Any) -> None:
        self.app = create_app(folders, Settings(**settings))
        self.house = self.app.house
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Any], seconds: float = 60) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        return self.run(self.asked(method, path, **how))

    async def asked(self, method: str, path: str, **how: Any) -> httpx.Response:
        host = how.pop("host", "http://localhost:8000")
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=host) as client:
            return await client.request(method, path, **how)

    async def raw(
        self, path: str, *, method: str = "GET", headers: Sequence[tuple[bytes, bytes]] = (), body: Sequence[Any] = ()
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer to a request that no client would tidy up first."""
        messages = [*body] or [{"type": "http.request", "body": b""}]
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(
            {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.1",
                "method": method,
                "scheme": "http",
                "path": unquote(path),
                "raw_path": path.encode(),
                "root_path": "",
                "query_string": b"",
                "headers": [(b"host", b"localhost"), *headers],
                "client": ("127.0.0.1", 1),
                "server": ("127.0.0.1", 8000),
                "state": {},
            },
            receive,
            send,
        )
        return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))

    def get(self, path: str, **how: Any) -> httpx.Response:
        return self.ask("GET", path, **how)

    def search(self, pictures: dict[str, bytes] | None = None, **what: Any) -> httpx.Response:
        if pictures is None:
            return self.ask("POST", "/search", json=what)
        files = {name: (f"{name}.png", content) for name, content in pictures.items()}
        return self.ask("POST", "/search", data={"request": json.dumps(what)}, files=files)

    def keys(self, pictures: dict[str, bytes] | None = None, **what: Any) -> list[int]:
        answer = self.search(pictures, **what)
        assert answer.status_code == 200, answer.text
        return [hit["key"] for hit in answer.json()["hits"]]

    def upload(self, *contents: bytes, names: Sequence[str] = (), **fields: str) -> httpx.Response:
        files = [
            ("pictures", (names[i] if names else f"{i}.png", content, "image/png"))
            for i, content in enumerate(contents)
        ]
        return self.ask("POST", "/items", files=files, data=fields)

    async def _start(self) -> None:
        started = asyncio.Event()
        incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._incoming = incoming

        async def send(message: Any) -> None:
            started.set()

        await incoming.put({"type": "lifespan.startup"})
        self._running = asyncio.ensure_future(self.app({"type": "lifespan"}, incoming.get, send))
        await started.wait()
        while any(room.state == "not loaded yet" for room in self.house.rooms.values()):
            await asyncio.sleep(0.01)

    async def _end(self) -> None:
        await self._incoming.put({"type": "lifespan.shutdown"})
        if self._running is not None:
            await self._running


def code(answer: httpx.Response) -> str:
    """Of a problem, after a look at its form."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert {"type", "title", "status", "code", "detail", "hint"} <= told.keys()
    assert told["status"] == answer.status_code
    return str(told["code"])


def names(items: Sequence[Item]) -> list[str]:
    return [item.path.name for item in items]
