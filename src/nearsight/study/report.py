"""A study's result: measures, classes, worst queries and the protocol card; as JSON, as table rows, compared.

The JSON, format ``nearsight-report`` version 1::

    {"format", "version", "made_by", "encoder": ADDRESS, "card": {...},       the card's fields: measure/protocol.py
     "queries": measured, "lone": left out, "gallery": N, "search_ms": per query,
     "measures": [{"label", "definition", "address", "unit", "value", "low", "high", "floor"}],
     "classes":  [{"name", "queries", "values": {LABEL: v}, "floors": {LABEL: v}}],
     "skipped":  [{"path", "code", "why", "hint"}],
     "worst":    [{"key", "path", "label", "value", "answers": [{"key", "path", "label", "score", "right"}]}],
     "loss":     {"model", "index", "ties"} or null,                          of the first measure
     "query_keys": [...], "values": {LABEL: [v or null, ...]}}                by query; null: nothing to find

Numbers are shares in [0, 1], or places from 1 where ``unit`` is ``rank``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from nearsight.core.artefact import made_by, replace_file
from nearsight.core.errors import FormatError, MeasureError
from nearsight.core.events import Skipped
from nearsight.measure.evaluate import Loss, Measures
from nearsight.measure.intervals import SAMPLES, Interval, paired
from nearsight.measure.judged import Floats
from nearsight.measure.protocol import Card, require_comparable

FORMAT = "nearsight-report"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One measure: its value over queries, the 95% interval, and what random rankings give."""

    label: str
    definition: str
    address: str
    unit: str
    value: float
    low: float
    high: float
    floor: float


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class of queries: values and floors by label."""

    name: str
    queries: int
    values: Mapping[str, float]
    floors: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Answer:
    """One place of an answer."""

    key: int
    path: str
    label: str | None
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """A query that went badly by the first measure, with the first places of its answer."""

    key: int
    path: str
    label: str | None
    value: float
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One measure of two reports over the same queries: after - before, with the interval of paired differences."""

    label: str
    before: float
    after: float
    difference: Interval

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.difference.low > 0 or self.difference.high < 0


@dataclass(frozen=True, slots=True)
class Report:
    """See the module's docstring for the fields."""

    card: Card
    encoder: str
    queries: int
    lone: int
    gallery: int
    search_ms: float
    measures: tuple[Row, ...]
    classes: tuple[ClassRow, ...]
    skipped: tuple[Skipped, ...]
    worst: tuple[Failure, ...]
    loss: Loss | None
    query_keys: tuple[int, ...]
    values: Mapping[str, tuple[float | None, ...]]

    @classmethod
    def of(
        cls,
        card: Card,
        encoder: str,
        measures: Measures,
        query_keys: Iterable[int],
        *,
        gallery: int,
        skipped: tuple[Skipped, ...] = (),
        worst: tuple[Failure, ...] = (),
        loss: Loss | None = None,
        search_ms: float = 0.0,
    ) -> Report:
        """From what `measure.evaluate` gave."""
        labels = [row.metric.label for row in measures.rows]
        rows = tuple(
            Row(m.metric.label, m.metric.definition, m.metric.address, m.metric.unit, *_bounds(m.interval), m.floor)
            for m in measures.rows
        )
        classes = tuple(
            ClassRow(
                c.name, c.queries, dict(zip(labels, c.values, strict=True)), dict(zip(labels, c.floors, strict=True))
            )
            for c in measures.classes
        )
        values = {m.metric.label: tuple(None if math.isnan(v) else v for v in m.values.tolist()) for m in measures.rows}
        return cls(
            card, encoder, measures.queries, measures.lone, gallery, search_ms, rows, classes, skipped, worst, loss,
            tuple(query_keys), values,
        )  # fmt: skip

    def to_json(self) -> str:
        """The document described above, with a newline at its end."""
        body = {"format": FORMAT, "version": VERSION, "made_by": made_by(), **asdict(self), "card": self.card.to_json()}
        return json.dumps(body, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Raises FormatError for anything that `to_json` did not write, or that a newer version wrote."""
        try:
            body = json.loads(text)
            if body["format"] != FORMAT:
                raise FormatError("this is not a report of nearsight", hint="give the JSON that `nearsight eval` wrote")
            if body["version"] > VERSION:
                raise FormatError(f"the report is of version {body['version']}; this nearsight reads up to {VERSION}")
            return cls(
                card=Card.from_json(body["card"]),
                encoder=body["encoder"],
                queries=body["queries"],
                lone=body["lone"],
                gallery=body["gallery"],
                search_ms=body["search_ms"],
                measures=tuple(Row(**row) for row in body["measures"]),
                classes=tuple(ClassRow(**row) for row in body["classes"]),
                skipped=tuple(Skipped(**row) for row in body["skipped"]),
                worst=tuple(
                    Failure(**{**row, "answers": tuple(Answer(**a) for a in row["answers"])}) for row in body["worst"]
                ),
                loss=None if body["loss"] is None else Loss(**body["loss"]),
                query_keys=tuple(body["query_keys"]),
                values={label: tuple(row) for label, row in body["values"].items()},
            )
        except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
            raise FormatError(
                f"this is not a report of nearsight: {error}", hint="give the JSON that `nearsight eval` wrote"
            ) from error

    def write(self, path: Path) -> None:
        """The JSON at `path`, whole or not at all. Raises WriteFailed."""
        replace_file(path, self.to_json().encode())

    def table(self) -> list[tuple[str, ...]]:
        """Rows for a terminal, the first one the header: measure, value, 95% interval, chance."""
        rows: list[tuple[str, ...]] = [("measure", "value", "95% interval", "chance")]
        for row in self.measures:
            show = share if row.unit == "share" else place
            rows.append((row.label, show(row.value), f"{show(row.low)} .. {show(row.high)}", show(row.floor)))
        return rows

    def class_table(self) -> list[tuple[str, ...]]:
        """Rows for a terminal, the first one the header: class, queries, every measure, and chance for the first."""
        rows: list[tuple[str, ...]] = [("class", "queries", *(m.label for m in self.measures), "chance")]
        for row in self.classes:
            shown = (
                share(row.values[m.label]) if m.unit == "share" else place(row.values[m.label]) for m in self.measures
            )
            rows.append((row.name, str(row.queries), *shown, share(row.floors[self.measures[0].label])))
        return rows

    def summary(self) -> str:
        """One line: what was measured on what."""
        return (
            f"{self.card.dataset} {self.card.protocol}: {self.encoder}, {self.card.engine}; {self.queries} queries in "
            f"{self.gallery} pictures, {self.lone} lone, {len(self.skipped)} skipped; {self.search_ms:.2f} ms a query"
        )


class Written(Protocol):
    """Any report that becomes JSON."""

    def to_json(self) -> str: ...


def many_to_json(reports: Sequence[Written]) -> str:
    """A JSON array of what each report's ``to_json`` gives, with a newline at its end."""
    return "[\n" + ",\n".join(report.to_json().rstrip() for report in reports) + "\n]\n"


def many_from_json(text: str) -> list[Report]:
    """What `many_to_json` or `Report.to_json` gave. Raises FormatError."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"not readable as a report: {error}", hint="give a JSON file that `nearsight eval --json` wrote"
        ) from error
    return [Report.from_json(json.dumps(one)) for one in (body if isinstance(body, list) else [body])]


def compare(
    before: Report, after: Report, *, varying: Iterable[str] = (), samples: int = SAMPLES, seed: int = 0
) -> list[Change]:
    """Two reports, measure by measure, by a paired bootstrap over their queries.

    Raises MeasureError (code ``measure/protocol``) where the cards differ in a field that is not in `varying`, naming
    it: ``varying=("encoder",)`` compares two encoders and holds everything else equal.
    """
    require_comparable(before.card, after.card, varying=varying)
    if sorted(before.query_keys) != sorted(after.query_keys):
        raise MeasureError("the reports have different queries", code="measure/protocol")
    labels = [row.label for row in before.measures if row.label in after.values]
    one = {row.label: row for row in before.measures}
    two = {row.label: row for row in after.measures}
    return [
        Change(
            label,
            one[label].value,
            two[label].value,
            paired(_by_key(before, label), _by_key(after, label), samples=samples, seed=seed),
        )
        for label in labels
    ]


def share(value: float) -> str:
    """A share with four digits."""
    return f"{value:.4f}"


def place(value: float) -> str:
    """A place."""
    return f"{value:.1f}"


def _by_key(report: Report, label: str) -> Floats:
    values = np.array([np.nan if v is None else v for v in report.values[label]], dtype=np.float64)
    return values[np.argsort(report.query_keys, kind="stable")]


def _bounds(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high
