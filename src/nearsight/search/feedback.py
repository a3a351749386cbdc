"""Answers that were judged good or bad make the query's vector better.

* A few: their means are added to it and taken from it (Rocchio, 1971), q' = a q + b mean(good) - c mean(bad).
* PROBE of each and more: a linear classifier tells good from bad, logistic regression with a penalty on its weights,
  fitted by Newton's method. Its weights, as a unit vector, are the query.

Both are one vector, so that the engine, filters and folds do what they do for any query.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors, unit
from nearsight.core.errors import QueryError

ALPHA, BETA, GAMMA = 1.0, 0.75, 0.15
"""Rocchio's a, b, c as usual since Salton and Buckley (1990): what is wanted is one thing, what is not is many."""
_PENALTY = 1.0
_STEPS = 20

Floats = NDArray[np.float64]


def rocchio(query: Vectors | None, up: Vectors, down: Vectors) -> tuple[Vectors, float]:
    """The query (dim,), if there is one, and judged items (u, dim), (d, dim) -> the refined unit vector (dim,), and how
    long it was before. Raises QueryError (code ``query/cancelled``)."""
    total = np.zeros(up.shape[1])
    for share, rows in ((ALPHA, None if query is None else query[None]), (BETA, up), (-GAMMA, down)):
        if rows is not None and len(rows):
            total += share * rows.astype(np.float64).mean(axis=0)
    return _unit(total)


def probe(query: Vectors | None, up: Vectors, down: Vectors) -> Vectors:
    """As `rocchio`, by a classifier: (dim,)."""
    raise NotImplementedError


def _unit(total: Floats) -> tuple[Vectors, float]:
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise QueryError(
            "what was judged good and bad cancels out: nothing is left to look for", code="query/cancelled"
        )
    return unit(total[None])[0], length
