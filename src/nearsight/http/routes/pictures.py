"""Pictures out: small ones made here, and whole ones as browsers show them."""

from __future__ import annotations

import io
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from nearsight.data.images import picture_hash
from nearsight.data.images.identify import HEAD, identify
from nearsight.http.house import House
from nearsight.http.room import Room
from nearsight.http.routes.items import ItemKey, Name

router = APIRouter(prefix="/items", tags=["pictures"])
_SHOWN = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp", "AVIF": "image/avif"}
"""What browsers show as it is."""
_CACHE = "private, max-age=300"
_IMAGES = {200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}}


@router.get("/{key}/thumbnail", response_class=Response, responses=_IMAGES)  # type: ignore[arg-type]
async def thumbnail(
    request: Request,
    key: ItemKey,
    collection: Name = None,
    side: Annotated[
        int, Query(ge=64, le=512, description="Pixels: the longer side is the next of 128, 320, 512, or less.")
    ] = 320,
) -> Response:
    """A small JPEG of an item's picture, without any metadata."""
    house: House = request.app.state.house
    room = house.room(collection)
    return await house.others.do(_thumbnail, room, key, side, request.headers.get("if-none-match", ""))


@router.get(
    "/{key}/picture",
    response_class=Response,
    responses={
        200: {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _SHOWN.values()}}
    },
)
async def picture(request: Request, key: ItemKey, collection: Name = None) -> Response:
    """An item's picture at its full size: the file itself where browsers show its kind, else a JPEG of it."""
    house: House = request.app.state.house
    room = house.room(collection)
    return await house.others.do(_picture, room, key, request.headers.get("if-none-match", ""))


def _thumbnail(room: Room, key: int, side: int, known: str) -> Response:
    made, sha256 = room.thumbnail(key, side)
    return _image(made.jpeg, "image/jpeg", f"{sha256.hex()[:32]}-{side}", known)


def _picture(room: Room, key: int, known: str) -> Response:
    content = room.content(key)
    tag = picture_hash(content).hex()[:32]
    kind = _SHOWN.get(identify(content[:HEAD]) or "")
    if kind is None:
        file = io.BytesIO()
        room.eyes.decode(content, 0).save(file, "JPEG", quality=92)
        content, kind = file.getvalue(), "image/jpeg"
    return _image(content, kind, tag, known)


def _image(content: bytes, kind: str, tag: str, known: str) -> Response:
    headers = {"ETag": f'"{tag}"', "Cache-Control": _CACHE}
    if f'"{tag}"' in known:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)
