"""What a comparison may claim: clear where neither queries nor seeds could have made the difference."""

from __future__ import annotations

import numpy as np
import pytest

from nearsight.core.items import Item
from nearsight.learn.pictures import Pictures
from nearsight.learn.recipe import Goal, Recipe
from nearsight.study.comparing.comparison import BEST, BETTER, FAILED, UNCLEAR, WORSE, Comparison, Row, Trial
from nearsight.study.comparing.contenders import Contender
from nearsight.study.comparing.judgement import UNTRAINED, Ended, judgement
from nearsight.study.comparing.trainings import Line

QUERIES = 40


@pytest.fixture
def test(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    items = tuple(Item(n, tmp_path_factory.getbasetemp() / f"{n}.png", f"class{n % 2}") for n in range(QUERIES))
    return Pictures(items, np.arange(QUERIES) % 2, ("class0", "class1"), "", (), 16)


def line(*values: float) -> Line:
    """AP by query, repeated."""
    whole = tuple(values) * (QUERIES // len(values))
    return Line("key", "told", "", 0.1, float(np.mean(whole)), 0.5, whole, 100, 1.0)


def broken() -> Line:
    return Line("key", "told", "", 0.1, None, None, (), 0, 0.0, (), "not finite")


def judged(test: Pictures, nothing: Line, **contenders: list[Line]) -> Comparison:
    trial = Trial(0, {"loop.lr": 0.1}, (0.5, 0.7), 0.6, 100, 1.0, ())
    tested = [
        Ended(Contender(name), Goal(name), (trial,), trial if lines else None, tuple(enumerate(lines)), ())
        for name, lines in contenders.items()
    ]
    return judgement(Recipe(), "made", {}, tested, nothing, test, test)


def rows(found: Comparison) -> dict[str, Row]:
    return {row.name: row for row in found.rows}


def test_clear_is_what_neither_queries_nor_seeds_explain(test: Pictures) -> None:
    found = rows(
        judged(
            test,
            line(0.2, 0.3),
            good=[line(0.8, 0.9), line(0.82, 0.9)],
            steady=[line(0.7, 0.8), line(0.72, 0.8)],
            lucky=[line(0.6, 0.8), line(0.83, 0.9)],  # clearly less by its queries; one seed stands above good's lowest
            noisy=[line(0.5, 1.0, 0.8, 1.0), line(0.5, 1.0, 0.8, 1.0)],
        )
    )
    assert {name: row.verdict for name, row in found.items()} == {
        "good": BEST, "steady": WORSE, "lucky": UNCLEAR, "noisy": UNCLEAR, UNTRAINED: WORSE,
    }  # fmt: skip
    assert found["lucky"].difference[2] < 0
    assert found["steady"].difference == pytest.approx((-0.1, -0.1, -0.1))
    assert found["good"].value == pytest.approx(0.855)
    assert found["good"].spread == pytest.approx((0.85, 0.86))
    assert found["good"].low <= found["good"].value <= found["good"].high
    assert list(found) == ["good", "noisy", "lucky", "steady", UNTRAINED]


def test_training_may_make_it_worse(test: Pictures) -> None:
    found = judged(test, line(0.9), one=[line(0.5)])
    assert [(row.name, row.verdict) for row in found.rows] == [(UNTRAINED, BETTER), ("one", BEST)]
    assert any("One seed" in note for note in found.notes)


def test_what_failed_stands_last_and_a_seed_that_failed_is_left_out(test: Pictures) -> None:
    found = judged(test, line(0.4), none=[], all=[broken(), broken()], some=[line(0.8), broken()])
    verdicts = {row.name: (row.verdict, row.value) for row in found.rows}
    assert verdicts == {
        "some": (BEST, pytest.approx(0.8)), UNTRAINED: (WORSE, pytest.approx(0.4)), "none": (FAILED, None),
        "all": (FAILED, None),
    }  # fmt: skip
    assert rows(found)["some"].failures == ("seed 1: not finite",)


def test_without_any_contender_the_network_itself_still_has_its_interval(test: Pictures) -> None:
    found = judged(test, line(0.4, 0.6), none=[])
    first = found.rows[0]
    assert (first.name, first.verdict) == (UNTRAINED, UNCLEAR)
    assert first.low < 0.5 < first.high
    assert "null" in found.to_json()
