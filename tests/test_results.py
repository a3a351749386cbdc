"""The committed figures are well-formed, their verdicts follow from them, and the README quotes them as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from benchmarks._results import meets, number, page
from benchmarks.readme import QUOTING

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "docs" / "results").glob("*.json"))
TARGET = re.compile(r"^(none|(>=|<=|=)-?[\d.]+|-?[\d.]+\.\.-?[\d.]+)$")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_results_are_well_formed(path: Path) -> None:
    body = json.loads(path.read_text())
    assert set(body) == {"name", "date", "commit", "machine", "command", "versions", "rows"}
    assert body["name"] == path.stem
    ids = [row["id"] for row in body["rows"]]
    assert len(set(ids)) == len(ids) > 0
    for row in body["rows"]:
        assert set(row) == {"id", "what", "value", "low", "high", "unit", "target", "meets", "note"}, row["id"]
        assert TARGET.match(row["target"]), row
        assert row["meets"] == meets(row["value"], row["target"]), row["id"]
        assert row["meets"] or row["note"], f"{row['id']} falls short and does not say why"
    assert path.with_suffix(".md").read_text() == page(body), "the page is made from the JSON"


@pytest.mark.parametrize(
    ("value", "target", "verdict"),
    [
        (1, ">=1", True),
        (0.9, ">=1", False),
        (2, "<=1", False),
        (0, "=0", True),
        (0.5, "0.4..0.6", True),
        (0.7, "0.4..0.6", False),
    ],
)
def test_meets(value: float, target: str, verdict: bool) -> None:
    assert meets(value, target) is verdict


@pytest.mark.parametrize("name", QUOTING)
def test_pages_quote_the_results(name: str) -> None:
    """Figures in pages stand as ``value<!--file:id-->`` and must be those of the JSON."""
    quoted = re.findall(r"([^\s|<>]+)<!--(\w+):(\w+)-->", (ROOT / name).read_text())
    assert quoted, f"{name} shows results"
    for text, file, row_id in quoted:
        rows = {row["id"]: row for row in json.loads((ROOT / "docs" / "results" / f"{file}.json").read_text())["rows"]}
        assert text == number(rows[row_id]["value"]), f"{row_id} is {number(rows[row_id]['value'])}, not {text}"


def test_the_plan_for_a_billion_is_that_of_the_figures() -> None:
    pytest.importorskip("pyarrow")
    from benchmarks.scale.billion import MARKS, Given, plan, rewritten

    text = (ROOT / "docs" / "bulk.md").read_text()
    assert rewritten(text) == text, "run: python -m benchmarks.scale.billion --write docs/bulk.md"
    assert text.count(MARKS[0]) == text.count(MARKS[1]) == 1
    given = Given(
        n=7.2e9, encode=1000, take_in=2000, file=1e5, planned=20, shard=2100, item=300, dim=1000, width=2,
        machines=10, collections=50,
    )  # fmt: skip
    values = {what: value for what, _, value, _ in plan(given)}
    assert values["encoding, one machine"] == values["cost of it"] == 2000
    assert values["encoding, all machines"] == 200
    assert values["network of one machine meanwhile"] == 100
    assert values["read from where the pictures are"] == 720
    assert values["import, k writers at once"] == 20
    assert values["collections on disk"] == pytest.approx(7.2e9 * 2300 / 1e12)
