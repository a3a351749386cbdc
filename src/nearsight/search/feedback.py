"""Answers that were judged good or bad make the query's vector better.

* A few: their means are added to it and taken from it (Rocchio, 1971). What is looked for, p, is the query and the mean
  of the good at 1 : 4, and q' = p - 0.2 mean(bad). The usual weights (1, 0.75, 0.15: Salton and Buckley, 1990) are for
  vectors of words; that of a picture says more, so that it counts more. The bad are many things: they may not weigh
  more, least of all where nothing good is known.
* PROBE of each and more: a linear classifier tells good from bad, logistic regression that starts from Rocchio's vector
  and is drawn back to it. Its weights, as a unit vector, are the query.

Both are one vector, so that the engine, filters and folds do what they do for any query. docs/feedback.md has what the
numbers were chosen by.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors, unit
from nearsight.core.errors import QueryError

GOOD, BAD = 0.8, 0.2
"""The share of the good in what is looked for beside the query, and how much the bad count against that."""
_PENALTY = 0.5
_STEPS, _ENOUGH = 500, 1e-7
_FAR = 500.0

Floats = NDArray[np.float64]


def shares(query: bool, good: bool) -> tuple[float, float]:
    """What the query and the good weigh in what is looked for, where there are such."""
    return (1.0 - GOOD * good, GOOD) if query else (0.0, 1.0 * good)


def rocchio(query: Vectors | None, up: Vectors, down: Vectors) -> tuple[Vectors, float]:
    """The query (dim,), if there is one, and judged items (u, dim), (d, dim) -> the refined unit vector (dim,), and how
    long it was before. Raises QueryError (code ``query/cancelled``)."""
    own, good = shares(query is not None, bool(len(up)))
    total = np.zeros(up.shape[1])
    for share, rows in ((own, None if query is None else query[None]), (good, up), (-BAD, down)):
        if rows is not None and len(rows):
            total += share * rows.astype(np.float64).mean(axis=0)
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise QueryError(
            "what was judged good and bad cancels out: nothing is left to look for", code="query/cancelled"
        )
    return unit(total[None])[0], length


def probe(query: Vectors | None, up: Vectors, down: Vectors) -> Vectors:
    """As `rocchio`, by a classifier: its weights as a unit vector (dim,).

    Minimised is penalty / 2 * |w - r|^2 + mean over the good of log(1 + exp(-w x - b)) + mean over the bad of
    log(1 + exp(w x + b)), where r is Rocchio's vector: what the judgements do not speak of stays as it is. Then
    w = r + sum of a_i x_i, so that what is solved has the size of the judgements and not that of the vectors. Newton's
    steps with the largest curvature that there can be in place of that at hand never overshoot (Boehning and Lindsay,
    1988).
    """
    start = rocchio(query, up, down)[0].astype(np.float64)
    rows = np.concatenate([up, down]).astype(np.float64)
    sign = np.repeat([1.0, -1.0], [len(up), len(down)])
    weight = np.repeat([1.0 / len(up), 1.0 / len(down)], [len(up), len(down)])
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
    weights: Vectors = unit((start + a @ rows)[None])[0]
    return weights
