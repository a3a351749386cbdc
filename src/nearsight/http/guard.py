"""What stands before the application: who asks, from where, how much, how fast. The cheapest refusals come first, and
none of them reads a body.

Pure ASGI. Every answer leaves with the headers that keep browsers from doing more with it than was meant.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nearsight.http import problems
from nearsight.http.desks import busy
from nearsight.http.house import House
from nearsight.http.problems import Refusal

COOKIE: Final = "nearsight_session"
OPEN: Final = ("/", "/session", "/health")
"""What needs no token; beside it the page's own files."""
WEB: Final = "/web/"
_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DATA = "default-src 'none'; sandbox; frame-ancestors 'none'"
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_LONGEST_PATH, _LONGEST_QUERY = 1024, 64 << 10
_SMALL = 64 << 10
"""Bytes of a body that is sooner thrown away than its connection."""


class Guard:
    """The application with a guard before it."""

    def __init__(self, app: ASGIApp, api: FastAPI, house: House) -> None:
        """`app`: what a request goes to; `api`: the one that describes itself, within it."""
        self._app = app
        self.api = api
        self.house = house
        self.settings = house.settings
        self.draining = False
        """True from SIGTERM on: what runs goes on to its end, what comes is refused."""
        self.held = 0
        """Bytes of bodies in memory."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no websockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        sends = self._sender(scope, send)
        headers: dict[bytes, bytes] = {}
        try:
            for name, value in scope["headers"]:
                if name in (b"host", b"content-length", b"authorization", b"origin") and name in headers:
                    raise Refusal(400, f"the header {name.decode()} is there twice", code="request/headers")
                headers[name] = value
            limit = self._look(scope, headers)
        except Refusal as refusal:
            self.house.metrics.refused.labels(refusal.code).inc()
            if not _is_small(headers):
                refusal.headers["Connection"] = "close"  # else the body would have to be read to its end
            await problems.of(refusal)(scope, receive, sends)
            return
        body = _Body(receive, limit, self)
        try:
            await self._app(scope, body, sends)
        finally:
            self.held -= body.got

    def _look(self, scope: Scope, headers: dict[bytes, bytes]) -> int:
        """How many bytes the body may have. Raises Refusal."""
        settings, path, method = self.settings, scope["path"], scope["method"]
        if self.draining:
            raise Refusal(503, "the server is going down", code="server/draining", headers={"Retry-After": "5"})
        if len(path) > _LONGEST_PATH or len(scope["query_string"]) > _LONGEST_QUERY:
            raise Refusal(414, "the address is too long", code="request/address")
        host = headers.get(b"host", b"").decode("latin-1")
        if not settings.knows(name_of(host)):
            raise Refusal(
                403,
                "this server is not called that",
                code="request/host",
                hint="call it by the name it was started with, or start it with --allow-host NAME",
            )
        origin = headers.get(b"origin")
        if origin is not None and not self._ours(origin.decode("latin-1"), host):
            raise Refusal(403, "pages of other hosts may not ask this server", code="request/origin")
        if origin is None and headers.get(b"sec-fetch-site") == b"cross-site" and method not in ("GET", "HEAD"):
            raise Refusal(403, "pages of other hosts may not ask this server", code="request/origin")
        if settings.token is not None and path not in OPEN and not path.startswith(WEB):
            require_token(settings.token, headers)
        limit = settings.upload_bytes if _is_form(headers) else settings.json_bytes
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > limit:
            raise too_large(limit)
        if self.house.desk_of(method, path).full:
            raise busy()
        return limit

    def _ours(self, origin: str, host: str) -> bool:
        """A page of this very server, or of a name that was allowed."""
        try:
            place = urlsplit(origin)
        except ValueError:
            return False
        if place.scheme not in ("http", "https") or origin != f"{place.scheme}://{place.netloc}":
            return False
        same = place.netloc.lower() == host.lower()
        return same or name_of(place.netloc) in {name.lower() for name in self.settings.allow_hosts}

    def _sender(self, scope: Scope, send: Send) -> Send:
        path = scope["path"]
        policy = (_PAGE if path == "/" or path.startswith(WEB) else _DATA).encode()

        async def sends(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()), *_ALWAYS, (b"content-security-policy", policy)
                ]  # fmt: skip
            await send(message)

        return sends


class _Body:
    """`receive` with an end: of bytes, whatever Content-Length said, of time, and of memory for all bodies together."""

    def __init__(self, receive: Receive, limit: int, guard: Guard) -> None:
        self._receive = receive
        self._limit = limit
        self._guard = guard
        self._begun = time.monotonic()
        self.got = 0
        self._whole = False

    async def __call__(self) -> Message:
        if self._whole:  # what comes now is that the client has gone, whenever it does
            return await self._receive()
        settings = self._guard.settings
        end = self._begun + settings.body_seconds + self.got / settings.body_rate
        try:
            async with asyncio.timeout(max(0.0, end - time.monotonic())):
                message = await self._receive()
        except TimeoutError as error:
            raise Refusal(
                408, "the request came too slowly", code="request/slow", headers={"Connection": "close"}
            ) from error
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self.got += size
            self._guard.held += size
            self._whole = not message.get("more_body", False)
            if self.got > self._limit:
                raise too_large(self._limit)
            if self._guard.held > settings.body_memory:
                raise busy()
        return message


def too_large(limit: int) -> Refusal:
    """The answer for a body beyond the limit."""
    return Refusal(
        413,
        f"the request is too large; at most {limit:,} bytes",
        code="request/too-large",
        hint="send fewer or smaller pictures",
        headers={"Connection": "close"},
    )


def name_of(host: str) -> str:
    """The name in a Host header or an origin, without port and brackets; an empty text where it is none."""
    name, bracket, rest = host.rpartition("]")
    if bracket:
        port, name = rest, name.removeprefix("[")
    else:
        name, _, port = host.partition(":")
        port = port and f":{port}"
    return name.lower().rstrip(".") if not port or (port[0] == ":" and port[1:].isdigit()) else ""


def require_token(token: str, headers: dict[bytes, bytes]) -> None:
    """Raises Refusal (401) where neither the header nor the cookie has it."""
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token.encode()):
        return
    cookie = cookie_parser(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE, "")
    if hmac.compare_digest(cookie.encode(), session_of(token).encode()):
        return
    raise Refusal(
        401,
        "this server asks for its token",
        code="request/token",
        hint="send Authorization: Bearer TOKEN, or open the page and type it there",
        headers={"WWW-Authenticate": 'Bearer realm="nearsight"'},
    )


def session_of(token: str) -> str:
    """What the cookie holds: it shows that its bearer knew the token, and does not tell it."""
    return hmac.new(token.encode(), b"nearsight session", hashlib.sha256).hexdigest()


def _is_small(headers: dict[bytes, bytes]) -> bool:
    length = headers.get(b"content-length", b"0")
    return b"transfer-encoding" not in headers and length.isdigit() and int(length[:20]) <= _SMALL


def _is_form(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
