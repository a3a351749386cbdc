"""Pictures and texts in one space, both ways: whether a picture finds one of its captions, and a caption its picture.

* image-to-text R@k: any of the picture's captions stands among the first k of all captions; n queries;
* text-to-image R@k: the caption's one picture stands among the first k of all pictures; m queries;
* rSum: R@1 + R@5 + R@10, both ways, in percent; at most 600.

One relation, ``of`` (m,), says which picture a caption is of: captions of one picture are never each other's negatives.
Intervals resample pictures with all of their captions, both ways at once: the captions of a picture go right or wrong
together, and an interval over single captions would be too narrow. With folds (COCO's "1K" is the mean of 5) the
pictures are cut into blocks in their order, each fold's queries search their own fold, and the folds' values are
averaged. Karpathy and Fei-Fei, CVPR 2015; rSum: Wang et al., "Learning Two-Branch Neural Networks for Image-Text
Matching Tasks", TPAMI 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np

from nearsight.core.arrays import NO_KEY, Vectors
from nearsight.core.errors import MeasureError
from nearsight.core.events import Step
from nearsight.core.relevance import ByGroup, Grouped
from nearsight.measure.evaluate import Measure, Measures, depth_of, drain, summarised, valuing
from nearsight.measure.intervals import SAMPLES, Interval, bootstrap_groups, chance
from nearsight.measure.judged import Floats, Ints
from nearsight.measure.metrics import METRICS, Metric
from nearsight.measure.ranking import Correction, Gallery, rank

SUMMED = ("hit@1", "hit@5", "hit@10")
"""Addresses of the metrics that rSum is the sum of."""
BESIDE = ("median_rank", "triplet_accuracy")
"""What stands beside them unless told otherwise. Without these only the first ten places are ranked, which is fast."""
RSUM = "sum of R@1, R@5 and R@10 in percent, image-to-text and text-to-image"

Correcting = Callable[[Gallery], Correction]
"""The gallery that is searched -> what corrects its scores."""


@dataclass(frozen=True, slots=True, eq=False)
class BothWays:
    """What was measured: n pictures that search texts, m texts that search pictures, and the sum of both."""

    to_texts: Measures
    to_images: Measures
    rsum: Interval
    floor: float
    """rSum of random rankings."""


def both_ways(
    images: Vectors,
    texts: Vectors,
    of: Ints,
    *,
    beside: Sequence[str] = BESIDE,
    correct: tuple[Correcting | None, Correcting | None] = (None, None),
    folds: int = 1,
    samples: int = SAMPLES,
    seed: int = 0,
) -> BothWays:
    """Unit vectors (n, d) of pictures and (m, d) of texts, and (m,) the row of each text's picture, measured.

    `correct`: what makes other scores when pictures search texts, and when texts search pictures. Raises as
    `measuring`.
    """
    work = measuring(images, texts, of, beside=beside, correct=correct, folds=folds, samples=samples, seed=seed)
    return drain(work)


def measuring(
    images: Vectors,
    texts: Vectors,
    of: Ints,
    *,
    beside: Sequence[str] = BESIDE,
    correct: tuple[Correcting | None, Correcting | None] = (None, None),
    folds: int = 1,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Generator[Step, None, BothWays]:
    """`both_ways`, with a Step after each block of queries.

    Raises MeasureError: ``measure/relation`` where `of` is not the relation of these vectors, ``measure/folds`` for
    fewer than one fold or more than pictures; InputError for vectors that are not of unit length.
    """
    n, m = len(images), len(texts)
    if of.shape != (m,) or not np.array_equal(np.unique(of), np.arange(n)):
        raise MeasureError(
            f"the relation says of {of.size} texts which picture each is of; these are {m} texts and {n} pictures, "
            "each of which has one or more",
            code="measure/relation",
            hint="take vectors and relation of the same pictures and captions (nearsight.data.captions)",
        )
    metrics = [METRICS.build(address) for address in (*SUMMED, *beside)]
    there: list[_Answered] = []
    back: list[_Answered] = []
    for rows, told in cut(of, folds):
        own, alone = of[told] - rows[0], np.arange(len(rows))
        there.append((yield from _answered(images, rows, alone, texts[told], own, metrics, correct[0])))
        back.append((yield from _answered(texts, told, own, images[rows], alone, metrics, correct[1])))
    rsum = bootstrap_groups(
        [[(one.summed, one.groups), (two.summed, two.groups)] for one, two in zip(there, back, strict=True)],
        samples=samples,
        seed=seed,
    )
    to_texts, to_images = (_measures(way, metrics, samples, seed) for way in (there, back))
    floor = 100 * sum(row.floor for way in (to_texts, to_images) for row in way.rows[: len(SUMMED)])
    return BothWays(to_texts, to_images, rsum, floor)


def cut(of: Ints, folds: int) -> list[tuple[Ints, Ints]]:
    """(rows of pictures, rows of their texts) of each fold: blocks of pictures of about equal size, in their order.

    Raises MeasureError (code ``measure/folds``) for fewer than one fold or more than pictures.
    """
    n = int(of.max(initial=-1)) + 1
    if not 1 <= folds <= n:
        raise MeasureError(f"{n} pictures cannot be cut into {folds} folds", code="measure/folds")
    blocks = np.array_split(np.arange(n), folds)
    return [(rows, np.flatnonzero((of >= rows[0]) & (of <= rows[-1]))) for rows in blocks]


@dataclass(frozen=True, slots=True, eq=False)
class _Answered:
    """One way in one fold.

    rows    (q,) which queries
    groups  (q,) the picture that each query is, or is of, counted from 0 in this fold
    values  (metrics, q)
    floors  (metrics, q) of random rankings
    """

    rows: Ints
    groups: Ints
    values: Floats
    floors: Floats

    @property
    def summed(self) -> Floats:
        """(q,) what each query gives to rSum."""
        given: Floats = 100 * self.values[: len(SUMMED)].sum(axis=0)
        return given


def _answered(
    queries: Vectors,
    rows: Ints,
    groups: Ints,
    gallery: Vectors,
    members: Ints,
    metrics: Sequence[Metric],
    correct: Correcting | None,
) -> Generator[Step, None, _Answered]:
    """`members` (n,): the picture that each item of the gallery is, or is of, counted as `groups` are."""
    ready = Gallery.of(np.arange(len(gallery)), gallery)
    relevance = ByGroup(groups, np.full(len(groups), NO_KEY), Grouped.of(ready.keys, members))
    correction = None if correct is None else correct(ready)
    blocks = rank(queries[rows], ready, k=depth_of(metrics, relevance), correct=correction)
    values = yield from valuing(blocks, relevance, metrics)
    floors = np.stack([chance(metric, relevance.counts, relevance.sizes) for metric in metrics])
    return _Answered(rows, groups, values, floors)


def _measures(folds: Sequence[_Answered], metrics: Sequence[Metric], samples: int, seed: int) -> Measures:
    """One way, all folds: the mean of their values; what each query got stands in the order of queries."""
    order = np.argsort(np.concatenate([fold.rows for fold in folds]), kind="stable")
    rows = []
    for at, metric in enumerate(metrics):
        interval = bootstrap_groups(
            [[(fold.values[at], fold.groups)] for fold in folds], summary=metric.summary, samples=samples, seed=seed
        )
        floor = float(np.mean([summarised(metric, fold.floors[at]) for fold in folds]))
        rows.append(Measure(metric, interval, floor, np.concatenate([fold.values[at] for fold in folds])[order]))
    return Measures(tuple(rows), len(order), 0, ())
