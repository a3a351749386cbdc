"""The loop: epochs of batches, a checkpoint now and then, a measure on held-out pictures, a choice in the end."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
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
from nearsight.learn import checkpoint
from nearsight.learn.checkpoint import Marks, Place
from nearsight.learn.devices import Devices
from nearsight.learn.doctor import Doctor
from nearsight.learn.history import Epoch, Progress
from nearsight.learn.losses import LOSSES
from nearsight.learn.miners import MINERS
from nearsight.learn.objective import Objective, objective
from nearsight.learn.optimise import share_of_rate
from nearsight.learn.recipe import Goal, Plan, Recipe
from nearsight.learn.samplers import SAMPLERS, Numbers, Sampler
from nearsight.learn.source import Source
from nearsight.learn.step import Learner
from nearsight.learn.targets import TARGETS
from nearsight.measure.metrics import METRICS

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What training gave.

    network   the module that was given, in eval mode on the processor, with the weights that were chosen
    history   one entry an epoch
    chosen    the epoch whose weights these are
    never     rows that the sampler never drew
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
    source: Source,
    recipe: Plan,
    *,
    folder: Path | None = None,
    held_out: Source | None = None,
    devices: Devices | None = None,
) -> Generator[Event | Progress | Epoch, None, Fitted]:
    """Train `network` (children ``tower`` and ``head``; what the source's entrance gives it -> (n, dim)).

    Where `folder` holds a checkpoint of the same recipe and data it goes on from there, and on one processor ends
    in the same weights bit for bit as a run that was never broken. Closing the generator (Ctrl-C) writes a checkpoint.
    `held_out` chooses the epoch (``loop.select``) and stops early; it is never learned from.

    Raises TrainingError (``training/not-finite``, ``training/memory``), InputError for parts that do not fit, a
    checkpoint of another training or data that cannot be learned from, WriteFailed.
    """
    loop = recipe.loop
    devices = devices or Devices(loop.precision)
    sampler: Sampler = SAMPLERS.build(
        recipe.objective.sampler, labels=source.labels, batch=loop.batch, seed=recipe.seed
    )
    parts = _objective(recipe, sampler, source.classes, dim)
    _require_prefixes(recipe.objective.prefixes, parts, dim)
    learner = Learner(source.entrance(network), parts, recipe, devices)
    # what is held out too: epochs measured by other pictures could not be chosen among
    data = source.digest + ("" if held_out is None else f" {held_out.digest}")
    marks = Marks(hashlib.sha256(determining(recipe).encode()).hexdigest(), data)
    run = _Run(recipe, sampler, learner, Doctor(parts.loss), folder, marks)
    resumed = run.resume()
    with own_randomness():
        try:
            while run.place.epoch < loop.epochs and not run.over():
                yield from run.epoch(source)
                watched: tuple[float | None, float | None] = (None, None)
                if held_out is not None and run.measures:
                    watched = devices.once(lambda: validate(learner, held_out, recipe))
                yield run.close_epoch(*watched)
        except GeneratorExit:
            run.save()
            raise
    run.save()
    return run.fitted(resumed)


class _Run:
    """Where a training stands. It is at rest between two steps, and only then may it be saved."""

    def __init__(
        self, recipe: Plan, sampler: Sampler, learner: Learner, doctor: Doctor, folder: Path | None, marks: Marks
    ) -> None:
        self.recipe, self.loop, self.sampler, self.learner, self.doctor = recipe, recipe.loop, sampler, learner, doctor
        self.folder, self.marks = folder, marks
        self.steps = recipe.loop.epochs * -(-len(sampler) // recipe.loop.accumulate)
        self.place = Place()
        self.history: tuple[Epoch, ...] = ()
        self.sums = {"loss": 0.0, "batches": 0.0, "pictures": 0.0, "seconds": 0.0}
        self.best: Mapping[str, Any] | None = None
        self.saved, self.began = time.monotonic(), time.perf_counter()

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

    @property
    def due(self) -> bool:
        """Whether so much has been learned since the last checkpoint that it would be a loss."""
        return time.monotonic() - self.saved >= self.loop.checkpoint_s

    @property
    def measures(self) -> bool:
        """Whether the epoch that is over is measured."""
        number = self.place.epoch + 1
        return number % self.loop.measure_every == 0 or number == self.loop.epochs

    def over(self) -> bool:
        """Whether patience is at its end."""
        if not self.loop.patience or not self.history:
            return False
        best = max((e.epoch for e in self.history if e.best), default=0)
        return self.history[-1].epoch - best >= self.loop.patience

    def epoch(self, source: Source) -> Iterator[Event | Progress]:
        """What is left of the current epoch."""
        import torch

        learner, number = self.learner, self.place.epoch
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

        self.began = time.perf_counter()
        with source.training(parts(), (self.recipe.seed, number)) as coming:
            for position, given in coming:
                rows = whole.pop(position)
                yield from self._step(position, torch.from_numpy(given), rows, source.labels[rows])

    def _step(self, position: int, given: Tensor, rows: Numbers, labels: Numbers) -> Iterator[Event | Progress]:
        """One batch learned from, and what it told."""
        import torch

        loop, number, device = self.loop, self.place.epoch, self.learner.devices.device
        rate = share_of_rate(self.place.step, self.steps, loop.epochs, loop)
        last = (position + 1) % loop.accumulate == 0 or position + 1 == len(self.sampler)
        learned = self.learner.learn(
            given.to(device, non_blocking=True),
            torch.from_numpy(labels).to(device),
            torch.from_numpy(rows).to(device),
            rate=rate,
            seed=_seed(self.recipe.seed, number, position),
            last=last,
            share=1 / min(loop.accumulate, len(self.sampler) - position // loop.accumulate * loop.accumulate),
            mine=number >= self.recipe.objective.mine_from,
        )
        self.doctor.see(learned.value, learned.vectors, torch.from_numpy(labels), learned.matrix, learned.gradient)
        now = time.perf_counter()
        new = {"loss": learned.value, "batches": 1, "pictures": len(rows), "seconds": now - self.began}
        self.sums = {name: so_far + new[name] for name, so_far in self.sums.items()}
        self.began = now
        self.place = Place(number, position + 1, self.place.step + last)
        if last and self.due:
            self.save()
            self.began = time.perf_counter()
        if last:  # between two batches of one step there is nothing that could be gone on from
            done = number * len(self.sampler) + position + 1
            if self.place.step % max(1, self.steps // 100) == 0:
                yield Progress(self.place.step, learned.value, rate, learned.gradient)
            yield Step("training", done, loop.epochs * len(self.sampler))

    def close_epoch(self, measure: float | None, loss: float | None) -> Epoch:
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
            validation_loss=loss,
        )
        self.history = (*self.history, record)
        self.sums = dict.fromkeys(self.sums, 0.0)
        self.place = Place(self.place.epoch + 1, 0, self.place.step)
        if best and self.loop.select == "best":
            self.best = {name: t.detach().cpu().clone() for name, t in self.learner.trained().state_dict().items()}
        if self.due:
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


def validate(learner: Learner, held_out: Source, recipe: Plan) -> tuple[float, float | None]:
    """The measure and the loss over what is held out, by the weights that would be taken now; the measure is NaN where
    a vector has no direction."""
    with learner.devices.fabric.autocast():
        vectors = held_out.vectors(learner.trained(), learner.devices.device)
    learner.objective.target.module.eval()
    loss = held_out.loss(vectors, learner.objective, recipe)
    learner.training()
    try:
        return held_out.measured(unit(vectors), recipe.loop.measure), loss
    except InputError as error:
        if error.code != "vectors":
            raise
        return float("nan"), loss


def require_parts(recipe: Recipe) -> None:
    """Raises UnknownName for a component or an option that does not exist: before hours of work, not after."""
    require_goal(recipe.objective)
    HEADS.check(recipe.network.head)
    METRICS.check(recipe.loop.measure)


def require_goal(goal: Goal) -> None:
    """`require_parts` of the objective alone."""
    for catalogue, address in (
        (LOSSES, goal.loss), (TARGETS, goal.target), (MINERS, goal.miner), (SAMPLERS, goal.sampler),
    ):  # fmt: skip
        if address:
            catalogue.check(address)


def _objective(recipe: Plan, sampler: Sampler, classes: int, dim: int) -> Objective:
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


def _require_prefixes(prefixes: Sequence[int], parts: Objective, dim: int) -> None:
    """Raises InputError (code ``recipe/prefixes``)."""
    if prefixes and (max(prefixes) >= dim or not parts.target.by_prefix):
        why = f"vectors of {dim} numbers" if max(prefixes) >= dim else f"the target {parts.addresses['target']}"
        raise InputError(
            f"objective.prefixes {', '.join(map(str, prefixes))} do not go with {why}",
            code="recipe/prefixes",
            hint="lengths below the whole one; a target without vectors of its own: batch, drawn, opposite",
        )


def determining(recipe: Plan) -> str:
    """What of a recipe determines the weights, as text: not its name, nor how fast pictures come and when is saved, nor
    where pictures lie and how they came to be these, which their own digest tells."""
    kept: Any = recipe  # a union of dataclasses has no type for what is replaced in either
    usual = type(recipe.loop)()
    loop = replace(recipe.loop, workers=usual.workers, cache_mb=usual.cache_mb, checkpoint_s=usual.checkpoint_s)
    return settings.write(replace(kept, name="", about="", data=type(recipe.data)(), loop=loop))


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
