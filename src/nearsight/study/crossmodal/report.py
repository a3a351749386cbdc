"""What a measurement of captions and pictures found, both ways; as JSON, as table rows, compared.

The JSON, format ``nearsight-both-ways`` version 1::

    {"format", "version", "made_by", "folds": 1 or more, "shared": captions that stand under several pictures,
     "rsum": {"label", "definition", "address", "unit", "value", "low", "high", "floor"},
     "image_to_text": a report, "text_to_image": a report,              format nearsight-report: study/report.py
     "of": [...],                                                       each caption's picture, as a row of queries
     "examples": [{"way", "kind", "place", "picture", "texts": [...],
                   "answers": [{"picture", "text", "score", "right"}]}]}

The queries of ``image_to_text`` are pictures under their keys, those of ``text_to_image`` are captions by number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearsight.core.artefact import made_by, replace_file
from nearsight.core.errors import FormatError, MeasureError
from nearsight.measure.crossmodal import SUMMED, cut
from nearsight.measure.intervals import SAMPLES, bootstrap_groups
from nearsight.measure.judged import Floats, Ints
from nearsight.measure.protocol import require_comparable
from nearsight.study.report import Change, Report, Row, many_from_json, place, share

FORMAT = "nearsight-both-ways"
VERSION = 1
TO_TEXTS, TO_IMAGES, BOTH = "image->text", "text->image", "both ways"
"""The two ways, as protocols, and what stands for both."""
_NOT_OURS = "give the JSON that `nearsight eval` wrote for a data set with captions"


@dataclass(frozen=True, slots=True)
class Found:
    """One place of an answer: a picture, or a caption and the picture it is of."""

    picture: str
    text: str
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class Example:
    """One query with the first places of its answer.

    way      ``image->text`` or ``text->image``
    kind     ``good``, ``middling`` or ``worst``
    place    of the first right answer; with ties, its expectation
    picture  that searches, or that should be found
    texts    the picture's captions, or the one caption that searches
    """

    way: str
    kind: str
    place: float
    picture: str
    texts: tuple[str, ...]
    answers: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class CrossReport:
    """See the module's docstring for the fields."""

    to_texts: Report
    to_images: Report
    rsum: Row
    folds: int
    shared: int
    of: tuple[int, ...]
    examples: tuple[Example, ...] = ()

    @property
    def ways(self) -> tuple[tuple[str, Report], tuple[str, Report]]:
        """Both reports under the names of their ways."""
        return (TO_TEXTS, self.to_texts), (TO_IMAGES, self.to_images)

    def to_json(self) -> str:
        """The document described above, with a newline at its end."""
        body = {
            "format": FORMAT,
            "version": VERSION,
            "made_by": made_by(),
            "folds": self.folds,
            "shared": self.shared,
            "rsum": asdict(self.rsum),
            "image_to_text": json.loads(self.to_texts.to_json()),
            "text_to_image": json.loads(self.to_images.to_json()),
            "of": list(self.of),
            "examples": [asdict(example) for example in self.examples],
        }
        return json.dumps(body, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> CrossReport:
        """Raises FormatError for anything that `to_json` did not write, or that a newer version wrote."""
        try:
            body = json.loads(text)
            if body["format"] != FORMAT:
                raise FormatError("this is no report of captions and pictures", hint=_NOT_OURS)
            if body["version"] > VERSION:
                raise FormatError(f"the report is of version {body['version']}; this nearsight reads up to {VERSION}")
            names = {"format", "version", "made_by", "folds", "shared", "rsum", "image_to_text", "text_to_image", "of"}
            if odd := set(body) ^ (names | {"examples"}):
                raise FormatError(f"unknown or missing: {', '.join(sorted(odd))}", hint=_NOT_OURS)
            found = cls(
                Report.from_json(json.dumps(body["image_to_text"])),
                Report.from_json(json.dumps(body["text_to_image"])),
                Row(**body["rsum"]),
                int(body["folds"]),
                int(body["shared"]),
                tuple(int(row) for row in body["of"]),
                tuple(_example(example) for example in body["examples"]),
            )
            if len(found.of) != len(found.to_images.query_keys):
                raise FormatError("the report's relation is not that of its captions", hint=_NOT_OURS)
            return found
        except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
            raise FormatError(f"this is no report of captions and pictures: {error}", hint=_NOT_OURS) from error

    def write(self, path: Path) -> None:
        """The JSON at `path`, whole or not at all. Raises WriteFailed."""
        replace_file(path, self.to_json().encode())

    def table(self) -> list[tuple[str, ...]]:
        """Rows for a terminal, the first one the header: way, measure, value, 95% interval, chance."""
        rows: list[tuple[str, ...]] = [
            ("", "measure", "value", "95% interval", "chance"),
            (BOTH, *_cells(self.rsum)),
        ]
        for way, report in self.ways:
            rows += [(way if at == 0 else "", *_cells(row)) for at, row in enumerate(report.measures)]
        return rows

    def summary(self) -> str:
        """One line: what was measured on what."""
        card = self.to_texts.card
        return (
            f"{card.dataset} {card.protocol.partition(':')[0]}: {self.to_texts.encoder}, {card.engine}; "
            f"{self.to_texts.queries:,} pictures and {self.to_images.queries:,} captions, "
            f"{len(self.to_texts.skipped):,} skipped"
        )


def any_from_json(text: str) -> list[Report] | list[CrossReport]:
    """What `many_to_json` or a report's ``to_json`` gave: reports of one kind. Raises FormatError."""
    try:
        body = json.loads(text)
        some = body if isinstance(body, list) else [body]
        both = bool(some) and some[0]["format"] == FORMAT
    except (ValueError, RecursionError, KeyError, TypeError):
        return many_from_json(text)  # which says what is wrong
    return [CrossReport.from_json(json.dumps(one)) for one in some] if both else many_from_json(text)


def compare_both(
    before: CrossReport, after: CrossReport, *, varying: Iterable[str] = (), samples: int = SAMPLES, seed: int = 0
) -> list[tuple[str, Change]]:
    """(way, change) of every measure, rSum first; pictures are drawn with their captions, the same for both.

    Raises MeasureError (code ``measure/protocol``) where the cards differ in a field that is not in `varying`.
    """
    for (_, one), (_, two) in zip(before.ways, after.ways, strict=True):
        require_comparable(one.card, two.card, varying=varying)
    if before.of != after.of:
        raise MeasureError("the reports are of different captions", code="measure/protocol")
    of = np.array(before.of, dtype=np.int64)
    folds = [((rows, rows - rows[0]), (told, of[told] - rows[0])) for rows, told in cut(of, before.folds)]
    found: list[tuple[str, Change]] = []
    summed: list[list[tuple[Floats, Ints]]] = [[] for _ in folds]
    for at, ((way, one), (_, two)) in enumerate(zip(before.ways, after.ways, strict=True)):
        now = {row.label: row.value for row in two.measures}
        for row in one.measures:
            if row.label not in now:
                continue
            differences = _values(two, row.label) - _values(one, row.label)
            parts = [(differences[fold[at][0]], fold[at][1]) for fold in folds]
            if row.address in SUMMED:
                for stratum, (values, groups) in zip(summed, parts, strict=True):
                    stratum.append((100 * values, groups))
            difference = bootstrap_groups([[part] for part in parts], samples=samples, seed=seed)
            found.append((way, Change(row.label, row.value, now[row.label], difference)))
    difference = bootstrap_groups(summed, samples=samples, seed=seed)
    return [(BOTH, Change(before.rsum.label, before.rsum.value, after.rsum.value, difference)), *found]


def _values(report: Report, label: str) -> Floats:
    """(q,) by query; every one of them has something to find."""
    return np.array(report.values[label], dtype=np.float64)


def _example(body: Mapping[str, Any]) -> Example:
    return Example(**{**body, "texts": tuple(body["texts"]), "answers": tuple(Found(**one) for one in body["answers"])})


def _cells(row: Row) -> tuple[str, str, str, str]:
    show = {"share": share, "rank": place}.get(row.unit, place)
    return row.label, show(row.value), f"{show(row.low)} .. {show(row.high)}", show(row.floor)
