"""Which score is chance, likely or sure in one collection, and where that is kept.

The file ``calibration.json`` in a collection is derived: lost, damaged or of another encoder it is as good as not
there, and answers come without verdicts until it is made again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from nearsight.core.artefact import read_manifest, write_manifest
from nearsight.core.errors import Damaged, FormatError, NotACollection, QueryError
from nearsight.measure.intervals import Interval
from nearsight.search.query import Query, Text

NAME = "calibration.json"
FORMAT, VERSION = "nearsight-calibration", 1
CHANCE, LIKELY, SURE = "chance", "likely", "sure"
Verdict: TypeAlias = Literal["chance", "likely", "sure"]
_GROWN = 2.0
"""Times as many items as it was fitted on, or as few, and a calibration is stale: the best of more is better."""
_ABSENT = "nearsight calibrate fits what a score means here"


@dataclass(frozen=True, slots=True)
class Level:
    """One threshold on the score, and what it was measured to be worth on queries that it was not fitted on.

    at         the score; None where the scores cannot tell so much, and `why` says why
    rate       the share of unrelated queries whose best answer reaches it that it was fitted to, at most
    false      that share, measured
    found      the share of queries with something related in the collection of which a related answer reaches it
    precision  of a query's first ten answers, the related share of those that reach it; the mean over queries
    """

    at: float | None
    rate: float
    why: str = ""
    false: Interval | None = None
    found: Interval | None = None
    precision: Interval | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """The thresholds for one kind of query.

    how      ``labels``, ``captions`` (what is unrelated was told by them) or ``statistics``
    queries  how many it was fitted on; as many others measured it
    items    how many of the collection's were searched for them
    spacing  what the best unrelated score rises by when the items become e times as many
    """

    likely: Level
    sure: Level
    how: str
    queries: int
    items: int
    spacing: float

    @property
    def bars(self) -> Bars:
        """The thresholds alone."""
        return Bars(self.likely.at, self.sure.at)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a score means in one collection, for picture queries and for word queries (None: not fitted)."""

    pictures: Scale | None
    words: Scale | None
    items: int
    generation: int
    fingerprint: str
    seed: int

    def verdict(self, score: float, words: bool = False) -> Verdict | None:
        """What a score of a query that is one picture (or words) says; None where its scores cannot tell."""
        return self.bars(float(words)).verdict(score)

    def bars(self, words: float) -> Bars:
        """The thresholds of a query of which a share of the weight, 0 to 1, is words."""
        parts = [(1 - words, self.pictures), (words, self.words)]
        return Bars.mixed([(share, scale.bars if scale is not None else Bars()) for share, scale in parts if share > 0])

    def bars_of(self, query: Query, length: float) -> Bars:
        """Those of a query whose examples' weighted sum has that length before it is made unit.

        A score times that length, divided by the sum of the positive weights, is the mean of the answer's scores to
        the examples, less what speaks against it. Where each example is unrelated, the best such mean is seldom above
        the mean of their thresholds: so what counts is the mean score, whatever the examples have in common.
        """
        positive = [(weight, isinstance(source, Text)) for source, weight in query.examples if weight > 0]
        total = sum(weight for weight, _ in positive)
        if not total:
            return Bars()
        return Bars.mixed([(total / length, self.bars(sum(w for w, words in positive if words) / total))])

    def stale(self, items: int) -> str:
        """Why it should be fitted again, for a collection of so many items; empty where it is good."""
        if items > self.items * _GROWN or items * _GROWN < self.items:
            return f"it was calibrated with {self.items:,} items and has {items:,} now"
        return ""


@dataclass(frozen=True, slots=True)
class Bars:
    """The thresholds that one query's scores are held against."""

    likely: float | None = None
    sure: float | None = None
    calibrated: bool = True

    @classmethod
    def mixed(cls, parts: Sequence[tuple[float, Bars]]) -> Bars:
        """The sum of thresholds, each times its share; none where one of them is none, or there are none."""
        likely = [(share, bars.likely) for share, bars in parts]
        sure = [(share, bars.sure) for share, bars in parts]
        return cls(_sum(likely), _sum(sure))

    def verdict(self, score: float) -> Verdict | None:
        """``chance``, ``likely`` or ``sure``; None where not even `likely` can be told."""
        if self.sure is not None and _reaches(score, self.sure):
            return "sure"
        if self.likely is None:
            return None
        return "likely" if _reaches(score, self.likely) else "chance"

    def required(self, query: Query) -> Query:
        """A query whose answers score enough for its verdict. Raises QueryError (code ``query/verdict``)."""
        at = self.sure if query.verdict == SURE else self.likely
        if at is not None:
            return replace(query, min_score=at if query.min_score is None else max(at, query.min_score))
        if not self.calibrated:
            raise QueryError(f"nothing says which answer is {query.verdict}", code="query/verdict", hint=_ABSENT)
        what = f"the scores of such a query cannot say which answer is {query.verdict} in this collection"
        raise QueryError(what, code="query/verdict", hint="nearsight calibrate says why")


class Kept:
    """The calibration that a collection's folder holds now: read when it is first asked for, again when it changed."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._path, self._fingerprint = folder / NAME, fingerprint
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._known: Calibration | None = None

    def now(self) -> Calibration | None:
        """None where there is none, none that is whole, or one of another encoder."""
        try:
            stat = self._path.stat()
        except OSError:
            return None
        mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        with self._lock:
            if mark != self._seen:
                self._known, self._seen = _read(self._path, self._fingerprint), mark
            return self._known


def write(folder: Path, calibration: Calibration) -> None:
    """Keep it, durably and at once. Raises WriteFailed."""
    write_manifest(folder / NAME, FORMAT, VERSION, asdict(calibration), {})


def flaw(folder: Path) -> str:
    """What is wrong with the file in a collection's folder, or an empty text."""
    try:
        read_manifest(folder / NAME, FORMAT, VERSION)
    except NotACollection:
        return ""
    except (FormatError, Damaged, OSError) as error:
        return getattr(error, "message", str(error))
    return ""


def _read(path: Path, fingerprint: str) -> Calibration | None:
    try:
        meta = read_manifest(path, FORMAT, VERSION)["meta"]
        found = Calibration(**{**meta, "pictures": _scale(meta["pictures"]), "words": _scale(meta["words"])})
    except (NotACollection, FormatError, Damaged, OSError, KeyError, TypeError):
        return None
    return found if found.fingerprint == fingerprint else None


def _scale(told: Mapping[str, Any] | None) -> Scale | None:
    if told is None:
        return None
    return Scale(**{**told, "likely": _level(told["likely"]), "sure": _level(told["sure"])})


def _level(told: Mapping[str, Any]) -> Level:
    intervals = {name: told[name] and Interval(**told[name]) for name in ("false", "found", "precision")}
    return Level(**{**told, **intervals})


def _reaches(score: float, at: float) -> bool:
    """As a search compares: in the precision that scores have."""
    return bool(np.float32(score) >= np.float32(at))


def _sum(parts: Sequence[tuple[float, float | None]]) -> float | None:
    known = [share * value for share, value in parts if value is not None]
    return sum(known) if known and len(known) == len(parts) else None
