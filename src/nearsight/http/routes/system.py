"""The server itself: whether it runs, what it counts, who may ask, and the page."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

import nearsight
from nearsight.http import answers, bodies
from nearsight.http.guard import COOKIE, session_of
from nearsight.http.house import House
from nearsight.http.problems import Refusal
from nearsight.http.routes.search import body_of
from nearsight.http.schemas import Health, Ready, Session

router = APIRouter(tags=["server"])
page = APIRouter(include_in_schema=False)
WEB = Path(__file__).parent.parent / "web"
_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9]+)+")
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


@router.get("/health", response_model=Health)
async def health() -> Response:
    """Whether the server runs. Needs no token."""
    return answers.answer({"status": "ok", "version": nearsight.__version__})


@router.get("/ready", response_model=Ready, responses={503: {"model": Ready}})
async def ready(request: Request) -> Response:
    """Whether searches are answered: 503 while collections load."""
    house: House = request.app.state.house
    states = {name: room.state for name, room in house.rooms.items()}
    good = all(state == "ready" for state in states.values())
    return answers.answer({"ready": good, "collections": states}, 200 if good else 503)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Counters and histograms for Prometheus."""
    house: House = request.app.state.house
    text = await house.others.do(house.metrics.text)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.post("/session", status_code=204, openapi_extra=body_of("Session"))
async def session(request: Request) -> Response:
    """Trade the token for a cookie that pages of this server send by themselves. Programs need none."""
    token = request.app.state.house.settings.token
    given = await bodies.read_json(request, Session)
    if token is not None and not hmac.compare_digest(given.token.encode("utf-8", "replace"), token.encode()):
        raise Refusal(401, "that is not this server's token", code="request/token")
    done = Response(status_code=204)
    if token is not None:
        secure = request.url.scheme == "https"
        done.set_cookie(COOKIE, session_of(token), httponly=True, samesite="strict", secure=secure, path="/")
    return done


@page.get("/")
async def index(request: Request) -> Response:
    """The page."""
    return _file("index.html", request)


@page.get("/web/{name}")
async def web(request: Request, name: str) -> Response:
    """One of the page's own files; the folder has no others, and none below it."""
    return _file(name, request)


def _file(name: str, request: Request) -> Response:
    path = WEB / name
    if not _PLAIN.fullmatch(name) or path.suffix not in _KINDS or not path.is_file():
        raise Refusal(404, "there is no such page", code="request/unknown")
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_KINDS[path.suffix], headers=headers)
