"""Did it help? Reports before and after, in words that claim no more than their intervals do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from nearsight.core.errors import MeasureError
from nearsight.study.report import Change, Report, Row, compare, place, share

Outcome: TypeAlias = Literal["gain", "loss", "unclear", "same", "unmeasured"]

VARYING = ("encoder", "selection_split", "seeds")
"""What a training changes on the protocol card: the encoder, and how that was chosen."""

_CLAUSES: dict[Outcome, str] = {
    "gain": "helped",
    "loss": "made it worse",
    "unclear": "made no clear difference",
    "same": "changed nothing",
    "unmeasured": "could not be measured",
}
_TOLD: dict[Outcome, str] = {
    "gain": "clear gain",
    "loss": "clear loss",
    "unclear": "could be chance",
    "same": "no change",
    "unmeasured": "not measured",
}
_FEW = 6  # queries that all rise: the fewest of which a sign test says at 5% that it is no chance


@dataclass(frozen=True, slots=True)
class Judged:
    """One measure: its change, its rows in both reports, over how many queries, and what that comes to."""

    change: Change
    before: Row
    after: Row
    queries: int

    @property
    def outcome(self) -> Outcome:
        """``gain`` or ``loss``, by what is better here, where the interval of the paired differences leaves out 0.

        Never of fewer than 6 queries, of which no interval can be trusted.
        """
        interval = self.change.difference
        if math.isnan(interval.value):
            return "unmeasured"
        if interval.low == interval.high == 0:
            return "same"
        if not self.change.clear or self.queries < _FEW:
            return "unclear"
        return "gain" if (interval.low > 0) == (self.before.unit != "rank") else "loss"

    @property
    def told(self) -> str:
        """The outcome in words."""
        return _TOLD[self.outcome]

    def show(self, value: float) -> str:
        """A value of this measure; a dash where there is none."""
        if math.isnan(value):
            return "–"
        return place(value) if self.before.unit == "rank" else share(value)

    def signed(self, value: float) -> str:
        """A difference of this measure, with its sign."""
        if math.isnan(value):
            return "–"
        text = self.show(abs(value))
        return f"{'−' if value < 0 else '+'}{text}"


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol before and after: its name, its reports, and every measure that both have."""

    name: str
    before: Report
    after: Report
    measures: tuple[Judged, ...]

    @property
    def first(self) -> Judged:
        """The measure that the verdict is about."""
        return self.measures[0]

    @property
    def told(self) -> str:
        """One or more sentences: the first measure with its interval, where the others differ, and chance."""
        first, change = self.first, self.first.change
        if first.outcome == "unmeasured":
            return f"{change.label} was not measured."
        moved = f"from {first.show(change.before)} to {first.show(change.after)}"
        moved = f"rose {moved}" if change.after > change.before else f"fell {moved}"
        if change.after == change.before:
            moved = f"stayed at {first.show(change.after)}"
        text = (
            f"{change.label} {moved}: "
            f"{first.signed(change.difference.value)}, 95% interval {first.signed(change.difference.low)} to "
            f"{first.signed(change.difference.high)}, {first.told}."
        )
        others: dict[str, list[str]] = {told: [] for told in _TOLD.values()}
        for measure in self.measures[1:]:
            others[measure.told].append(measure.change.label)
        if len(self.measures) > 1:
            grouped = (f"{told}: {', '.join(labels)}" for told, labels in others.items() if labels)
            text += f" Others: {'; '.join(grouped)}."
        if first.queries < _FEW:
            text += f" {first.queries} queries are too few to tell."
        for when, row in (("Before", first.before), ("After", first.after)):
            if _no_better_than_chance(row):
                text += f" {when} training it was no better than chance ({first.show(row.floor)})."
        return text


@dataclass(frozen=True, slots=True)
class Verdict:
    """The headline, and what it rests on. ``outcome``: that of all protocols, or ``mixed``."""

    sentence: str
    outcome: Outcome | Literal["mixed"]
    protocols: tuple[Protocol, ...]


def judge(before: Sequence[Report], after: Sequence[Report]) -> Verdict:
    """Reports of the same protocols in the same order -> the verdict, by the first measure of each.

    Raises MeasureError (code ``measure/protocol``) where there are none, or the two of a pair measure different things.
    """
    if not before or len(before) != len(after):
        raise MeasureError(
            f"{len(before)} reports before and {len(after)} after training",
            code="measure/protocol",
            hint="give one report a protocol, the same protocols in the same order",
        )
    one_set = len({report.card.dataset for report in before}) == 1
    protocols = []
    for one, two in zip(before, after, strict=True):
        was, now = ({row.label: row for row in report.measures} for report in (one, two))
        judged = tuple(
            Judged(change, was[change.label], now[change.label], one.queries)
            for change in compare(one, two, varying=VARYING)
        )
        if not judged:
            raise MeasureError("the reports have no measure in common", code="measure/protocol")
        name = one.card.protocol if one_set else f"{one.card.dataset} {one.card.protocol}"
        protocols.append(Protocol(name, one, two, judged))
    groups: dict[Outcome, list[str]] = {}
    for protocol in protocols:
        groups.setdefault(protocol.first.outcome, []).append(protocol.name)
    outcomes = list(groups)
    label = protocols[0].first.change.label
    if len(outcomes) == 1:
        sentence = _alone(outcomes[0], label, len(protocols)) + _against(outcomes[0], protocols)
        return Verdict(f"{sentence}.", outcomes[0], tuple(protocols))
    clauses = [
        f"{_CLAUSES[outcome]} under {' and '.join(groups[outcome])}" for outcome in _CLAUSES if outcome in groups
    ]
    return Verdict(f"Training {', but '.join(clauses)}.", "mixed", tuple(protocols))


def _alone(outcome: Outcome, label: str, protocols: int) -> str:
    """The headline where all protocols agree."""
    where = "" if protocols == 1 else " under both protocols" if protocols == 2 else f" under all {protocols} protocols"
    return {
        "gain": f"Training helped: {label} is clearly better{where}",
        "loss": f"Training made it worse: {label} is clearly worse{where}",
        "unclear": f"Training made no clear difference{where}: what there is could be chance",
        "same": f"Training changed nothing{where} that {label} can see",
        "unmeasured": f"Whether training helped could not be measured{where}",
    }[outcome]


def _against(outcome: Outcome, protocols: Sequence[Protocol]) -> str:
    """The measures that clearly went the other way, for the end of the headline."""
    words: dict[Outcome, str] = {"gain": "better", "loss": "worse"}
    told = ""
    for kind, word in words.items():
        labels = {m.change.label: None for p in protocols for m in p.measures if m.outcome == kind}
        if labels and kind != outcome:
            told += f", but {_listed(list(labels))} clearly {word}"
    return told


def _listed(labels: Sequence[str]) -> str:
    *most, last = labels
    return f"{', '.join(most)} and {last} are" if most else f"{last} is"


def _no_better_than_chance(row: Row) -> bool:
    """Whether the interval reaches down (for places: up) to what random rankings give."""
    if math.isnan(row.value) or math.isnan(row.floor):
        return False
    return row.high >= row.floor if row.unit == "rank" else row.low <= row.floor
