"""From rankings to measures: block by block, lone queries left out and counted, an interval and a floor beside each."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np

from nearsight.core.arrays import Hits, Vectors
from nearsight.core.errors import MeasureError
from nearsight.core.events import Step
from nearsight.core.relevance import Relevance
from nearsight.measure.intervals import SAMPLES, Interval, bootstrap, chance
from nearsight.measure.judged import Floats, judge
from nearsight.measure.metrics import Metric
from nearsight.measure.ranking import Gallery, rank

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One metric over all queries: its value with a 95% interval, and the value of random rankings."""

    metric: Metric
    interval: Interval
    floor: float
    values: Floats
    """(q,) by query; NaN for a lone one."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: how many queries were measured, and each metric's value and floor, in the order of the measures."""

    name: str
    queries: int
    values: tuple[float, ...]
    floors: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """All metrics of one run. ``queries`` were measured; ``lone`` had nothing to find and were left out."""

    rows: tuple[Measure, ...]
    queries: int
    lone: int
    classes: tuple[ClassRow, ...]

    def __getitem__(self, label: str) -> Measure:
        """The measure of that label. Raises MeasureError naming those there are."""
        for row in self.rows:
            if row.metric.label == label:
                return row
        there = ", ".join(row.metric.label for row in self.rows)
        raise MeasureError(f"'{label}' was not measured", code="measure/label", hint=f"there are: {there}")


@dataclass(frozen=True, slots=True)
class Loss:
    """What an approximate engine's answer lacks to 1, in three parts that add up to it.

    model  1 - the exact ranking's value: wrong in the vectors themselves
    index  exact - the answer's value: items that the index did not bring (below 0 where it was lucky)
    ties   the answer's value averaged over ties - that of the order it happened to give
    """

    model: float
    index: float
    ties: float

    @property
    def total(self) -> float:
        """1 - the value of the order that was shown."""
        return self.model + self.index + self.ties


def depth_of(metrics: Iterable[Metric], relevance: Relevance) -> int | None:
    """How deep to rank for all of them; None: the whole gallery."""
    depths = [metric.depth(relevance) for metric in metrics]
    known = [depth for depth in depths if depth is not None]
    return max(known) if known and len(known) == len(depths) else None


def evaluating(
    blocks: Iterable[tuple[slice, Hits]],
    relevance: Relevance,
    metrics: Sequence[Metric],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Generator[Step, None, Measures]:
    """Rankings of consecutive blocks of queries -> Measures, with a Step after each block. Raises as `valuing`."""
    values = yield from valuing(blocks, relevance, metrics)
    return measures_of(values, relevance, metrics, samples=samples, seed=seed)


def valuing(
    blocks: Iterable[tuple[slice, Hits]], relevance: Relevance, metrics: Sequence[Metric]
) -> Generator[Step, None, Floats]:
    """Rankings of consecutive blocks of queries -> (metrics, q) values, with a Step after each block.

    Raises MeasureError for a block that is too short for a metric, holds a query's own item, or leaves a query out.
    """
    values = np.full((len(metrics), len(relevance)), np.nan)
    done = 0
    for part, hits in blocks:
        if part.start != done:
            raise MeasureError(f"queries {done} to {part.start} have no ranking", code="measure/hits")
        some = relevance.rows(part)
        judged = judge(hits, some)
        for at, metric in enumerate(metrics):
            metric.require_depth(hits.k, some)
            values[at, part] = metric.of(judged)
        done = part.stop
        yield Step("queries", done, len(relevance))
    if done != len(relevance):
        raise MeasureError(f"queries {done} to {len(relevance)} have no ranking", code="measure/hits")
    return values


def evaluate(
    queries: Vectors,
    gallery: Gallery,
    relevance: Relevance,
    metrics: Sequence[Metric],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Measures:
    """Exact ranking of the gallery for (q, d) query vectors, measured."""
    blocks = rank(queries, gallery, k=depth_of(metrics, relevance), without=relevance.removed())
    return drain(evaluating(blocks, relevance, metrics, samples=samples, seed=seed))


def evaluate_hits(
    hits: Hits, relevance: Relevance, metrics: Sequence[Metric], *, samples: int = SAMPLES, seed: int = 0
) -> Measures:
    """An engine's answer (q, k), measured as it stands; the queries' own items and junk are removed here."""
    blocks = [(slice(0, len(hits.keys)), relevance.strip(hits))]
    return drain(evaluating(blocks, relevance, metrics, samples=samples, seed=seed))


def as_ordered(hits: Hits) -> Hits:
    """The same order with scores that have no ties: what a tool shows when it must pick one."""
    falling = -np.arange(hits.k, dtype=np.float32)
    return Hits(hits.keys, np.where(np.isneginf(hits.scores), hits.scores, falling))


def split_loss(exact: Floats, averaged: Floats, ordered: Floats) -> Loss:
    """Values by query (q,) of the exact ranking, of an answer averaged over its ties, and of the answer's own order.

    For metrics in [0, 1]. Lone queries (NaN) are left out.
    """
    a, b, c = (float(np.nanmean(values)) for values in (exact, averaged, ordered))
    return Loss(1 - a, a - b, b - c)


def measures_of(
    values: Floats, relevance: Relevance, metrics: Sequence[Metric], *, samples: int = SAMPLES, seed: int = 0
) -> Measures:
    """Values (metrics, q) -> Measures."""
    counts, sizes = relevance.counts, relevance.sizes
    floors = [chance(metric, counts, sizes) for metric in metrics]
    rows = tuple(
        Measure(
            metric,
            bootstrap(own, summary=metric.summary, samples=samples, seed=seed),
            summarised(metric, floor),
            own,
        )
        for metric, own, floor in zip(metrics, values, floors, strict=True)
    )
    measured = counts > 0
    classes = np.array([name if name is not None else "" for name in relevance.classes()], dtype=object)
    table = []
    for name in sorted(set(classes[measured])) if classes.size else []:
        mine = measured & (classes == name)
        table.append(
            ClassRow(
                name,
                int(mine.sum()),
                tuple(summarised(metric, own[mine]) for metric, own in zip(metrics, values, strict=True)),
                tuple(summarised(metric, floor[mine]) for metric, floor in zip(metrics, floors, strict=True)),
            )
        )
    return Measures(rows, int(measured.sum()), int((~measured).sum()), tuple(table))


def drain(work: Generator[Any, None, T]) -> T:
    """Run `evaluating`, or any such work, to its end without watching."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast(T, end.value)


def summarised(metric: Metric, values: Floats) -> float:
    """(q,) values, NaN left out, as the one number of that metric: NaN where nothing is left."""
    known = values[~np.isnan(values)]
    if not known.size:
        return float("nan")
    return float(known.mean() if metric.summary == "mean" else np.median(known))
