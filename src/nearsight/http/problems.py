"""Errors as ``application/problem+json`` (RFC 9457), with the code and the repair, and without the server's paths."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from nearsight.core.errors import (
    Damaged,
    EncoderError,
    GrammarError,
    InputError,
    Locked,
    MissingExtra,
    NearsightError,
    PictureError,
    ReadOnly,
    StoreError,
    WriteFailed,
)
from nearsight.data.images import REASONS

MEDIA = "application/problem+json"
_PICTURES = {"too-many-bytes": 413, "not-a-picture": 415, "format": 415, "needs-heif": 415}
_CODES = {
    "item/unknown": 404,
    "item/no-picture": 404,
    "collection/unknown": 404,
    "encoder/no-text": 400,
    "encoder/none": 400,
    "text/empty": 400,
}
_KINDS: tuple[tuple[type[NearsightError], int], ...] = (
    (Locked, 409),
    (ReadOnly, 403),
    (WriteFailed, 507),
    (Damaged, 500),
    (MissingExtra, 501),
    (InputError, 400),
)
_UNTOLD = {
    409: "another process is writing to this collection",
    403: "this collection is open for reading only",
    507: "the disk is full or failing; nothing that was acknowledged is lost",
    500: "the collection is damaged, and is not answered from",
}


class Refusal(NearsightError):
    """A request that is answered with a status of its own: ``headers`` go with it."""

    default_code = "request"

    def __init__(
        self, status: int, message: str, *, code: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.status = status
        self.headers = dict(headers or {})


def problem(
    status: int, code: str, detail: str, hint: str = "", headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """The answer for an error."""
    body = {"type": "about:blank", "title": _title(status), "status": status, "code": code, "detail": detail}
    return Response(
        json.dumps({**body, "hint": hint, **more}),
        status,
        media_type=MEDIA,
        headers=None if headers is None else {**headers},
    )


def of(error: NearsightError) -> Response:
    """The answer for one of our errors. What it says of files and folders of the server stays here."""
    if isinstance(error, Refusal):
        return problem(error.status, error.code, error.message, error.hint, error.headers)
    status = status_of(error)
    place: dict[str, Any] = {"start": error.start, "end": error.end} if isinstance(error, GrammarError) else {}
    detail = told(error)
    untold = isinstance(error, (StoreError, EncoderError)) and detail != error.message
    return problem(status, error.code, detail, error.default_hint if untold else error.hint, **place)


def status_of(error: NearsightError) -> int:
    """The HTTP status that says best what an error means."""
    if isinstance(error, PictureError):
        return _PICTURES.get(error.reason, 400)
    if error.code in _CODES:
        return _CODES[error.code]
    return next((status for kind, status in _KINDS if isinstance(error, kind)), 500)


def told(error: NearsightError) -> str:
    """The message, without paths: of pictures what stands behind the path, of the store and its encoder a sentence."""
    if isinstance(error, PictureError):
        reason = REASONS.get(error.reason, "the picture cannot be used")
        return error.message[max(0, error.message.find(reason)) :] if reason in error.message else reason
    if isinstance(error, (InputError, MissingExtra)) or error.code in ("text/empty", "encoder/no-text"):
        return error.message
    if isinstance(error, EncoderError):
        return "this collection's encoder cannot do that"
    return _UNTOLD.get(status_of(error), "the collection cannot be used")


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
