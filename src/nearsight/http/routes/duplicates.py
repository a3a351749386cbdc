"""Pictures that a collection has several times."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from nearsight.http import answers
from nearsight.http.house import House
from nearsight.http.routes.items import Name
from nearsight.http.schemas import DuplicatesAnswer
from nearsight.search.duplicates import Group

router = APIRouter(tags=["collections"])


@router.get("/duplicates", response_model=DuplicatesAnswer)
async def duplicates(
    request: Request,
    collection: Name = None,
    at_least: Annotated[
        float | None,
        Query(
            ge=0.3,
            le=1,
            allow_inf_nan=False,
            description="Cosine from which two pictures are compared; measured on the collection if left out.",
        ),
    ] = None,
    offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """Groups of items that are one picture, resized, recompressed or cut a little, each around the one to keep.

    They are looked for in the background when they are first asked for; `state` is `working` until they are there: ask
    again in a second.
    """
    house: House = request.app.state.house
    room = house.room(collection)

    def work() -> Response:
        found = room.copies.look(at_least if at_least is None else round(at_least, 3))
        return answers.answer(
            {
                "state": "ready" if found.ready else "working",
                "done": found.done,
                "total": found.total,
                "groups": [_group(group) for group in found.groups[offset : offset + limit]],
                "groups_total": len(found.groups),
            }
        )

    return await house.others.do(work)


def _group(group: Group) -> dict[str, Any]:
    scores: list[float | None] = [None, *(copy.score for copy in group.others)]
    return {"keys": list(group.keys), "keep": group.keep, "scores": scores}
