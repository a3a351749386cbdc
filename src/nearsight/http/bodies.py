"""What comes in: JSON and forms, read strictly and within bounds. No address in it is ever opened."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from nearsight.http.forms import Form, read_form
from nearsight.http.problems import Refusal
from nearsight.http.settings import Settings

M = TypeVar("M", bound=BaseModel)


async def read_json(request: Request, model: type[M]) -> M:
    """The request's body as `model`. Raises Refusal (400, 408, 413, 415)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise unsupported("application/json")
    return checked(model, loads(await request.body()))


async def form(request: Request, settings: Settings) -> Form:
    """The request's body as a form. Raises Refusal (400, 408, 413, 415)."""
    kind = request.headers.get("content-type", "")
    if not is_form(request):
        raise unsupported("multipart/form-data")
    return await read_form(kind, request.stream(), settings)


def is_form(request: Request) -> bool:
    """Whether the body says that it is multipart/form-data."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


def loads(body: bytes | str) -> Any:
    """JSON, strictly: no NaN, no infinity, not deeper than Python goes. Raises Refusal (400)."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except RecursionError as error:
        raise Refusal(400, "the JSON is nested too deeply", code="request/json") from error
    except ValueError as error:  # also: not UTF-8, a number of ten thousand digits
        raise Refusal(400, f"this is not JSON: {str(error)[:200]}", code="request/json") from error


def checked(model: type[M], given: Any) -> M:
    """`given` as a `model`. Raises Refusal (400) that says which part is wrong."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_context=False, include_input=False)) from error
    except RecursionError as error:
        raise Refusal(400, "the JSON is nested too deeply", code="request/json") from error


def invalid(errors: Any) -> Refusal:
    """The answer for what pydantic found wrong."""
    first = errors[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    told = str(first["msg"]).removeprefix("Value error, ")
    return Refusal(400, f"{place}: {told}{more}" if place else told, code="request/invalid")


def unsupported(wanted: str) -> Refusal:
    """The answer for a body of another kind."""
    return Refusal(415, f"the body must be {wanted}", code="request/media-type", hint=f"Content-Type: {wanted}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number here")
