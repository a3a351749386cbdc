"""What one network is to be taught by another, and how long: settings, on disk as strict TOML.

::

    [teacher]
    tower = "torchvision/mobilenet_v2"
    trunk = "features"
    ends = [2, 4, 7, 11, 14, 17, 19]
    [student]
    tower = "compact"
    trunk = "stages"
    [schedule]
    pictures = [300000, 600000]
    chained = [false, true]
    sides = [128, 160]
    rates = [2e-3, 1e-3]
    last_rates = [2e-3, 1e-5]
    descriptor = [1.0, 1.0]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nearsight.learn.recipe import require
from nearsight.learn.views import Views

_WARM = 200


@dataclass(frozen=True, slots=True)
class Staged:
    """A network in stages.

    tower  an image tower that is a network
    trunk  its layers in a row: the name of a Sequential
    ends   the child behind the last one of each stage; none: each child is a stage
    """

    tower: str = ""
    trunk: str = "stages"
    ends: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require(all(a < b for a, b in zip((0, *self.ends), self.ends, strict=False)), "ends rise, from 1 on")


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the schedule: see there."""

    pictures: int
    chained: bool
    side: int
    rate: float
    last_rate: float
    descriptor: float

    def rate_at(self, done: float, step: int) -> float:
        """The learning rate where `done`, 0 .. 1, of the phase is over; it rises over the first steps of all."""
        falling: float = self.rate * (self.last_rate / self.rate) ** done
        return falling * min(1.0, (step + 1) / _WARM)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Phases, one after the other: every array has a value for each of them.

    pictures    how many are seen in it
    chained     whether stages work on each other's answers, or each on the teacher's
    sides       side of the views, pixels
    rates, last_rates
                learning rate at its beginning and its end, falling geometrically
    descriptor  weight of the last map's mean beside the stages, where chained
    """

    pictures: tuple[int, ...] = (1000,)
    chained: tuple[bool, ...] = (False,)
    sides: tuple[int, ...] = (128,)
    rates: tuple[float, ...] = (1e-3,)
    last_rates: tuple[float, ...] = (1e-3,)
    descriptor: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, name)) for name in self.__dataclass_fields__}
        require(lengths == {len(self.pictures)} and len(self.pictures) > 0, "schedule: arrays of one length, 1 or more")
        require(min(self.pictures) >= 1 and min(self.sides) >= 1, "schedule.pictures and schedule.sides are 1 or more")
        require(min(*self.rates, *self.last_rates) > 0, "schedule.rates and schedule.last_rates are above 0")


@dataclass(frozen=True, slots=True)
class Lessons:
    """The whole.

    batch         pictures a step
    every         a stage has a lesson at every so many steps; none: at each. Chained, only the first ones rest so
    precision     bf16 (mixed) or fp32
    weight_decay  not on biases and norms
    ema           decay a step of the average of weights that is kept and taken in the end; 0: none
    checkpoint_s  seconds between checkpoints
    workers       threads that make views
    """

    name: str = ""
    about: str = ""
    seed: int = 0
    batch: int = 32
    every: tuple[int, ...] = ()
    precision: Literal["bf16", "fp32"] = "bf16"
    weight_decay: float = 1e-4
    ema: float = 0.999
    checkpoint_s: float = 120.0
    workers: int = 1
    teacher: Staged = field(default_factory=Staged)
    student: Staged = field(default_factory=Staged)
    views: Views = field(default_factory=Views)
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        require(self.seed >= 0 and self.batch >= 2 and self.workers >= 1, "seed >= 0, batch >= 2, workers >= 1")
        require(0 <= self.ema < 1 and self.weight_decay >= 0, "ema is from 0 to below 1, weight_decay 0 or more")
        require(all(often >= 1 for often in self.every), "every is 1 or more")

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The schedule, phase by phase."""
        columns = (getattr(self.schedule, name) for name in type(self.schedule).__dataclass_fields__)
        return tuple(Phase(*values) for values in zip(*columns, strict=True))
