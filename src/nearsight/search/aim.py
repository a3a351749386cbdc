"""What a query looks for: one vector, whatever its examples are and whatever was said of its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nearsight.core.arrays import Vectors
from nearsight.core.errors import QueryError
from nearsight.search import feedback
from nearsight.search.calibration.scale import Bars
from nearsight.search.examples import Eyes, weighed
from nearsight.search.query import Query

if TYPE_CHECKING:
    from nearsight.search.collection import Collection


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """A unit vector (dim,), and the thresholds that scores with it are held against."""

    vector: Vectors
    bars: Bars


def aim(collection: Collection, query: Query, eyes: Eyes | None = None) -> Aim:
    """The examples as one vector, refined by the answers that were judged.

    Scores of a classifier (``query.method == "probe"``) have no verdict: its vector is no picture's. Raises as
    `nearsight.search.examples.weighed`, and QueryError (code ``query/key``) for a judged item that is not there.
    """
    calibration = collection.calibration
    if not query.examples and query.method is None:
        raise QueryError("a query needs at least one example", code="query/empty")
    vector, length = weighed(collection, query, eyes) if query.examples else (None, 1.0)
    bars = Bars(calibrated=calibration is not None)
    if calibration is not None and query.examples:
        bars = calibration.bars_of(query, length)
    if query.method is None and vector is not None:
        return Aim(vector, bars)
    up, down = (_stored(collection, keys) for keys in (query.up, query.down))
    if query.method == "probe":
        return Aim(feedback.probe(vector, up, down), Bars(calibrated=calibration is not None))
    refined, length = feedback.rocchio(vector, up, down)
    if calibration is None:
        return Aim(refined, bars)
    weighed_bars = zip(feedback.shares(vector is not None, bool(len(up))), (bars, calibration.bars(0.0)), strict=True)
    return Aim(refined, Bars.mixed([(share / length, part) for share, part in weighed_bars if share]))


def _stored(collection: Collection, keys: tuple[int, ...]) -> Vectors:
    """(n, dim)"""
    snapshot = collection.store.verified()
    rows = snapshot.rows_of(np.array(keys, dtype=np.int64))
    if (rows < 0).any():
        raise QueryError(f"there is no item {keys[int(np.argmin(rows))]}", code="query/key")
    return snapshot.vectors(rows)
