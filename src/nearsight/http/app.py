"""The application: collections, routes, and how errors look."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import nearsight
from nearsight.core.errors import NearsightError
from nearsight.http import bodies, problems, schemas
from nearsight.http.guard import Guard
from nearsight.http.house import House
from nearsight.http.metrics import Metrics
from nearsight.http.routes import collections, duplicates, feedback, items, pictures, progress, search, system, uploads
from nearsight.http.settings import Settings

_REST_SECONDS = 0.5
_NOBODY = 499
"""Counted as the status where whoever asked was gone before there was an answer."""
_DESCRIPTION = """Find pictures by looking: by pictures, by words, by both, with plus and minus.

Every error is `application/problem+json` with a stable `code` and, in `hint`, what to do about it. Pictures are
addressed by the key of their item; the server opens no URLs and takes or gives no paths. Where it has a token, programs
send `Authorization: Bearer TOKEN`. 503 with `Retry-After` means that as much is being done as can be: try again."""
_TAKEN_BODIES = (
    schemas.SearchRequest,
    schemas.QueryRequest,
    schemas.LabelRequest,
    schemas.ItemChange,
    schemas.Session,
    schemas.Problem,
)


def create_app(folders: Sequence[Path], settings: Settings | None = None) -> Guard:
    """An ASGI application that serves these collections, behind its guard. Its lifespan lets go of everything;
    without one, close its `house`.

    Raises InputError (no collection given), NotACollection, FormatError, Damaged.
    """
    settings = settings or Settings()
    house = House(folders, settings)
    app = _Api(
        title="nearsight",
        version=nearsight.__version__,
        summary="Image retrieval that you train on your own pictures.",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=_living,
        redirect_slashes=False,
    )
    app.state.house = house
    for module in (search, feedback, collections, items, uploads, pictures, duplicates, progress):
        app.include_router(module.router)
    app.include_router(system.router)
    app.include_router(system.page)
    app.add_exception_handler(NearsightError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unforeseen)
    return Guard(_Counted(app, house.metrics), app, house)


class _Api(FastAPI):
    """With an OpenAPI document that says what really comes: problems, never FastAPI's own shape of an error."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            told = get_openapi(
                title=self.title,
                version=self.version,
                summary=self.summary,
                description=self.description,
                routes=self.routes,
            )
            parts = told["components"]["schemas"]
            for model in _TAKEN_BODIES:
                made = model.model_json_schema(ref_template="#/components/schemas/{model}")
                parts |= made.pop("$defs", {}) | {model.__name__: made}
            for name in ("HTTPValidationError", "ValidationError"):
                parts.pop(name, None)
            for path in told["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
                    operation["responses"]["default"] = _PROBLEM
            told["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            told["security"] = [{}, {"token": []}]
            self.openapi_schema = told
        return self.openapi_schema


_PROBLEM = {
    "description": "An error, with its code and its repair.",
    "content": {problems.MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


@contextlib.asynccontextmanager
async def _living(app: FastAPI) -> AsyncIterator[None]:
    """Collections load beside the first requests; writers are given back; at the end everything is let go of."""
    house: House = app.state.house
    loop = asyncio.get_running_loop()
    warming = [loop.run_in_executor(None, room.warm) for room in house.rooms.values()]
    resting = asyncio.create_task(_rest(house))
    try:
        yield
    finally:
        resting.cancel()
        await asyncio.gather(*warming, return_exceptions=True)
        house.close()


async def _rest(house: House) -> None:
    while True:
        await asyncio.sleep(_REST_SECONDS)
        for room in house.rooms.values():
            await asyncio.to_thread(room.rest)


class _Counted:
    """Counts every answer under its route, whose names are few."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), _NOBODY

        async def sends(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sends)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(scope["method"] if route != "other" else "other", route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)


# errors


async def _ours(request: Request, error: Exception) -> Response:
    return problems.of(cast(NearsightError, error))


async def _invalid(request: Request, error: Exception) -> Response:
    return problems.of(bodies.invalid(cast(RequestValidationError, error).errors()))


async def _http(request: Request, error: Exception) -> Response:
    """Routes that are not there, and methods that they do not have."""
    found = cast(HTTPException, error)
    codes = {404: "request/unknown", 405: "request/method"}
    return problems.problem(
        found.status_code, codes.get(found.status_code, "request"), str(found.detail), headers=found.headers
    )


async def _gone(request: Request, error: Exception) -> Response:
    return problems.problem(400, "request/broken-off", "the request broke off")


async def _unforeseen(request: Request, error: Exception) -> Response:
    return problems.problem(
        500, "server/fault", "this is a fault in nearsight", "please report it with what the server wrote"
    )
