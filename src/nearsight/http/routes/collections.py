"""What is served, and what can be filtered by."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nearsight.http import answers
from nearsight.http.house import House
from nearsight.http.room import Room
from nearsight.http.schemas import CollectionsAnswer
from nearsight.search.listing import Facet

router = APIRouter(tags=["collections"])


@router.get("/collections", response_model=CollectionsAnswer)
async def collections(request: Request) -> Response:
    """All collections of this server; the first one is meant where a request names none."""
    house: House = request.app.state.house
    return await house.others.do(
        lambda: answers.answer({"collections": [_collection(room) for room in house.rooms.values()]})
    )


def _collection(room: Room) -> dict[str, Any]:
    told = room.stats()
    same = {
        name: told[name] for name in ("items", "dim", "encoder", "modalities", "captions", "generation", "calibrated")
    }
    return {
        "name": room.name,
        **same,
        "writable": room.writable,
        "engine": room.reader.engine_state,
        "fields": [_field(facet) for facet in told["facets"]],
    }


def _field(facet: Facet) -> dict[str, Any]:
    if facet.kind == "number":
        return {"name": facet.name, "kind": facet.kind, "min": facet.least, "max": facet.most}
    values = [{"value": value, "count": count} for value, count in facet.values]
    return {"name": facet.name, "kind": facet.kind, "values": values, "more": facet.more}
