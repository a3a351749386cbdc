"""The loop: epochs of batches, a checkpoint now and then, a measure on held-out pictures, a choice in the end."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearsight.core import settings
from nearsight.core.arrays import unit
from nearsight.core.errors import InputError
from nearsight.core.events import Event, Step
from nearsight.encode.heads import HEADS
from nearsight.encode.preprocess import Preprocess
from nearsight.learn import checkpoint
from nearsight.learn.checkpoint import Marks, Place
from nearsight.learn.devices import Devices
from nearsight.learn.doctor import Doctor
from nearsight.learn.held_out import measured, vectors_of
from nearsight.learn.history import Epoch, Progress
from nearsight.learn.losses import LOSSES
from nearsight.learn.miners import MINERS
from nearsight.learn.objective import Objective, objective
from nearsight.learn.optimise import share_of_rate
from nearsight.learn.pictures import Loader, Pictures
from nearsight.learn.recipe import Recipe
from nearsight.learn.samplers import SAMPLERS, Numbers, Sampler
from nearsight.learn.step import Learner
from nearsight.learn.targets import TARGETS
from nearsight.measure.metrics import METRICS

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What training gave.

    network   the module that was given, in eval mode on the processor, with the weights that were chosen
    history   one entry an epoch
    chosen    the epoch whose weights these are
    never     pictures that the sampler never drew (rows)
    resumed   the epoch and position that it went on from; None: from the beginning
    """

    network: Module
    history: tuple[Epoch, ...]
    chosen: int
    never: Numbers
    resumed: Place | None

    @property
    def seconds(self) -> float:
        """Of training, in all runs, without measuring."""
        return sum(epoch.seconds for epoch in self.history)


def fit(
    network: Module,
    dim: int,
    preprocess: Preprocess,
    pictures: Pictures,
    recipe: Recipe,
    *,
    folder: Path | None = None,
    held_out: Pictures | None = None,
    devices: Devices | None = None,
) -> Generator[Event | Progress | Epoch, None, Fitted]:
    """Train `network` (children ``tower`` and ``head``; (n, 3, size, size) -> (n, dim)) on `pictures`.

    Where `folder` holds a checkpoint of the same recipe and pictures it goes on from there, and on one processor ends
    in the same weights bit for bit as a run that was never broken. Closing the generator (Ctrl-C) writes a checkpoint.
    `held_out` chooses the epoch (``loop.select``) and stops early; it is never learned from.

    Raises TrainingError (``training/not-finite``, ``training/memory``), InputError for parts that do not fit, a
    checkpoint of another training or pictures that cannot be learned from, WriteFailed.
    """
    loop = recipe.loop
    devices = devices or Devices(loop.precision)
    sampler: Sampler = SAMPLERS.build(
        recipe.objective.sampler, labels=pictures.labels, batch=loop.batch, seed=recipe.seed
    )
    parts = _objective(recipe, sampler, len(pictures.names), dim)
    learner = Learner(network, preprocess, parts, recipe, devices)
    # what is held out too: epochs measured by other pictures could not be chosen among
    data = pictures.digest + ("" if held_out is None else f" {held_out.digest}")
    marks = Marks(hashlib.sha256(determining(recipe).encode()).hexdigest(), data)
    run = _Run(recipe, sampler, learner, Doctor(parts.loss), folder, marks)
    resumed = run.resume()
    with ThreadPoolExecutor(loop.workers) as pool, own_randomness():
        seen = Loader(pictures, preprocess, pool)
        watched = None if held_out is None else Loader(held_out, preprocess, pool)
        try:
            while run.place.epoch < loop.epochs and not run.over():
                yield from run.epoch(seen)
                measure = None if watched is None else devices.once(lambda: validate(learner, watched, loop.measure))
                yield run.close_epoch(measure)
        except GeneratorExit:
            run.save()
            raise
    run.save()
    return run.fitted(resumed)


class _Run:
    """Where a training stands. It is at rest between two steps, and only then may it be saved."""

    def __init__(
        self, recipe: Recipe, sampler: Sampler, learner: Learner, doctor: Doctor, folder: Path | None, marks: Marks
    ) -> None:
        self.recipe, self.loop, self.sampler, self.learner, self.doctor = recipe, recipe.loop, sampler, learner, doctor
        self.folder, self.marks = folder, marks
        self.steps = recipe.loop.epochs * -(-len(sampler) // recipe.loop.accumulate)
        self.place = Place()
        self.history: tuple[Epoch, ...] = ()
        self.sums = {"loss": 0.0, "batches": 0.0, "pictures": 0.0, "seconds": 0.0}
        self.best: Mapping[str, Any] | None = None
        self.saved = time.monotonic()

    def resume(self) -> Place | None:
        found = checkpoint.load(self.folder, self.marks) if self.folder is not None else None
        if found is None:
            return None
        checkpoint.restore(found, self.learner.modules(), self.learner.walk)
        self.place, self.history, self.sums = found.place, found.history, dict(found.sums)
        return found.place

    def save(self) -> None:
        if self.folder is None or not self.learner.devices.first:
            return
        checkpoint.save(
            self.folder, self.place, self.marks, self.history, self.sums,
            self.learner.modules(), self.learner.walk, best=self.best,
        )  # fmt: skip
        self.best, self.saved = None, time.monotonic()

    def over(self) -> bool:
        """Whether patience is at its end."""
        if not self.loop.patience or not self.history:
            return False
        best = max((e.epoch for e in self.history if e.best), default=0)
        return self.history[-1].epoch - best >= self.loop.patience

    def epoch(self, seen: Loader) -> Iterator[Event | Progress]:
        """What is left of the current epoch."""
        import torch

        learner, loop, number = self.learner, self.loop, self.place.epoch
        device, pictures = learner.devices.device, seen.pictures
        learner.training()
        batches = enumerate(self.sampler.batches(number, self.place.position), self.place.position)
        whole: dict[int, Numbers] = {}

        def parts() -> Iterator[tuple[int, int, Numbers]]:
            for position, rows in batches:
                if len(rows) < learner.devices.world:
                    raise InputError(
                        f"a batch of {len(rows)} pictures cannot be parted among {learner.devices.world} processes",
                        code="training/one-picture",
                        hint="a larger loop.batch, or fewer processes",
                    )
                whole[position] = rows
                part = learner.devices.part(rows)
                yield position, part.start, rows[part]

        begun = time.perf_counter()
        for position, pixels in seen.training(parts(), self.recipe.augment, (self.recipe.seed, number)):
            rows, rate = whole.pop(position), share_of_rate(self.place.step, self.steps, loop.epochs, loop)
            last = (position + 1) % loop.accumulate == 0 or position + 1 == len(self.sampler)
            learned = learner.learn(
                torch.from_numpy(pixels).to(device, non_blocking=True),
                torch.from_numpy(pictures.labels[rows]).to(device),
                torch.from_numpy(rows).to(device),
                rate=rate,
                seed=_seed(self.recipe.seed, number, position),
                last=last,
                share=1 / min(loop.accumulate, len(self.sampler) - position // loop.accumulate * loop.accumulate),
            )
            self.doctor.see(
                learned.value,
                learned.vectors,
                torch.from_numpy(pictures.labels[rows]),
                learned.matrix,
                learned.gradient,
            )
            now = time.perf_counter()
            for name, more in (
                ("loss", learned.value),
                ("batches", 1),
                ("pictures", len(rows)),
                ("seconds", now - begun),
            ):
                self.sums[name] += more
            begun = now
            self.place = Place(number, position + 1, self.place.step + last)
            if last and time.monotonic() - self.saved >= loop.checkpoint_s:
                self.save()
                begun = time.perf_counter()
            if last:  # between two batches of one step there is nothing that could be gone on from
                done = number * len(self.sampler) + position + 1
                if self.place.step % max(1, self.steps // 100) == 0:
                    yield Progress(self.place.step, learned.value, rate, learned.gradient)
                yield Step("training", done, loop.epochs * len(self.sampler))

    def close_epoch(self, measure: float | None) -> Epoch:
        """The epoch is over: its record, and the weights kept where it is the best so far."""
        health = self.doctor.health()
        # a NaN is neither the best, nor what a number must beat
        before = [e.validation for e in self.history if e.validation is not None and math.isfinite(e.validation)]
        best = measure is not None and math.isfinite(measure) and (not before or measure > max(before))
        last = Place(self.place.epoch, self.place.position, self.place.step - 1)
        record = Epoch(
            epoch=self.place.epoch + 1,
            of=self.loop.epochs,
            loss=self.sums["loss"] / max(1.0, self.sums["batches"]),
            rate=(self.loop.head_lr or self.loop.lr)
            * share_of_rate(last.step, self.steps, self.loop.epochs, self.loop),
            seconds=self.sums["seconds"],
            pictures=int(self.sums["pictures"]),
            validation=measure,
            best=best,
            health=health,
        )
        self.history = (*self.history, record)
        self.sums = dict.fromkeys(self.sums, 0.0)
        self.place = Place(self.place.epoch + 1, 0, self.place.step)
        if best and self.loop.select == "best":
            self.best = {name: t.detach().cpu().clone() for name, t in self.learner.trained().state_dict().items()}
            self.save()
        return record

    def fitted(self, resumed: Place | None) -> Fitted:
        network: Module = self.learner.network
        chosen = self.history[-1].epoch
        weights: Mapping[str, Any] = self.learner.trained().state_dict()
        if self.loop.select == "best":
            chosen = max((e.epoch for e in self.history if e.best), default=0)
            if not chosen:
                raise InputError(
                    "no epoch could be measured on what is held out, and the best is asked for",
                    code="training/best",
                    hint="hold out more pictures of each class (data.validation), or loop.select=last",
                )
            if self.best is not None:
                weights = self.best
            elif self.folder is not None:
                weights = checkpoint.best_of(self.folder)
        network.load_state_dict({name: tensor.detach().clone() for name, tensor in weights.items()})
        network = network.cpu().eval()
        for p in network.parameters():
            p.requires_grad_(False)
        return Fitted(network, self.history, chosen, self.sampler.left_out(), resumed)


def validate(learner: Learner, loader: Loader, metric: str) -> float:
    """The metric over held-out pictures, leave one out, by the weights that would be taken now; NaN where a vector has
    no direction."""
    pixels, before = learner.pixels, learner.network
    pixels.network = learner.trained()
    try:
        with learner.devices.fabric.autocast():
            vectors = unit(vectors_of(pixels, loader, learner.devices.device))
    except InputError:
        return float("nan")
    finally:
        pixels.network = before
        learner.training()
    return measured(vectors, loader.pictures, [metric]).rows[0].interval.value


def require_parts(recipe: Recipe) -> None:
    """Raises UnknownName for a component or an option that does not exist: before hours of work, not after."""
    goal = recipe.objective
    for catalogue, address in (
        (LOSSES, goal.loss), (TARGETS, goal.target), (MINERS, goal.miner), (SAMPLERS, goal.sampler),
        (HEADS, recipe.network.head), (METRICS, recipe.loop.measure),
    ):  # fmt: skip
        if address:
            catalogue.check(address)


def _objective(recipe: Recipe, sampler: Sampler, classes: int, dim: int) -> Objective:
    goal = recipe.objective
    return objective(
        goal.loss,
        target=goal.target or None,
        miner=goal.miner,
        sampler=sampler,
        classes=classes,
        dim=dim,
        seed=recipe.seed,
    )


def determining(recipe: Recipe) -> str:
    """What of a recipe determines the weights, as text: not its name, nor how fast pictures come and when is saved, nor
    where pictures lie and how they came to be these, which their own digest tells."""
    usual = type(recipe.loop)()
    loop = replace(recipe.loop, workers=usual.workers, cache_mb=usual.cache_mb, checkpoint_s=usual.checkpoint_s)
    return settings.write(replace(recipe, name="", about="", data=type(recipe.data)(), loop=loop))


@contextmanager
def own_randomness() -> Iterator[None]:
    """The program's own random numbers go on afterwards as if nothing had been drawn."""
    import torch

    before = torch.random.get_rng_state()
    try:
        yield
    finally:
        torch.random.set_rng_state(before)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(2))
