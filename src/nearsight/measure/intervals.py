"""How far a mean over queries can be trusted, and what chance alone would give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nearsight.core.errors import MeasureError
from nearsight.measure.judged import Floats, Ints, Judged
from nearsight.measure.metrics import Metric

SAMPLES = 1000
_BLOCK = 1 << 22
_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Interval:
    """A value over queries and the bounds that 95% of its bootstrap samples keep; NaN where nothing was measured."""

    value: float
    low: float
    high: float


def bootstrap(
    values: Floats,
    *,
    summary: Literal["mean", "median"] = "mean",
    samples: int = SAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap over queries (Efron and Tibshirani, 1993): (q,) values, NaN left out -> Interval.

    The queries are resampled with replacement, the gallery is held fixed. One seed gives one interval.
    """
    known = values[~np.isnan(values)]
    if not known.size:
        return Interval(float("nan"), float("nan"), float("nan"))
    if samples < 1 or not 0 < level < 1:
        raise MeasureError(f"{samples} samples at level {level} make no interval", code="measure/interval")
    rng = np.random.default_rng(seed)
    n, drawn = known.size, []
    step = max(1, _BLOCK // n)
    for begin in range(0, samples, step):
        chosen = known[rng.integers(n, size=(min(step, samples - begin), n))]
        drawn.append(_summary(chosen, summary))
    low, high = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(_summary(known[None], summary)[0]), float(low), float(high))


def proportion(count: int, of: int) -> Interval:
    """A share with its 95% score interval (Wilson, 1927): honest at 0 and 1 too, where a bootstrap has no width."""
    if not 0 <= count <= of or not of:
        raise MeasureError(f"{count} of {of} is no share", code="measure/interval")
    share, z2 = count / of, _Z95**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z95 * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2)) / (1 + z2 / of)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def bootstrap_groups(
    strata: Sequence[Sequence[tuple[Floats, Ints]]],
    *,
    summary: Literal["mean", "median"] = "mean",
    samples: int = SAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap over groups of queries that are not independent: captions of one picture.

    A stratum is a set of g groups, of which g are drawn with replacement, each with all of its queries. It has parts:
    (q,) values without NaN beside (q,) the groups they belong to, from 0, no group left out. Its number is the sum of
    its parts' summaries, all of the same draw; the result is the mean over strata, which are drawn one by one.
    """
    if samples < 1 or not 0 < level < 1:
        raise MeasureError(f"{samples} samples at level {level} make no interval", code="measure/interval")
    rng = np.random.default_rng(seed)
    value, drawn = 0.0, np.zeros(samples)
    for parts in strata:
        groups = int(parts[0][1].max()) + 1
        value += float(_of_draws(parts, np.ones((1, groups), dtype=np.int64), summary)[0])
        step = max(1, _BLOCK // max(len(values) for values, _ in parts))
        for begin in range(0, samples, step):
            some = min(step, samples - begin)
            chosen = rng.integers(groups, size=(some, groups)) + groups * np.arange(some)[:, None]
            times = np.bincount(chosen.ravel(), minlength=some * groups).reshape(some, groups)
            drawn[begin : begin + some] += _of_draws(parts, times, summary)
    low, high = np.quantile(drawn / len(strata), [(1 - level) / 2, (1 + level) / 2])
    return Interval(value / len(strata), float(low), float(high))


def paired(a: Floats, b: Floats, *, samples: int = SAMPLES, seed: int = 0) -> Interval:
    """The mean of b - a over the same queries, with its 95% interval: (q,) and (q,), aligned.

    Pairing removes what the queries have in common, so that a small but steady difference shows.
    """
    if a.shape != b.shape:
        raise MeasureError(f"{a.shape} and {b.shape} are not values of the same queries", code="measure/shape")
    return bootstrap(b - a, samples=samples, seed=seed)


def chance(metric: Metric, counts: Ints, sizes: Ints) -> Floats:
    """(q,) the metric's expectation for random rankings: R = `counts` relevant among N = `sizes` items; NaN for R = 0.

    The closed form that averages over tied items, applied to a gallery that is one tie. For AP it is
    (H_N + (R-1)(N-H_N)/(N-1)) / N with H_N = 1 + 1/2 + ... + 1/N; for a large gallery about R/N, so that over queries
    it comes to about the sum of the squared class shares.
    """
    if not counts.size:
        return np.empty(0)
    pairs, where = np.unique(np.stack([counts, sizes], axis=1), axis=0, return_inverse=True)
    values = np.concatenate(
        [metric.of(Judged.random(pairs[at : at + 1, 0], pairs[at : at + 1, 1])) for at in range(len(pairs))]
    )
    expected: Floats = values[where.ravel()]
    return expected


def _of_draws(parts: Sequence[tuple[Floats, Ints]], times: Ints, summary: Literal["mean", "median"]) -> Floats:
    """(s, g) how often each group was drawn -> (s,) the sum of the parts' summaries."""
    total = np.zeros(len(times))
    for values, groups in parts:
        if summary == "mean":
            sums, sizes = np.bincount(groups, weights=values), np.bincount(groups)
            total += (times @ sums) / (times @ sizes)
        else:
            order = np.argsort(values, kind="stable")
            until = np.cumsum(times[:, groups[order]], axis=1)  # drawn values up to each, in the order of size
            middle = ((until[:, -1:] - 1) // 2, until[:, -1:] // 2)
            total += sum(values[order][(until <= at).sum(axis=1)] for at in middle) / 2
    return total


def _summary(values: Floats, summary: Literal["mean", "median"]) -> Floats:
    """(s, q) -> (s,)."""
    return values.mean(axis=1) if summary == "mean" else np.asarray(np.median(values, axis=1))
