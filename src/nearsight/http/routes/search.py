"""Searching, by one query or by what was liked among its answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nearsight.core.items import CaptionMatch
from nearsight.http import answers, asking, bodies
from nearsight.http.house import House
from nearsight.http.problems import Refusal
from nearsight.http.room import Room
from nearsight.http.schemas import QueryAnswer, QueryRequest, SearchAnswer, SearchRequest
from nearsight.search.collection import Collection
from nearsight.search.examples import unknown_words
from nearsight.search.query import Query

router = APIRouter(tags=["search"])
_LOOKS = 4
_FORM = {
    "type": "object",
    "required": ["request"],
    "properties": {"request": {"type": "string", "description": "The JSON of a search, as text."}},
    "additionalProperties": {"type": "string", "format": "binary"},
}


def body_of(model: str, *, form: bool = False) -> dict[str, Any]:
    """What a route takes that reads its body itself, for the OpenAPI document."""
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}}}
    if form:
        content["multipart/form-data"] = {"schema": _FORM}
    return {"requestBody": {"required": True, "content": content}}


async def asked(request: Request, house: House) -> tuple[SearchRequest, dict[str, bytes]]:
    """A search as JSON, or as a form with pictures."""
    if not bodies.is_form(request):
        return await bodies.read_json(request, SearchRequest), {}
    body = await bodies.form(request, house.settings)
    if set(body.texts) != {"request"}:
        raise Refusal(400, "the form has the search as JSON in its field 'request'", code="request/form")
    return (
        bodies.checked(SearchRequest, bodies.loads(body.texts["request"])),
        {picture.field: picture.content for picture in body.pictures},
    )


@router.post("/search", response_model=SearchAnswer, openapi_extra=body_of("SearchRequest", form=True))
async def search(request: Request) -> Response:
    """Find what looks like the examples, shows what the words say, or both; less of what weighs negatively.

    As JSON; or as a form (`multipart/form-data`) whose field `request` holds that JSON and whose other fields hold
    the pictures that its examples name (`{"picture": "a"}` is the form field `a`).
    """
    house: House = request.app.state.house
    begun = time.perf_counter()
    what, pictures = await asked(request, house)
    return await house.searches.do(_search, house, house.room(what.collection), what, pictures, begun)


@router.post("/feedback", response_model=SearchAnswer, openapi_extra=body_of("SearchRequest", form=True))
async def feedback(request: Request) -> Response:
    """Search again, knowing which answers were good (`up`) and which were not (`down`); `method` says how that counted.

    The same as `/search` with `up` and `down`.
    """
    return await search(request)


@router.post("/query", response_model=QueryAnswer, openapi_extra=body_of("QueryRequest"))
async def query(request: Request) -> Response:
    """Take a written query apart, without searching: its examples, its filter, its settings."""
    what = await bodies.read_json(request, QueryRequest)
    return answers.answer(asking.parts(asking.safe(Query.parse(what.query))))


def _search(house: House, room: Room, what: SearchRequest, pictures: Mapping[str, bytes], begun: float) -> Response:
    query = asking.query_of(what, pictures)
    marks, now = [time.perf_counter()], room.now
    aim = now.reader.aim(query, now.eyes)
    marks.append(time.perf_counter())
    if what.captions:
        captions, generation = _captions(
            now.reader, replace(query, examples=((aim.vector, 1.0),), up=(), down=()), what
        )
        pairs = zip(answers.hits(room, captions), captions, strict=True)
        told = [{**hit, "caption": match.caption} for hit, match in pairs]
    else:
        answer = now.reader.find(query, what.k + 1, offset=what.offset, aim=aim)
        told, generation = answers.hits(room, answer.matches), answer.generation
    marks.append(time.perf_counter())
    stages = dict(zip(("encode", "search"), (b - a for a, b in pairwise(marks)), strict=True))
    for stage, seconds in stages.items():
        house.metrics.stages.labels(stage).observe(seconds)
    took = {**stages, "rerank": 0.0, "total": time.perf_counter() - begun}
    return answers.answer(
        {
            "hits": told[: what.k],
            "more": len(told) > what.k,
            "query": str(query),
            "unknown": unknown_words(now.reader, query),
            "verdict": told[0]["verdict"] if told else None,
            "method": query.method,
            "generation": generation,
            "took_ms": {name: round(seconds * 1000, 3) for name, seconds in took.items()},
        }
    )


def _captions(reader: Collection, query: Query, what: SearchRequest) -> tuple[Sequence[CaptionMatch], int]:
    """One more than was asked for, behind the first ones; looked for again where a writer came in between."""
    generation = -1
    for _ in range(_LOOKS):
        generation = reader.store.snapshot().generation
        found = reader.search_captions(query, what.offset + what.k + 1)[what.offset :]
        if generation == reader.store.snapshot().generation:
            break
    return found, generation
