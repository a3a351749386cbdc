"""Many short trainings of one network, each judged on classes that it did not learn, and none done twice.

``trials.jsonl`` holds a line a training: its key (sha256 over the recipe as it ran and the pictures on both sides),
what it was for, and what it gave. A line is written when the training is over and judged; lines of other recipes stay,
and are not taken.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors, unit
from nearsight.core.artefact import MANIFEST, sha256_of
from nearsight.core.errors import InputError, TrainingError, WriteFailed
from nearsight.core.events import Event, Step
from nearsight.core.relevance import ByGroup, relevance_of
from nearsight.encode.preprocess import Preprocess
from nearsight.encode.trainable import trainable
from nearsight.learn.devices import Devices
from nearsight.learn.fit import determining, fit
from nearsight.learn.from_pictures import FromPictures
from nearsight.learn.held_out import loo, measured
from nearsight.learn.history import Epoch
from nearsight.learn.pictures import Pictures
from nearsight.learn.recipe import Recipe
from nearsight.measure.judged import Floats

if TYPE_CHECKING:
    from torch.nn import Module

FILE = "trials.jsonl"
METRIC, FIRST = "average_precision", "precision@1"
OWN_FAULT = ("training/not-finite", "training/no-direction")
"""What a loss and its setting may do to a network: it counts as a result. All else stops the comparison."""


@dataclass(frozen=True, slots=True)
class Line:
    """One training that is over.

    score     mAP, leave one out among the pictures that it was judged on; None where it failed
    first     P@1
    values    AP by query, None for the only one of its class; empty for trials
    pictures  that went through the network; seconds: of training
    failed    code and message, where it did
    """

    key: str
    told: str
    objective: str
    lr: float
    score: float | None
    first: float | None
    values: tuple[float | None, ...] = ()
    pictures: int = 0
    seconds: float = 0.0
    findings: tuple[str, ...] = ()
    failed: str = ""


class Trainings:
    """Runs them, for one base recipe and folder."""

    def __init__(self, folder: Path, devices: Devices) -> None:
        """Reads the lines of before. Raises WriteFailed where the folder cannot be made."""
        self.folder, self.devices = folder, devices
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = (folder / FILE).read_bytes() if (folder / FILE).exists() else b""
        except OSError as error:
            raise WriteFailed(f"could not prepare {folder}: {error}", hint="choose another --out") from error
        self.lines = {line.key: line for line in map(_line, found.splitlines()) if line is not None}
        self._torn = bool(found) and not found.endswith(b"\n")

    def run(
        self, recipe: Recipe, learned: Pictures, judged: Pictures, told: str, *, values: bool = False
    ) -> Generator[Event, None, Line]:
        """Train `recipe` on `learned` and judge it on `judged`; or the line of before.

        Where it was broken off it goes on from its checkpoint. `values`: keep AP by query. Raises what `fit` raises,
        but for what is the setting's own fault (`OWN_FAULT`): that is told in the line.
        """
        key = key_of(recipe, learned, judged)
        if key in self.lines:
            return self.lines[key]
        place = self.folder / "checkpoints" / key[:16]
        network = trainable(recipe.network.tower, recipe.network.head, recipe.seed)
        line = Line(key, told, settings_of(recipe), recipe.loop.lr, None, None)
        epochs: list[Epoch] = []
        source = FromPictures(learned, network.preprocess, recipe.augment, recipe.loop.workers)
        work = fit(network.module, network.dim, source, recipe, folder=place, devices=self.devices)
        try:
            with closing(work):
                while True:
                    try:
                        event = next(work)
                    except StopIteration as end:
                        fitted = end.value
                        break
                    if isinstance(event, Epoch):
                        epochs.append(event)
                    elif isinstance(event, Step):
                        yield replace(event, what=told)
            epochs = list(fitted.history)
            line = self._judged(line, fitted.network, network.preprocess, judged, recipe, values)
        except TrainingError as error:
            if error.code not in OWN_FAULT:
                raise
            line = replace(line, failed=f"{error.message} [{error.code}]")
        line = replace(
            line,
            pictures=sum(epoch.pictures for epoch in epochs),
            seconds=round(sum(epoch.seconds for epoch in epochs), 3),
            findings=tuple(sorted({found.code for epoch in epochs[-1:] for found in epoch.health.findings})),
        )
        self._keep(line)
        shutil.rmtree(place, ignore_errors=True)
        return line

    def knows(self, recipe: Recipe, learned: Pictures, judged: Pictures) -> bool:
        """Whether that training is over already."""
        return key_of(recipe, learned, judged) in self.lines

    def untrained(self, recipe: Recipe, judged: Pictures, told: str) -> Line:
        """The tower as it comes, without the head, judged."""
        key = hashlib.sha256(f"untrained {_tower(recipe)} {recipe.seed} {judged.digest}".encode()).hexdigest()
        if key not in self.lines:
            network = trainable(recipe.network.tower, seed=recipe.seed)
            line = Line(key, told, "", 0.0, None, None)
            try:
                line = self._judged(line, network.module, network.preprocess, judged, recipe, True)
            except TrainingError as error:
                line = replace(line, failed=f"{error.message} [{error.code}]")
            self._keep(line)
        return self.lines[key]

    def _judged(
        self, line: Line, network: Module, preprocess: Preprocess, judged: Pictures, recipe: Recipe, keep: bool
    ) -> Line:
        source = FromPictures(judged, preprocess, recipe.augment, recipe.loop.workers)
        vectors = _directions(source.vectors(network.to(self.devices.device), self.devices.device))
        ap, first = measured(vectors, judged, [METRIC, FIRST]).rows
        values = tuple(None if np.isnan(v) else round(v, 6) for v in ap.values.tolist()) if keep else ()
        return replace(line, score=ap.interval.value, first=first.interval.value, values=values)

    def _keep(self, line: Line) -> None:
        """Append, whole and durable. Raises WriteFailed."""
        text = json.dumps(asdict(line), allow_nan=False).encode() + b"\n"
        try:
            with open(self.folder / FILE, "ab") as file:
                file.write((b"\n" if self._torn else b"") + text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise WriteFailed(f"could not write {self.folder / FILE}: {error}") from error
        self._torn = False
        self.lines[line.key] = line


def _directions(raw: NDArray[np.float32]) -> Vectors:
    """(n, dim) unit vectors. Raises TrainingError (code ``training/no-direction``) where one is zero or not finite."""
    try:
        return unit(raw)
    except InputError as error:
        raise TrainingError(
            f"the network gives some picture a vector without direction: {error.message}",
            code="training/no-direction",
            hint="no ReLU at the end of network.head; a lower loop.lr",
        ) from error


def relevance(pictures: Pictures) -> ByGroup:
    """What counts as found among them."""
    return relevance_of(loo(pictures))


def key_of(recipe: Recipe, learned: Pictures, judged: Pictures) -> str:
    """sha256 of all that a figure follows from: not of names, nor of how fast pictures come."""
    text = determining(recipe)
    return hashlib.sha256(f"{text}\n{_tower(recipe)}\n{learned.digest}\n{judged.digest}".encode()).hexdigest()


def _tower(recipe: Recipe) -> str:
    """The tower's address; of an encoder folder what is in it, since another may be trained into its place."""
    manifest = Path(recipe.network.tower) / MANIFEST
    return sha256_of(manifest) if manifest.is_file() else recipe.network.tower


def settings_of(recipe: Recipe) -> str:
    """The objective in one line, as `Contender.parse` reads it."""
    goal = recipe.objective
    parts = [f"miner={goal.miner}", f"sampler={goal.sampler}", *([f"target={goal.target}"] if goal.target else [])]
    return ",".join([goal.loss, *parts])


def per_query(line: Line) -> Floats:
    """(q,) AP, NaN where there was nothing to find."""
    return np.array([np.nan if v is None else v for v in line.values], dtype=np.float64)


def _line(text: bytes) -> Line | None:
    """None for what a crash has torn, or another version has written: it is done again."""
    try:
        body: Mapping[str, Any] = json.loads(text)
        return Line(**{**body, "values": tuple(body["values"]), "findings": tuple(body["findings"])})
    except (ValueError, KeyError, TypeError):
        return None
