"""From trainings that are over to ranked rows: means over seeds, intervals, and what could be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from nearsight.learn.pictures import Pictures
from nearsight.learn.recipe import Goal, Recipe
from nearsight.measure.intervals import bootstrap, chance, paired
from nearsight.measure.judged import Floats
from nearsight.measure.metrics import METRICS
from nearsight.study.comparing.comparison import BEST, BETTER, FAILED, UNCLEAR, WORSE, Comparison, Row, Seed, Trial
from nearsight.study.comparing.contenders import Contender
from nearsight.study.comparing.trainings import METRIC, Line, per_query, relevance

UNTRAINED = "no training"


@dataclass(frozen=True, slots=True)
class Ended:
    """A contender when all is done: its trials, the best of them (None: all failed), and (seed, line) of the test."""

    contender: Contender
    goal: Goal
    trials: tuple[Trial, ...]
    best: Trial | None
    lines: tuple[tuple[int, Line], ...]
    spaces: tuple[str, ...]


def judgement(
    recipe: Recipe,
    dataset: str,
    protocol: Mapping[str, str],
    tested: Sequence[Ended],
    untrained: Line,
    pictures: Pictures,
    test: Pictures,
) -> Comparison:
    """All rows, the best test mAP first, each held against the best contender; what failed stands last."""
    rows, values = [], []
    for one in tested:
        rows.append(_row(one))
        values.append(_mean([per_query(line) for _, line in one.lines if line.score is not None]))
    nothing = Row(
        UNTRAINED, {}, None, None, untrained.score, None, None, untrained.first, None, FAILED, (),
        (Seed(recipe.seed, untrained.score, untrained.first, 0, 0.0, (), untrained.failed),), (),
    )  # fmt: skip
    rows.append(nothing)
    values.append(None if untrained.score is None else per_query(untrained))
    contending = [at for at in range(len(tested)) if values[at] is not None]
    best = max(contending, key=lambda at: rows[at].value or 0.0, default=None)
    rows = [_measured(row, own) for row, own in zip(rows, values, strict=True)]
    if best is not None:
        rows = [_held(row, own, rows[best], values[best]) for row, own in zip(rows, values, strict=True)]
    rows.sort(key=lambda row: -1.0 if row.value is None else row.value, reverse=True)
    some = relevance(test)
    floor = float(np.nanmean(chance(METRICS.build(METRIC), some.counts, some.sizes)))
    return Comparison(dataset, dict(protocol), floor, tuple(rows), _notes(recipe, rows, pictures, test, tested))


def _row(one: Ended) -> Row:
    seeds = tuple(
        Seed(number, line.score, line.first, line.pictures, line.seconds, line.findings, line.failed)
        for number, line in one.lines
    )
    known = [line for _, line in one.lines if line.score is not None]
    return Row(
        name=one.contender.name,
        objective={key: value for key, value in asdict(one.goal).items() if value},
        best=None if one.best is None else one.best.number,
        validation=None if one.best is None else one.best.score,
        value=float(np.mean([line.score for line in known])) if known else None,
        low=None,
        high=None,
        first=float(np.mean([line.first for line in known])) if known else None,
        difference=None,
        verdict=FAILED,
        trials=one.trials,
        seeds=seeds,
        spaces=one.spaces,
    )


def _measured(row: Row, values: Floats | None) -> Row:
    """The row with its interval, where it came to an end."""
    if values is None:
        return row
    own = bootstrap(values)
    return replace(row, low=own.low, high=own.high, verdict=UNCLEAR)


def _held(row: Row, values: Floats | None, best: Row, bests: Floats | None) -> Row:
    """The row against the best.

    A difference is clear where its interval over queries leaves out 0, and every seed of one stands on the same side of
    every seed of the other: queries alone would call a lucky seed a better loss.
    """
    if values is None or bests is None:
        return row
    if row.name == best.name:
        return replace(row, verdict=BEST)
    change = paired(bests, values)
    mine, others = (sorted(s.value for s in one.seeds if s.value is not None) for one in (row, best))
    verdict = UNCLEAR
    if change.high < 0 and mine[-1] < others[0]:
        verdict = WORSE
    elif change.low > 0 and mine[0] > others[-1]:
        verdict = BETTER
    return replace(row, difference=(change.value, change.low, change.high), verdict=verdict)


def _mean(values: Sequence[Floats]) -> Floats | None:
    """(q,) over seeds; None of none."""
    return np.mean(values, axis=0) if values else None


def _notes(
    recipe: Recipe, rows: Sequence[Row], pictures: Pictures, test: Pictures, tested: Sequence[Ended]
) -> tuple[str, ...]:
    notes = [
        "Intervals are over test queries: they know nothing of the luck of one split or of few trials. The best row "
        "was picked among all, which flatters it a little.",
    ]
    if any(len(one.lines) == 1 for one in tested):
        notes.append(
            "One seed: how far another would fall from it is not known, and a small difference that looks clear may be "
            "no more than that."
        )
    seen = sorted({seed.pictures for row in rows for seed in row.seeds if seed.pictures})
    if len(seen) > 1:
        notes.append(f"Batches do not divide the budget alike: {seen[0]:,} to {seen[-1]:,} pictures a final training.")
    lost = len(pictures.skipped) + len(test.skipped)
    if lost:
        notes.append(f"{lost:,} pictures cannot be read and were left out.")
    if recipe.about:
        notes.append(recipe.about)
    return tuple(notes)
