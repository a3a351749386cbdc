"""Items and matches as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.responses import Response

from nearsight.core.items import CaptionMatch, Item, Match
from nearsight.data.images.limits import shown
from nearsight.http.room import Room


def answer(body: Any, status: int = 200) -> Response:
    """JSON, in ASCII: whatever stands in a name or a label leaves whole."""
    return Response(json.dumps(body, separators=(",", ":")), status, media_type="application/json")


def items(room: Room, found: Sequence[Item]) -> list[dict[str, Any]]:
    """As `schemas.ItemAnswer`."""
    sizes = room.sizes(list(found))
    return [{**item(one), **_size(sizes.get(one.key))} for one in found]


def hits(room: Room, matches: Sequence[Match | CaptionMatch]) -> list[dict[str, Any]]:
    """As `schemas.HitAnswer`."""
    told = items(room, [match.item for match in matches])
    return [{**_place(match), **one} for match, one in zip(matches, told, strict=True)]


def _place(match: Match | CaptionMatch) -> dict[str, Any]:
    verdict, folded = (match.verdict, match.folded) if isinstance(match, Match) else (None, ())
    return {"rank": match.rank, "score": match.score, "verdict": verdict, "folded": list(folded)}


def item(one: Item) -> dict[str, Any]:
    """As `schemas.ItemAnswer`, without the size."""
    return {
        "key": one.key,
        "name": shown(Path(one.path.name)),
        "label": one.label,
        "captions": list(one.captions),
        "fields": {name: _finite(value) for name, value in one.fields.items()},
    }


def _size(size: tuple[int, int] | None) -> dict[str, int | None]:
    return {"width": size[0] if size else None, "height": size[1] if size else None}


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
