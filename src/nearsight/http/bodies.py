"""What comes in: JSON and multipart/form-data, read strictly and within bounds. No address in it is ever opened."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from nearsight.http.problems import Refusal
from nearsight.http.settings import Settings

M = TypeVar("M", bound=BaseModel)
_FIELDS = 64


@dataclass(frozen=True, slots=True)
class Picture:
    """One uploaded picture: the field it came in, what its sender calls it, its bytes."""

    field: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """The texts and the pictures of a request."""

    texts: dict[str, str] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()


async def read_json(request: Request, model: type[M]) -> M:
    """The request's body as `model`. Raises Refusal (400, 408, 413, 415)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise unsupported("application/json")
    return checked(model, loads(await request.body()))


async def read_form(request: Request, settings: Settings) -> Body:
    """The fields of a form. Raises Refusal (400, 408, 413)."""
    texts: dict[str, str] = {}
    pictures: list[Picture] = []
    try:
        form = request.form(max_files=settings.files, max_fields=_FIELDS, max_part_size=settings.json_bytes)
        async with form as fields:
            for name, value in fields.multi_items():
                if isinstance(value, UploadFile):
                    if value.filename or value.size:  # what browsers send of an empty field is neither
                        pictures.append(Picture(name, value.filename or "", await value.read()))
                elif name in texts:
                    raise Refusal(400, f"the field {name!r} is there twice", code="request/form")
                else:
                    texts[name] = value
    except (MultiPartException, HTTPException) as error:
        told = error.detail if isinstance(error, HTTPException) else error.message
        raise Refusal(400, f"the form cannot be read: {told}", code="request/form") from error
    return Body(texts, tuple(pictures))


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
