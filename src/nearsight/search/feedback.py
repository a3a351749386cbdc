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
_PENALTY, _SCALE = 0.1, 1.0
"""Of the classifier, and how long the query is that it starts from."""
_STEPS, _ENOUGH = 500, 1e-7
_FAR = 500.0

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
    """As `rocchio`, by a classifier: its weights as a unit vector (dim,).

    Minimised is penalty / 2 * |w - s q|^2 + mean over the good of log(1 + exp(-w x - b)) + mean over the bad of
    log(1 + exp(w x + b)): where the judgements say nothing, the query stays. w = s q + sum of a_i x_i, so that what is
    solved has the size of the judgements and not that of the vectors. Newton's steps with the largest curvature that
    there can be in place of that at hand never overshoot (Boehning and Lindsay, 1988).
    """
    rows = np.concatenate([up, down]).astype(np.float64)
    sign = np.repeat([1.0, -1.0], [len(up), len(down)])
    weight = np.repeat([1.0 / len(up), 1.0 / len(down)], [len(up), len(down)])
    start = np.zeros(rows.shape[1]) if query is None else _SCALE * query.astype(np.float64)
    n, kernel, offset = len(rows), rows @ rows.T, rows @ start
    steepest = weight[:, None] / 4
    system = np.block([[_PENALTY * np.eye(n) + steepest * kernel, steepest], [np.ones((1, n)), np.zeros((1, 1))]])
    inverse = np.linalg.inv(system)
    a, b = np.zeros(n), 0.0
    for _ in range(_STEPS):
        wrong = 1 / (1 + np.exp(np.clip(sign * (kernel @ a + offset + b), -_FAR, _FAR)))  # (n,) 0 where it is right
        step = inverse @ np.append(weight * sign * wrong - _PENALTY * a, -a.sum())
        a, b = a + step[:n], b + step[n]
        if np.abs(step).max() < _ENOUGH:
            break
    return _unit(start + a @ rows)[0]


def _unit(total: Floats) -> tuple[Vectors, float]:
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise QueryError(
            "what was judged good and bad cancels out: nothing is left to look for", code="query/cancelled"
        )
    return unit(total[None])[0], length
