"""Pictures in: kept in the collection's own folder, indexed at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nearsight.core.errors import InputError, PictureError, ReadOnly
from nearsight.http import answers, bodies, problems
from nearsight.http.forms import Picture
from nearsight.http.house import House
from nearsight.http.problems import Refusal
from nearsight.http.room import Reading, Room
from nearsight.http.routes.items import Name
from nearsight.http.schemas import ItemChange, UploadAnswer
from nearsight.search.collection import Collection
from nearsight.search.uploads import Upload, keep

router = APIRouter(prefix="/items", tags=["items"])
_FORM = {
    "type": "object",
    "required": ["pictures"],
    "properties": {
        "pictures": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "label": {"type": "string", "description": "Of all of them."},
        "captions": {"type": "string", "description": "Of all of them: a JSON list of texts."},
        "fields": {"type": "string", "description": "Of all of them: a JSON object of values."},
    },
    "additionalProperties": False,
}
_BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}


@router.post("", status_code=201, response_model=UploadAnswer, openapi_extra=_BODY)
async def add_items(request: Request, collection: Name = None) -> Response:
    """Add pictures. What comes back is found by the next search.

    A picture whose content is in the collection already is `known`, and its key is that of the item there is. What
    cannot be used is named in `skipped`; the others are added all the same. 200 where nothing was added.
    """
    house: House = request.app.state.house
    room = house.room(collection)
    if not room.writable:
        raise ReadOnly("this server changes nothing")
    body = await bodies.form(request, house.settings)
    given: dict[str, Any] = {name: text if name == "label" else bodies.loads(text) for name, text in body.texts.items()}
    about = bodies.checked(ItemChange, given)
    if not body.pictures or {picture.field for picture in body.pictures} != {"pictures"}:
        raise Refusal(400, "the form has one or several pictures, all in the field 'pictures'", code="request/form")
    return await house.others.do(_add, room, body.pictures, about)


def _add(room: Room, pictures: Sequence[Picture], about: ItemChange) -> Response:
    while True:
        now = room.now
        skipped: list[dict[str, str]] = []
        uploads: dict[bytes, Upload] = {}
        for picture in pictures:
            try:
                if not now.reader.twins(picture.content):
                    uploads[picture.content] = _encoded(now, picture, about)
            except (PictureError, InputError) as error:
                told = problems.told(error)
                skipped.append({"name": picture.name, "code": error.code, "detail": told, "hint": error.hint})
        with room.writing() as collection:
            if collection.fingerprint == now.reader.fingerprint:
                return _keep(collection, pictures, uploads, skipped)
        # else another encoder came to answer while these were encoded


def _keep(
    collection: Collection,
    pictures: Sequence[Picture],
    uploads: Mapping[bytes, Upload],
    skipped: Sequence[Mapping[str, str]],
) -> Response:
    items: list[dict[str, Any]] = []
    fresh = [upload for content, upload in uploads.items() if not collection.twins(content)]
    if fresh:
        keep(collection, fresh)
    added = {upload.content for upload in fresh}
    for picture in pictures:
        known = collection.twins(picture.content)
        if known:
            status = "added" if picture.content in added else "known"
            added.discard(picture.content)
            items.append({"key": known[0], "name": picture.name, "status": status})
    generation = collection.store.snapshot().generation
    body = {"items": items, "skipped": list(skipped), "generation": generation}
    return answers.answer(body, 201 if fresh else 200)


def _encoded(now: Reading, picture: Picture, about: ItemChange) -> Upload:
    """Raises PictureError, InputError for a picture that has no vector."""
    decoded = now.eyes.decode(picture.content, now.reader.encoder.tower.side)
    vector = now.eyes.picture(decoded)
    return Upload(picture.content, vector, picture.name, about.label, tuple(about.captions), about.fields)
