"""A network taught by another, stage by stage: each of its stages gives what the teacher's same stage gives.

First every stage is taught alone, on what the teacher's stage before gives it: short, exact lessons, all at once (as
Li et al., "Blockwisely supervised neural architecture search with knowledge distillation", CVPR 2020). Then the stages
are chained: each works on what the one before gives, for the same targets, and the mean over places of the last map is
to point where the teacher's does. Both networks see the same views. No labels are needed.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from nearsight.core import settings
from nearsight.core.errors import InputError, TrainingError
from nearsight.encode.export import folded, need_torch, pixel_network
from nearsight.encode.network import TorchTower
from nearsight.encode.trainable import seeded
from nearsight.learn import checkpoint
from nearsight.learn.checkpoint import Marks, Place
from nearsight.learn.devices import Devices
from nearsight.learn.lessons import Lessons, Phase, Staged
from nearsight.learn.optimise import average_of, groups_of, set_rates
from nearsight.learn.pictures import Loader, Opened
from nearsight.learn.samplers import Numbers
from nearsight.learn.views import mixed

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

_SURVEYED = 16
"""Batches on which the spread of the teacher's stages is measured."""
_SMALLEST = 0.1
"""A channel's variance counts as this share of the stage's mean at least: of what hardly moves, little is asked."""


class Material(Opened, Protocol):
    """The pictures, and what says that they are the same ones."""

    @property
    def digest(self) -> str: ...


class Taught(NamedTuple):
    """How lessons stand, as means since it was said before.

    seen      pictures in all
    losses    of each stage: the share of its variance that is missed, 1 - R^2; NaN where it had no lesson
    turned    mean 1 - cosine between the means of the last maps, about the teacher's mean vector; NaN if not chained
    """

    phase: int
    seen: int
    losses: tuple[float, ...]
    turned: float
    rate: float
    steps: int
    seconds: float


def cut(module: Module, staged: Staged) -> list[Any]:
    """The stages of a network: parts of the Sequential at ``trunk``, each up to the child that ``ends`` says (one child
    a stage where it says none). Raises InputError (code ``distil/stages``)."""
    import torch

    try:
        trunk = module.get_submodule(staged.trunk)
    except AttributeError:
        trunk = None
    children = len(trunk) if isinstance(trunk, torch.nn.Sequential) else 0
    ends = staged.ends or tuple(range(1, children + 1))
    if not isinstance(trunk, torch.nn.Sequential) or ends[-1] > children:
        raise InputError(
            f"{staged.tower} has no {ends[-1] if ends else 1} layers in a row called '{staged.trunk}'",
            code="distil/stages",
            hint="trunk names a Sequential (features, stages), ends the child behind each stage's last",
        )
    return [trunk[begin:end] for begin, end in zip((0, *ends), ends, strict=False)]


class Pupil:
    """The student, its teacher, optimiser and average of weights; one step at a time."""

    def __init__(self, lessons: Lessons, teacher: TorchTower, student: TorchTower, devices: Devices) -> None:
        """Raises InputError (code ``distil/stages``) for networks whose stages are not of one number."""
        torch = need_torch("training")
        self.lessons, self.devices, self.tower = lessons, devices, student
        place = {"device": devices.device, "memory_format": torch.channels_last}
        self.network = student.module.requires_grad_(True).to(**place)
        self._given, self._eyes = (
            pixel_network(torch.nn.Identity(), tower.preprocess).to(devices.device) for tower in (teacher, student)
        )
        whole = folded(teacher.module).to(**place)
        self._teacher, self._stages = cut(whole, lessons.teacher), cut(self.network, lessons.student)
        if len(self._teacher) != len(self._stages):
            raise InputError(
                f"{len(self._teacher)} stages of {teacher.address} cannot teach {len(self._stages)} of "
                f"{student.address}",
                code="distil/stages",
            )
        self.average = average_of(self.network, lessons.ema)
        self.scales = torch.nn.Module()
        self.walk = torch.optim.AdamW(list(groups_of(self.network, 1.0, lessons.weight_decay)), fused=True)

    def modules(self) -> dict[str, Any]:
        """All that is saved, by name."""
        average = {} if self.average is None else {"average": self.average}
        return {"student": self.network, "scales": self.scales, **average}

    def trained(self) -> Any:
        """The network that would be taken now."""
        return self.network if self.average is None else self.average.module

    def targets(self, pixels: Tensor) -> list[Tensor]:
        """(n, size, size, 3) uint8 -> what each of the teacher's stages gives, (n, c, h, w) each."""
        import torch

        maps = []
        with torch.no_grad(), self.devices.fabric.autocast():
            given = self._given(pixels)
            for stage in self._teacher:
                given = stage(given)
                maps.append(given)
        return maps

    def survey(self, batches: Iterator[Tensor]) -> None:
        """Measure how each channel of the teacher's stages spreads, which is what losses are shares of; and whether the
        student's stages give maps of the same shapes. Raises InputError (code ``distil/stages``)."""
        import torch

        sums: list[list[Any]] = []
        for pixels in batches:
            maps = self.targets(pixels)
            if flat := [number for number, m in enumerate(maps) if m.ndim != 4]:
                raise InputError(f"stage {flat[0]} of the teacher gives no maps", code="distil/stages")
            found = [(m.float().mean((0, 2, 3)), m.float().square().mean((0, 2, 3))) for m in maps]
            ends = maps[-1].float().mean((2, 3))
            sums.append([*found, (ends.mean(0), ends.square().mean(0))])
        for number, parts in enumerate(zip(*sums, strict=True)):
            mean, square = (torch.stack([part[which] for part in parts]).mean(0) for which in (0, 1))
            variance = (square - mean.square()).clamp_min(0)
            self.scales.register_buffer(f"mean{number}", mean)
            self.scales.register_buffer(f"share{number}", 1 / variance.clamp_min(_SMALLEST * variance.mean()))
        self.network.eval()
        with torch.no_grad(), self.devices.fabric.autocast():
            given = self._eyes(pixels)
            for number, (stage, target) in enumerate(zip(self._stages, maps, strict=True)):
                mine = stage(given)
                if mine.shape != target.shape:
                    raise InputError(
                        f"stage {number} of the student gives {tuple(mine.shape)}, its teacher's {tuple(target.shape)}",
                        code="distil/stages",
                        hint="stages are of the same widths and strides",
                    )
                given = target

    def learn(self, pixels: Tensor, phase: Phase, *, step: int, rate: float) -> tuple[list[float], float]:
        """One step -> each stage's loss and `Taught.turned`. Raises TrainingError (``training/not-finite``)."""
        self.network.train()
        targets = self.targets(pixels)
        if phase.chained:
            losses, turned = self._chained(pixels, targets, step, phase.descriptor)
        else:
            losses, turned = self._apart(pixels, targets, step), math.nan
        if any(math.isinf(loss) for loss in losses) or not any(loss == loss for loss in losses):
            raise TrainingError(
                "a stage's loss is not a finite number any more",
                code="training/not-finite",
                hint="a lower rate in the schedule; the checkpoint is kept",
            )
        set_rates(self.walk, rate)
        self.walk.step()
        self.walk.zero_grad()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return losses, turned

    def _apart(self, pixels: Tensor, targets: Sequence[Tensor], step: int) -> list[float]:
        """Each stage by itself, at every so many steps: the early ones, whose places are many, learn soonest."""
        losses = []
        for number, (stage, target) in enumerate(zip(self._stages, targets, strict=True)):
            if self._rests(number, step):
                losses.append(math.nan)
                continue
            with self.devices.fabric.autocast():
                mine = stage(targets[number - 1] if number else self._eyes(pixels))
            loss = self._missed(mine, target, number)
            if number == len(self._stages) - 1:
                loss = loss + self._pooled(mine, target)[0]
            loss.backward()
            losses.append(float(loss.detach()))
        return losses

    def _chained(
        self, pixels: Tensor, targets: Sequence[Tensor], step: int, weight: float
    ) -> tuple[list[float], float]:
        """All stages one after the other, one gradient through all of them but the first ones that rest at this step:
        those cost the most, and their lessons are the shortest."""
        import torch

        first = next((number for number in range(len(self._stages)) if not self._rests(number, step)), 0)
        with self.devices.fabric.autocast():
            with torch.no_grad():
                mine = self._eyes(pixels)
                for stage in self._stages[:first]:
                    mine = stage(mine)
            maps = [mine := stage(mine) for stage in self._stages[first:]]
        losses = [
            self._missed(mine, target, number)
            for number, (mine, target) in enumerate(zip(maps, targets[first:], strict=True), start=first)
        ]
        missed, turned = self._pooled(maps[-1], targets[-1])
        total: Any = sum(losses) + weight * (missed + turned)
        total.backward()
        return [*[math.nan] * first, *(float(loss.detach()) for loss in losses)], float(turned.detach())

    def _rests(self, number: int, step: int) -> bool:
        """Whether a stage has no lesson at this step."""
        return bool(self.lessons.every) and step % self.lessons.every[number] > 0

    def _missed(self, mine: Tensor, target: Tensor, number: int) -> Tensor:
        """The share of the target's variance that is missed, over channels alike."""
        share = self.scales.get_buffer(f"share{number}")[:, None, None]
        return ((mine.float() - target.float()).square() * share).mean()

    def _pooled(self, mine: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The same of the means over places, and 1 - cosine of their directions from the teacher's mean vector."""
        import torch

        share, mean = (self.scales.get_buffer(f"{name}{len(self._stages)}") for name in ("share", "mean"))
        one, other = mine.float().mean((2, 3)), target.float().mean((2, 3))
        turned = 1 - torch.nn.functional.cosine_similarity(one - mean, other - mean)
        return ((one - other).square() * share).mean(), turned.mean()


class Course:
    """Lessons under way: the student, and where it stands; it may be saved between two steps."""

    def __init__(self, lessons: Lessons, pictures: Material, folder: Path, *, devices: Devices | None = None) -> None:
        """Goes on from the checkpoint in `folder` where there is one. The schedule may have been changed since, from
        the phase that was under way on: longer, or with more phases.

        Raises UnknownName, MissingExtra, EncoderError, InputError (``distil/stages``, or a checkpoint of other lessons
        or other pictures: ``training/other-recipe``, ``training/other-data``), Damaged.
        """
        teacher, student = (seeded(staged.tower, lessons.seed) for staged in (lessons.teacher, lessons.student))
        for tower in (teacher, student):
            if not isinstance(tower, TorchTower):
                raise InputError(f"{tower.address} is no network that could be cut into stages", code="distil/stages")
        self.lessons, self.pictures, self.folder = lessons, pictures, folder
        self.pupil = Pupil(lessons, teacher, student, devices or Devices(lessons.precision))
        usual = Lessons()
        lasting = replace(lessons, name="", about="", workers=1, checkpoint_s=1.0, schedule=usual.schedule)
        self.marks = Marks(hashlib.sha256(settings.write(lasting).encode()).hexdigest(), pictures.digest)
        self.place, self.seen, self.saved = Place(), 0, time.monotonic()
        found = checkpoint.load(folder, self.marks)
        self._survey()
        if found is not None:
            checkpoint.restore(found, self.pupil.modules(), self.pupil.walk)
            self.place, self.seen = found.place, int(found.sums["seen"])

    def teach(self, *, said: int = 50, rest: Callable[[], bool] = lambda: False) -> Iterator[Taught]:
        """Until the schedule ends; every `said` steps it tells how it stands, and at the end of each phase. A course
        that is broken off ends in the same weights, bit for bit, as one that was not.

        Closing the generator saves. While `rest` answers True, no step is taken. Raises TrainingError, WriteFailed.
        """
        try:
            while self.place.epoch < len(self.lessons.phases):
                yield from self._phase(said, rest)
        except GeneratorExit:
            self.save()
            raise
        self.save()

    def save(self) -> None:
        """Write where it stands. Raises WriteFailed."""
        pupil = self.pupil
        checkpoint.save(
            self.folder, self.place, self.marks, (), {"seen": self.seen}, pupil.modules(), pupil.walk, best=None
        )
        self.saved = time.monotonic()

    def _survey(self) -> None:
        with ThreadPoolExecutor(self.lessons.workers) as pool:
            first = ((at, 0, self._rows(0, at)) for at in range(_SURVEYED))
            loader = self._loader(self.lessons.phases[0].side, pool)
            coming = loader.training(first, self.lessons.views, (self.lessons.seed, 1))
            self.pupil.survey(self._tensor(pixels) for _, pixels in coming)

    def _phase(self, said: int, rest: Callable[[], bool]) -> Iterator[Taught]:
        """What is left of the current phase."""
        lessons, number = self.lessons, self.place.epoch
        phase = lessons.phases[number]
        total = -(-phase.pictures // lessons.batch)
        seen, first = self.seen, self.place.step
        batches = ((first + at, 0, self._rows(seen, at)) for at in range(total - self.place.position))
        told: list[tuple[list[float], float]] = []
        began = time.perf_counter()
        with ThreadPoolExecutor(lessons.workers) as pool:
            coming = self._loader(phase.side, pool).training(batches, lessons.views, (lessons.seed, 0))
            for step, pixels in coming:
                while rest():
                    time.sleep(1)
                rate = phase.rate_at(self.place.position / total, step)
                view = mixed(self._tensor(pixels), lessons.views.mix, lessons.seed + step)
                told.append(self.pupil.learn(view, phase, step=step, rate=rate))
                self.place = Place(number, self.place.position + 1, step + 1)
                self.seen += lessons.batch
                last = self.place.position == total
                if not last and time.monotonic() - self.saved >= lessons.checkpoint_s:
                    self.save()
                if last or self.place.position % said == 0:
                    losses = tuple(map(_mean, zip(*(losses for losses, _ in told), strict=True)))
                    turned = _mean([turned for _, turned in told])
                    yield Taught(number, self.seen, losses, turned, rate, len(told), time.perf_counter() - began)
                    told, began = [], time.perf_counter()
        self.place = Place(number + 1, 0, self.place.step)

    def _rows(self, seen: int, batch: int) -> Numbers:
        """The rows of a batch: pictures in an order drawn anew for each pass over them."""
        n, size = len(self.pictures), self.lessons.batch
        at = np.arange(seen + batch * size, seen + (batch + 1) * size)
        orders = {
            turn: np.random.default_rng((self.lessons.seed, 2, turn)).permutation(n) for turn in {*(at // n).tolist()}
        }
        return np.fromiter(
            (orders[turn][place] for turn, place in zip((at // n).tolist(), (at % n).tolist(), strict=True)),
            np.int64,
            size,
        )

    def _loader(self, side: int, pool: ThreadPoolExecutor) -> Loader:
        shown = self.pupil.tower.preprocess.changed(size=side, resize=side)
        return Loader(self.pictures, shown, pool)

    def _tensor(self, pixels: Any) -> Any:
        import torch

        return torch.from_numpy(pixels).to(self.pupil.devices.device)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else math.nan
