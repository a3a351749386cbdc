"""Trainings of two heads that are made once and kept as figures: the rows of tables and of the waterfall."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nearsight.core.artefact import replace_file
from nearsight.core.events import Event
from nearsight.learn.devices import Devices
from nearsight.learn.fit import determining
from nearsight.learn.history import Epoch, Progress
from nearsight.learn.recipe import PairRecipe
from nearsight.study.crossmodal.features import Featured, featured
from nearsight.study.crossmodal.report import CrossReport
from nearsight.study.crossmodal.train import Learned, learn, measured, unsaved

Events = Generator[Event | Progress | Epoch, None, "tuple[Trial, ...]"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95% interval, and that of random rankings."""

    value: float
    low: float
    high: float
    floor: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of one recipe, measured on its test split at one length of vectors.

    loss, validation_loss  at the last epoch; the second is None without a validation split
    validation  the recipe's measure on the validation split, of the epoch whose weights were taken
    figures    ``rSum``, ``image->text R@1``, ...: by way and measure, as the vectors are
    corrected  the same with the recipe's hubness correction; empty where it names none
    findings   what the doctor found at the last epoch
    """

    recipe: str
    dim: int
    seed: int
    loss: float
    validation_loss: float | None
    validation: float | None
    figures: Mapping[str, Figure]
    corrected: Mapping[str, Figure]
    epochs: int
    chosen: int
    seconds: float
    findings: tuple[str, ...]

    @property
    def best(self) -> Mapping[str, Figure]:
        """Corrected, where there is a correction."""
        return self.corrected or self.figures


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

    def run(self, recipe: PairRecipe) -> Events:
        """Train and measure, at the whole length and at each of the recipe's prefixes; or the figures of before.

        One that was broken off goes on from its checkpoint. Raises what `learn` and `measured` raise, WriteFailed.
        """
        data = yield from self.featured(recipe)
        digests = [split.source.digest for split in (data.train, data.validation, data.test) if split is not None]
        key = hashlib.sha256("\n".join([determining(recipe), *digests]).encode()).hexdigest()[:32]
        kept = _read(self.folder / f"{key}.json")
        if kept:
            return kept
        self.folder.mkdir(parents=True, exist_ok=True)
        devices = self._devices.setdefault(recipe.loop.precision, Devices(recipe.loop.precision, self.device))
        learned = yield from learn(recipe, data, folder=self.folder / key, devices=devices)
        found = []
        for dim in (recipe.dim, *recipe.objective.prefixes):
            found.append((yield from _measured(recipe, learned, dim)))
        replace_file(self.folder / f"{key}.json", json.dumps([asdict(one) for one in found], indent=1).encode())
        shutil.rmtree(self.folder / key, ignore_errors=True)  # nothing needs its weights any more
        return tuple(found)


def _measured(recipe: PairRecipe, learned: Learned, dim: int) -> Generator[Event, None, Trial]:
    plain, corrected = yield from measured(recipe, learned, unsaved(recipe, learned), dim=dim)
    history = learned.fitted.history
    return Trial(
        recipe=recipe.name,
        dim=dim,
        seed=recipe.seed,
        loss=history[-1].loss,
        validation_loss=history[-1].validation_loss,
        validation=history[learned.fitted.chosen - 1].validation,
        figures=figures(plain),
        corrected={} if corrected is None else figures(corrected),
        epochs=len(history),
        chosen=learned.fitted.chosen,
        seconds=learned.fitted.seconds,
        findings=tuple(finding.code for finding in history[-1].health.findings),
    )


def figures(report: CrossReport) -> dict[str, Figure]:
    """``rSum``, and each way's measures as ``image->text R@1``."""
    rows = {report.rsum.label: report.rsum}
    rows |= {f"{way} {row.label}": row for way, one in report.ways for row in one.measures}
    return {name: Figure(row.value, row.low, row.high, row.floor) for name, row in rows.items()}


def mean(trials: Sequence[Trial], name: str, *, corrected: bool = False) -> Figure:
    """A figure's mean over seeds, with their spread; of one seed, its own interval."""
    found = [(one.corrected if corrected else one.figures)[name] for one in trials]
    if len(found) == 1:
        return found[0]
    values = [one.value for one in found]
    return Figure(sum(values) / len(values), min(values), max(values), found[0].floor)


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
    except (OSError, ValueError, KeyError, TypeError):
        return ()
