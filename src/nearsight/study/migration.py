"""Two generations of a collection side by side: do they find the same, and where labels say what is right, which is
better?"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from nearsight.core.arrays import NO_KEY, Keys
from nearsight.core.errors import DatasetError
from nearsight.core.events import Event, Step
from nearsight.measure.intervals import SAMPLES, Interval, bootstrap
from nearsight.search.collection import Collection
from nearsight.study.collection import run_collection
from nearsight.study.report import Change, Report
from nearsight.study.report import compare as compare_reports

K = 10
METRICS = ("precision@1", "average_precision")
_GALLERY = 50_000
"""Items among which is measured: 200 MB at 1,000 dimensions."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One query (an item's key): the share of its first K neighbours that both generations name, and what each finds,
    best first, (n,) and (m,) keys with their scores."""

    key: int
    overlap: float
    old: tuple[tuple[int, float], ...]
    new: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """overlap   of the first K neighbours, mean over queries with its 95% interval; two encoders of chance have `floor`
    queries   a sample of the items that both have; `items` of them
    most      the queries that differ most, worst first
    old, new  by the labels, where there are such: reports over the same queries and items
    changes   new - old, measure by measure, with intervals over the same queries
    """

    overlap: Interval
    floor: float
    queries: int
    items: int
    most: tuple[Difference, ...]
    old: Report | None = None
    new: Report | None = None
    changes: tuple[Change, ...] = ()


def compare(
    old: Collection, new: Collection, *, queries: int = 200, most: int = 6, samples: int = SAMPLES, seed: int = 0
) -> Generator[Event, None, Compared]:
    """Hold the two against each other on the stored vectors: items search for their neighbours, themselves left out.

    Only items that both have with one content count, on both sides. Where at least two of them share a label, both are
    measured by `run_collection` with `queries` queries. Raises DatasetError (code ``dataset/nothing-to-find``) for
    fewer than two items, Damaged.
    """
    both = np.intersect1d(old.keys(), new.keys(), assume_unique=True)
    same = [a == b for a, b in zip(old.hashes(both), new.hashes(both), strict=True)]
    both = both[np.array(same, dtype=np.bool_)]
    if len(both) < 2:
        raise DatasetError("two pictures at least can be compared", code="dataset/nothing-to-find", hint="encode more")
    chosen = np.sort(np.random.default_rng(seed).permutation(both)[:queries])
    found: list[Difference] = []
    for done, key in enumerate(chosen.tolist(), start=1):
        found.append(_difference(key, _neighbours(old, key, both), _neighbours(new, key, both)))
        yield Step("queries searched", done, len(chosen))
    overlap = bootstrap(np.array([one.overlap for one in found]), samples=samples, seed=seed)
    worst = sorted(found, key=lambda one: (one.overlap, one.key))[:most]
    reports = yield from _measured(old, new, both, queries, samples, seed)
    return Compared(overlap, min(1.0, K / (len(both) - 1)), len(chosen), len(both), tuple(worst), *reports)


def _neighbours(collection: Collection, key: int, both: Keys) -> tuple[tuple[int, float], ...]:
    """(key, score) of the first K, best first, of an item among those that both have, itself left out."""
    own = np.array([key], dtype=np.int64)
    among = None if len(both) == len(collection) else both
    hits, _ = collection.candidates(collection.vectors(own)[0], K + 1, among, alone=True)
    best = hits.without(own).first(K)
    return tuple((int(k), float(s)) for k, s in zip(best.keys[0], best.scores[0], strict=True) if k != NO_KEY)


def _difference(key: int, first: tuple[tuple[int, float], ...], second: tuple[tuple[int, float], ...]) -> Difference:
    same = {k for k, _ in first} & {k for k, _ in second}
    return Difference(key, len(same) / max(1, len(first)), first, second)


def _measured(
    old: Collection, new: Collection, both: Keys, queries: int, samples: int, seed: int
) -> Generator[Event, None, tuple[Report, Report, tuple[Change, ...]] | tuple[()]]:
    reports = []
    gallery = np.sort(np.random.default_rng(seed).permutation(both)[:_GALLERY])
    try:
        for one in (old, new):
            work = run_collection(one, metrics=METRICS, samples=samples, seed=seed, among=gallery, queries=queries)
            reports.append((yield from work))
    except DatasetError:  # nothing says what is right
        return ()
    changes = compare_reports(*reports, varying=("encoder", "transductive"), samples=samples, seed=seed)
    return reports[0], reports[1], tuple(changes)
