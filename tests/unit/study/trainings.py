"""Reports and histories made up for tests: values by query are given, everything else follows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from nearsight.learn.doctor import BINS, Finding, Health
from nearsight.learn.history import Epoch
from nearsight.measure.intervals import bootstrap
from nearsight.measure.protocol import Card
from nearsight.study.pictures import Pictures
from nearsight.study.report import Answer, ClassRow, Failure, Report, Row

PICTURES = Pictures(lambda path: b"", lambda data, side: Image.new("RGB", (60, 40), (90, 120, 150)))


def report(values: Mapping[str, Sequence[float | None]], *, protocol: str = "test->train", **given: Any) -> Report:
    """A report of these values by query; labels that end on "rank" are places. Half of the queries are of class a."""
    card = Card(
        "made", protocol, "q" * 64, "g" * 64, "by key", given.pop("fingerprint", "f" * 64), "exact",
        {label: f"{label}, as defined" for label in values},
    )  # fmt: skip
    rows, floor = [], given.pop("floor", 0.1)
    for label, row in values.items():
        interval = bootstrap(np.array([math.nan if v is None else v for v in row]), samples=200)
        unit = "rank" if label.endswith("rank") else "share"
        rows.append(Row(label, f"{label}, as defined", label, unit, interval.value, interval.low, interval.high, floor))
    first, row = next(iter(values.items()))
    n = len(row)
    halves = {"class a": row[: n // 2], "class b": row[n // 2 :]}
    classes = tuple(
        ClassRow(name, len(part), {first: float(np.mean([v or 0 for v in part] or [0]))}, {first: floor})
        for name, part in halves.items()
    )
    given = {"lone": 0, "gallery": 50, "search_ms": 1.0, "skipped": (), "worst": (), "loss": None} | given
    return Report(
        card=card, encoder=given.pop("encoder", "net"), queries=n, measures=tuple(rows),
        classes=given.pop("classes", classes), query_keys=tuple(range(100, 100 + n)),
        values={label: tuple(v) for label, v in values.items()}, **given,
    )  # fmt: skip


def failure(key: int, value: float, path: str = "/data/worst.jpg") -> Failure:
    """A bad query with one wrong answer."""
    return Failure(key, path, "class a", value, (Answer(1, "/data/answer.jpg", "class b", 0.9, False),))


def epoch(number: int, of: int = 9, **given: Any) -> Epoch:
    """An epoch of a training that goes well."""
    finding = given.pop("finding", None)
    health = {
        "loss": 1 / number, "floor": 0.7, "active": 0.5 / number, "rank": 10.0 + number, "dim": 64, "dead": 3,
        "norms": (1.0, 2.0, 3.0), "positive": (1 / BINS,) * BINS, "negative": (1 / BINS,) * BINS, "gradient": 0.25,
        "findings": () if finding is None else (Finding(*finding),),
    }  # fmt: skip
    health |= {name: given.pop(name) for name in set(given) & set(health) - {"loss"}}
    body = {
        "epoch": number, "of": of, "loss": 1 / number, "rate": 1e-3, "seconds": 2.0, "pictures": 100,
        "validation": 0.5 + number / 100, "best": True,
    }  # fmt: skip
    return Epoch(**(body | given), health=Health(**health))  # type: ignore[arg-type]
