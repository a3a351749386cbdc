"""Items: list, look at, change, forget."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from nearsight.http import answers, asking, bodies
from nearsight.http.house import House
from nearsight.http.room import Room
from nearsight.http.routes.search import body_of
from nearsight.http.schemas import ChangedItem, ItemAnswer, ItemChange, ItemsAnswer
from nearsight.search.listing import at_once, page
from nearsight.search.uploads import forget

router = APIRouter(prefix="/items", tags=["items"])
ItemKey = Annotated[int, Path(ge=0, lt=1 << 63, description="An item's key.")]
Name = Annotated[str | None, Query(alias="collection", description="A collection's name; the first one if left out.")]


@router.get("", response_model=ItemsAnswer)
async def list_items(
    request: Request,
    collection: Name = None,
    where: Annotated[
        str | None, Query(description="A filter, written (`label = coast`) or as JSON.", examples=["label = coast"])
    ] = None,
    offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    order: Annotated[str, Query(pattern="^(key|-key|label)$", description="key, -key (newest first), label.")] = "key",
) -> Response:
    """Items that meet a filter, page by page."""
    house: House = request.app.state.house
    room = house.room(collection)

    def work() -> Response:
        found = page(room.shelf.store, asking.filter_of(where), offset=offset, limit=limit, order=order)
        told = answers.items(room, found.items)
        return answers.answer({"items": told, "total": found.total, "generation": found.generation})

    return await house.others.do(work)


@router.get("/{key}", response_model=ItemAnswer)
async def get_item(request: Request, key: ItemKey, collection: Name = None) -> Response:
    """One item."""
    house: House = request.app.state.house
    room = house.room(collection)
    return await house.others.do(lambda: answers.answer(answers.items(room, [room.shelf.item(key)])[0]))


@router.patch("/{key}", response_model=ChangedItem, openapi_extra=body_of("ItemChange"))
async def change_item(request: Request, key: ItemKey, collection: Name = None) -> Response:
    """Change what is known about an item: its label, captions, fields. What is left out stays."""
    house: House = request.app.state.house
    room = house.room(collection)
    change = await bodies.read_json(request, ItemChange)
    return await house.others.do(_change, room, key, change)


@router.delete("/{key}", status_code=204)
async def delete_item(request: Request, key: ItemKey, collection: Name = None) -> Response:
    """Forget an item. The picture of an indexed folder stays where it is, and the next `nearsight index` of that folder
    finds it again; a picture that was uploaded is removed."""
    house: House = request.app.state.house
    room = house.room(collection)
    return await house.others.do(_delete, room, key)


def _change(room: Room, key: int, change: ItemChange) -> Response:
    given: dict[str, Any] = {name: getattr(change, name) for name in change.model_fields_set}
    with room.writing() as collection:
        collection.item(key)
        collection.annotate(key, **given)
        items, generation = at_once(collection.store, [key])
    return answers.answer({**answers.items(room, [items[key]])[0], "generation": generation})


def _delete(room: Room, key: int) -> Response:
    with room.writing() as collection:
        collection.item(key)
        (sha256,) = collection.hashes(np.array([key]))
        forget(collection, [key])
        generation = collection.store.snapshot().generation
        if sha256 and not collection.twins(sha256=bytes.fromhex(sha256)):
            room.thumbnails.forget(bytes.fromhex(sha256))
    return Response(status_code=204, headers={"X-Generation": str(generation)})
