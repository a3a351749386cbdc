"""What was judged, made use of beyond the one search: as a label, or kept for training."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from nearsight.http import answers, asking, bodies
from nearsight.http.house import House
from nearsight.http.routes.search import asked, body_of
from nearsight.http.schemas import KeptAnswer, LabelAnswer, LabelRequest

router = APIRouter(prefix="/feedback", tags=["search"])


@router.post("/label", response_model=LabelAnswer, openapi_extra=body_of("LabelRequest"))
async def label(request: Request) -> Response:
    """Give several items one label, in one change; `null` takes theirs away."""
    house: House = request.app.state.house
    what = await bodies.read_json(request, LabelRequest)
    room = house.room(what.collection)

    def work() -> Response:
        keys = list(dict.fromkeys(what.keys))
        with room.writing() as collection:
            collection.annotate(keys, label=what.label)
            generation = collection.store.snapshot().generation
        return answers.answer({"changed": len(keys), "generation": generation})

    return await house.others.do(work)


@router.post("/pairs", response_model=KeptAnswer, openapi_extra=body_of("SearchRequest", form=True))
async def pairs(request: Request) -> Response:
    """Keep which answers to a query were good (`up`) and which were not (`down`).

    `nearsight export --feedback` makes a table of all that was kept, and `nearsight train` learns from it.
    """
    house: House = request.app.state.house
    what, pictures = await asked(request, house)
    room = house.room(what.collection)

    def work() -> Response:
        query = asking.query_of(what, pictures)
        with room.writing() as collection:
            collection.keep_feedback(query)
            generation = collection.store.snapshot().generation
        return answers.answer({"kept": len(query.up) + len(query.down), "generation": generation})

    return await house.others.do(work)
