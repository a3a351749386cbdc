"""What is being written to a collection just now, by whichever process."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nearsight.http import answers
from nearsight.http.house import House
from nearsight.http.routes.items import Name
from nearsight.http.schemas import ProgressAnswer
from nearsight.search.store import generations
from nearsight.search.sync.progress import Progress, running

router = APIRouter(tags=["collections"])


@router.get("/progress", response_model=ProgressAnswer)
async def progress(request: Request, collection: Name = None) -> Response:
    """How far a running `nearsight index` and a running `nearsight migrate` are; an empty list where there is none."""
    house: House = request.app.state.house
    room = house.room(collection)

    def work() -> Response:
        places = [room.reader.store.folder, generations.beside(room.folder)]
        found = [running(place) for place in places if place is not None]
        return answers.answer({"jobs": [_job(one) for one in found if one is not None]})

    return await house.others.do(work)


def _job(found: Progress) -> dict[str, Any]:
    return {
        "stage": found.stage,
        "done": found.done,
        "total": found.total,
        "rate": found.rate,
        "left_s": found.left,
        "skipped": found.skipped,
    }
