"""Trainings of two heads that are made once and kept as figures: the rows of tables and of the waterfall."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from nearsight.core import settings
from nearsight.core.artefact import replace_file
from nearsight.core.errors import InputError, TrainingError
from nearsight.core.events import Done, Event
from nearsight.learn.devices import Devices
from nearsight.learn.fit import determining
from nearsight.learn.history import Epoch, Progress
from nearsight.learn.recipe import PairRecipe
from nearsight.study.crossmodal.features import Featured, featured
from nearsight.study.crossmodal.report import CrossReport
from nearsight.study.crossmodal.train import Learned, learn, measured, require_pairs, unsaved
from nearsight.study.training.folder import prepared

Happening: TypeAlias = Event | Progress | Epoch
RSUM = "rSum"
_MEMORY = "training/memory"


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95% interval (or, over seeds, its spread), and that of random rankings."""

    value: float
    low: float
    high: float
    floor: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of one recipe, measured on its test split at one length of vectors.

    failed     why there are no figures: what the training was ended by, or the zero vectors that it gave
    loss, validation_loss  at the last epoch; the second is None without a validation split
    validation  the recipe's measure on the validation split, of the epoch whose weights were taken
    figures    ``rSum``, ``image->text R@1``, ...: by way and measure, as the vectors are
    corrected  the same with the recipe's hubness correction; empty where it names none
    findings   what the doctor found at the last epoch
    """

    dim: int
    seed: int
    failed: str = ""
    loss: float | None = None
    validation_loss: float | None = None
    validation: float | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)
    corrected: Mapping[str, Figure] = field(default_factory=dict)
    epochs: int = 0
    chosen: int = 0
    seconds: float = 0.0
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """What the trials of one recipe with several seeds gave.

    figures   mean over the seeds with their spread, or of one seed its 95% interval; none where every seed failed
    seconds   of a training; losses and seconds are means
    findings  of any seed
    failed    why seeds are missing, of each its reason
    """

    figures: Mapping[str, Figure]
    loss: float | None
    validation_loss: float | None
    seeds: tuple[int, ...]
    seconds: float
    findings: tuple[str, ...]
    failed: tuple[str, ...]

    @classmethod
    def of(cls, trials: Sequence[Trial], *, corrected: bool) -> Summary:
        """`corrected`: with the hubness correction of the recipe, where it has one."""
        found = [(one.corrected if corrected else None) or one.figures for one in trials if one.figures]
        return cls(
            figures={name: _over([one[name] for one in found]) for name in (found[0] if found else ())},
            loss=_mean([one.loss for one in trials]),
            validation_loss=_mean([one.validation_loss for one in trials]),
            seeds=tuple(one.seed for one in trials),
            seconds=sum(one.seconds for one in trials) / len(trials),
            findings=tuple(sorted({code for one in trials for code in one.findings})),
            failed=tuple(f"seed {one.seed}: {one.failed}" for one in trials if one.failed),
        )

    @property
    def rsum(self) -> Figure | None:
        """None where every seed failed."""
        return self.figures.get(RSUM)

    def told(self, name: str, show: str = ".1f") -> str:
        """A figure for people; a dash where every seed failed."""
        return format(self.figures[name].value, show) if self.figures else "-"

    def recalls(self, way: str) -> str:
        """R@1 / R@5 / R@10 in percent."""
        return " / ".join(
            f"{100 * self.figures[f'{way} R@{k}'].value:.1f}" if self.figures else "-" for k in (1, 5, 10)
        )

    def remarks(self, row: str) -> list[str]:
        """What the doctor found in a row, and why it has no figures, a line each."""
        told = (", ".join(self.findings), *self.failed)
        return [f"{row}: {what}" for what in told if what]

    def interval(self) -> str:
        """Of rSum; where every seed failed, that."""
        return "failed" if self.rsum is None else f"{self.rsum.low:.1f} .. {self.rsum.high:.1f}"


class Trials:
    """Runs them. Data and features are loaded once a source; figures lie in `folder`, a file a training."""

    def __init__(self, folder: Path, *, device: str = "auto", cache: Path | None = None) -> None:
        """`cache`: where features are kept; default: the user's."""
        self.folder, self.device, self.cache = folder / "trials", device, cache
        self._data: dict[tuple[object, ...], Featured] = {}
        self._devices: dict[str, Devices] = {}

    def featured(self, recipe: PairRecipe) -> Generator[Event, None, Featured]:
        """The recipe's data and features, which recipes with the same tower and words share."""
        key = (recipe.data, recipe.pictures.tower, recipe.text.words)
        if key not in self._data:
            self._data[key] = yield from featured(recipe, folder=self.cache)
        return self._data[key]

    def seeds(
        self, recipe: PairRecipe, seeds: Sequence[int]
    ) -> Generator[Happening, None, tuple[tuple[Trial, ...], ...]]:
        """`run` with every seed: at each length of vectors, a trial a seed."""
        runs = []
        for seed in seeds:
            runs.append((yield from self.run(replace(recipe, seed=seed))))
        return tuple(zip(*runs, strict=True))

    def run(self, recipe: PairRecipe) -> Generator[Happening, None, tuple[Trial, ...]]:
        """Train and measure, at the whole length and at each of the recipe's prefixes; or the figures of before.

        One that was broken off goes on from its checkpoint. What the recipe itself makes fail is a trial that says so.
        Raises what `featured` and `learn` raise, TrainingError for too little memory, Locked, WriteFailed.
        """
        require_pairs(recipe)
        if not recipe.data.test:
            raise InputError("the recipe names no test split", code="recipe/data", hint="data.test")
        data = yield from self.featured(recipe)
        digests = [split.source.digest for split in (data.train, data.validation, data.test) if split is not None]
        key = hashlib.sha256("\n".join([determining(recipe), *digests]).encode()).hexdigest()[:32]
        kept = self.folder / f"{key}.json"
        found = _read(kept)
        if not found:
            place = self.folder / key
            with prepared(place, settings.write(recipe), fresh=False):
                found = yield from self._found(recipe, data, place / "checkpoint")
                replace_file(kept, json.dumps([asdict(one) for one in found], indent=1).encode())
            shutil.rmtree(place, ignore_errors=True)  # nothing needs its weights any more
        yield Done(f"{recipe.name}, size {recipe.dim}, seed {recipe.seed}", {}, found[0].seconds)
        return found

    def _found(
        self, recipe: PairRecipe, data: Featured, checkpoint: Path
    ) -> Generator[Happening, None, tuple[Trial, ...]]:
        devices = self._devices.setdefault(recipe.loop.precision, Devices(recipe.loop.precision, self.device))
        lengths = (recipe.dim, *recipe.objective.prefixes)
        try:
            learned = yield from learn(recipe, data, folder=checkpoint, devices=devices)
        except TrainingError as error:
            if error.code == _MEMORY:  # says nothing of the recipe: another day it may fit
                raise
            return tuple(Trial(dim, recipe.seed, error.message) for dim in lengths)
        trials = []
        for dim in lengths:
            trials.append((yield from _measured(recipe, learned, dim)))
        return tuple(trials)


def _measured(recipe: PairRecipe, learned: Learned, dim: int) -> Generator[Event, None, Trial]:
    fitted, last = learned.fitted, learned.fitted.history[-1]
    trained = Trial(
        dim=dim,
        seed=recipe.seed,
        loss=last.loss,
        validation_loss=last.validation_loss,
        validation=fitted.history[fitted.chosen - 1].validation,
        epochs=len(fitted.history),
        chosen=fitted.chosen,
        seconds=fitted.seconds,
        findings=tuple(finding.code for finding in last.health.findings),
    )
    try:
        plain, corrected = yield from measured(recipe, learned, unsaved(recipe, learned), dim=dim)
    except TrainingError as error:
        return replace(trained, failed=error.message)
    return replace(trained, figures=figures(plain), corrected={} if corrected is None else figures(corrected))


def figures(report: CrossReport) -> dict[str, Figure]:
    """``rSum``, and each way's measures as ``image->text R@1``."""
    rows = {report.rsum.label: report.rsum}
    rows |= {f"{way} {row.label}": row for way, one in report.ways for row in one.measures}
    return {name: Figure(row.value, row.low, row.high, row.floor) for name, row in rows.items()}


def _over(found: Sequence[Figure]) -> Figure:
    """One figure over seeds."""
    if len(found) == 1:
        return found[0]
    values = [one.value for one in found]
    return Figure(sum(values) / len(values), min(values), max(values), found[0].floor)


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one of them is missing or no number."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if len(known) == len(values) else None


def _read(path: Path) -> tuple[Trial, ...]:
    """What was kept; nothing where it is missing or of another version: it is done again."""
    try:
        return tuple(
            Trial(
                **{
                    **body,
                    "figures": {name: Figure(**one) for name, one in body["figures"].items()},
                    "corrected": {name: Figure(**one) for name, one in body["corrected"].items()},
                    "findings": tuple(body["findings"]),
                }
            )
            for body in json.loads(path.read_bytes())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()
