"""What an equal-budget comparison of losses found: rows, trials, the protocol; as JSON and as rows for a terminal.

The JSON, format ``nearsight-comparison`` version 1: {format, version, made_by, dataset, protocol: {NAME: text}, chance,
rows: [...], notes: [...]}, rows and their trials with the fields below; null stands for what could not be measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from nearsight.core.artefact import made_by
from nearsight.study.comparing.contenders import Setting

FORMAT, VERSION = "nearsight-comparison", 1
BEST, WORSE, BETTER = "best", "clearly below the best", "clearly above the best"
UNCLEAR, FAILED = "could be chance", "failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting, trained once a fold.

    score     mean of `folds`, the mAP on each fold's held-out classes; None where a fold failed
    pictures  that went through the network, all folds together
    failed    why, where it did
    """

    number: int
    setting: Setting
    folds: tuple[float | None, ...]
    score: float | None
    pictures: int
    seconds: float
    findings: tuple[str, ...]
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Seed:
    """The best setting, trained on all training classes and judged on the test classes: mAP, P@1."""

    number: int
    value: float | None
    first: float | None
    pictures: int
    seconds: float
    findings: tuple[str, ...]
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A contender, or the network without training (no objective, no trials).

    objective    its addresses as they were judged in the end, the best setting in them
    best         number of the trial with the best validation; None where all failed
    value        mean over the seeds of the test mAP; low, high: the 95% bootstrap interval over queries of AP that is
                 averaged over seeds
    difference   of the best row and this one, (value, low, high), by a paired bootstrap over queries: below 0 is worse
    verdict      best, clearly below the best, could be chance, failed; of the network without training also clearly
                 above the best
    """

    name: str
    objective: Mapping[str, str]
    best: int | None
    validation: float | None
    value: float | None
    low: float | None
    high: float | None
    first: float | None
    difference: tuple[float, float, float] | None
    verdict: str
    trials: tuple[Trial, ...]
    seeds: tuple[Seed, ...]
    spaces: tuple[str, ...]

    @property
    def setting(self) -> Setting:
        """What the best trial took."""
        return {} if self.best is None else self.trials[self.best].setting

    @property
    def spread(self) -> tuple[float, float] | None:
        """The lowest and the highest seed; None with fewer than two."""
        values = [seed.value for seed in self.seeds if seed.value is not None]
        return (min(values), max(values)) if len(values) > 1 else None

    @property
    def minutes(self) -> float:
        """Of training, trials and seeds together."""
        return (sum(one.seconds for one in self.trials) + sum(one.seconds for one in self.seeds)) / 60

    @property
    def failures(self) -> tuple[str, ...]:
        """``trial 2: the loss is not a finite number any more``."""
        trials = [f"trial {one.number}: {one.failed}" for one in self.trials if one.failed]
        return (*trials, *(f"seed {one.number}: {one.failed}" for one in self.seeds if one.failed))


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows, the best first; ``protocol`` states everything that a figure depends on."""

    dataset: str
    protocol: Mapping[str, str]
    chance: float
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """The document described above, with a newline at its end."""
        body = {"format": FORMAT, "version": VERSION, "made_by": made_by(), **asdict(self)}
        return json.dumps(body, indent=1, allow_nan=False) + "\n"

    def table(self) -> list[tuple[str, ...]]:
        """For a terminal, the first row the header."""
        lines: list[tuple[str, ...]] = [
            ("loss", "validation", "test mAP", "95% interval", "seeds", "P@1", "to the best", "", "minutes")
        ]
        for row in self.rows:
            spread, change = row.spread, row.difference
            lines.append(
                (
                    row.name, share(row.validation), share(row.value), f"{share(row.low)} .. {share(row.high)}",
                    "-" if spread is None else f"{spread[0]:.4f} .. {spread[1]:.4f}", share(row.first),
                    "-" if change is None else f"{change[0]:+.4f}", row.verdict, f"{row.minutes:.1f}",
                )
            )  # fmt: skip
        return lines


def share(value: float | None) -> str:
    """Four digits, or a dash for what was not measured."""
    return "-" if value is None else f"{value:.4f}"


def told(setting: Setting) -> str:
    """``loop.lr=0.0001, margin=0.2``."""
    return ", ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in setting.items()
    )
