from __future__ import annotations

import re
from dataclasses import replace

import pytest
from trainings import report

from nearsight.core.errors import MeasureError
from nearsight.study.verdict import Verdict, judge

LOW, HIGH = [0.2, 0.3, 0.4] * 8, [0.6, 0.8, 0.7] * 8
MIXED = [0.1, 0.5, 0.31] * 8  # about LOW, and no clear difference


def verdict(before: list[float], after: list[float], label: str = "mAP") -> Verdict:
    return judge([report({label: before})], [report({label: after}, fingerprint="e" * 64)])


@pytest.mark.parametrize(
    ("before", "after", "outcome", "said"),
    [
        (LOW, HIGH, "gain", "Training helped: mAP is clearly better."),
        (HIGH, LOW, "loss", "Training made it worse: mAP is clearly worse."),
        (LOW, MIXED, "unclear", "Training made no clear difference: what there is could be chance."),
        (LOW, LOW, "same", "Training changed nothing that mAP can see."),
        ([None] * 24, [None] * 24, "unmeasured", "Whether training helped could not be measured."),
    ],
)
def test_what_one_protocol_says(before: list[float], after: list[float], outcome: str, said: str) -> None:
    found = verdict(before, after)
    assert (found.outcome, found.sentence) == (outcome, said)


def test_less_is_better_in_places() -> None:
    assert verdict([9.0, 7.0, 8.0] * 8, [2.0, 1.0, 3.0] * 8, "median rank").outcome == "gain"
    fell = verdict([2.0, 1.0, 3.0] * 8, [9.0, 7.0, 8.0] * 8, "median rank")
    assert fell.outcome == "loss"
    assert "median rank rose from 2.0 to 8.0: +6.0" in fell.protocols[0].told


def test_the_numbers_stand_beside_the_words() -> None:
    (protocol,) = verdict(LOW, HIGH).protocols
    assert re.match(
        r"mAP rose from 0\.3000 to 0\.7000: \+0\.4000, 95% interval \+0\.3\d+ to \+0\.4\d+, clear gain\.", protocol.told
    )
    (same,) = verdict(LOW, LOW).protocols
    assert same.told.startswith("mAP stayed at 0.3000: +0.0000")
    (lost,) = verdict(HIGH, LOW).protocols
    assert "−0.4000" in lost.told


def test_protocols_that_disagree_are_told_apart() -> None:
    def both(one: list[float], two: list[float], other: str = "test-loo") -> list:
        return [report({"mAP": one}), report({"mAP": two}, protocol=other)]

    agree = judge(both(LOW, LOW), both(HIGH, HIGH))
    assert (agree.outcome, agree.sentence) == ("gain", "Training helped: mAP is clearly better under both protocols.")
    mixed = judge(both(LOW, LOW), both(HIGH, MIXED))
    assert mixed.outcome == "mixed"
    assert mixed.sentence == "Training helped under test->train, but made no clear difference under test-loo."
    worse = judge(both(HIGH, LOW), both(LOW, HIGH))
    assert worse.sentence == "Training helped under test-loo, but made it worse under test->train."


def test_a_measure_that_went_the_other_way_is_in_the_headline() -> None:
    before = report({"mAP": LOW, "P@1": HIGH, "P@5": HIGH, "MRR": LOW})
    after = report({"mAP": HIGH, "P@1": LOW, "P@5": LOW, "MRR": MIXED})
    found = judge([before], [after])
    assert found.outcome == "gain"
    assert found.sentence == "Training helped: mAP is clearly better, but P@1 and P@5 are clearly worse."
    assert found.protocols[0].told.endswith("Others: clear loss: P@1, P@5; could be chance: MRR.")


def test_chance_is_said() -> None:
    poor, good = report({"mAP": LOW}, floor=0.295), report({"mAP": HIGH}, floor=0.295)
    (rose,) = judge([poor], [good]).protocols
    assert "Before training it was no better than chance (0.2950)." in rose.told
    assert "After training" not in rose.told
    (fell,) = judge([good], [poor]).protocols
    assert "After training it was no better than chance" in fell.told


def test_few_queries_are_never_clear() -> None:
    few = verdict([0.1, 0.2, 0.3, 0.2, 0.1], [0.9, 0.9, 0.8, 0.9, 0.8])
    assert few.outcome == "unclear"
    assert "5 queries are too few" in few.protocols[0].told
    assert verdict([0.1, 0.2, 0.3, 0.2, 0.1, 0.2], [0.9, 0.9, 0.8, 0.9, 0.8, 0.7]).outcome == "gain"


def test_what_cannot_be_compared_is_refused() -> None:
    one = report({"mAP": LOW})
    for before, after in (([], []), ([one], [one, one]), ([one], [report({"mAP": LOW}, protocol="test-loo")])):
        with pytest.raises(MeasureError):
            judge(before, after)
    with pytest.raises(MeasureError):
        judge([one], [report({"P@1": LOW})])


def test_how_the_encoder_was_chosen_may_differ() -> None:
    one, two = report({"mAP": LOW}), report({"mAP": HIGH})
    chosen = replace(two, card=replace(two.card, selection_split="validation", seeds={"training": 3}))
    assert judge([one], [chosen]).outcome == "gain"
