"""What is compared, what is tried of each, and in which order.

A contender is a loss with the sampler, miner and target around it. What is searched follows from it: the learning rate,
that of the class vectors where its target learns any, and the loss's own numbers, read from the signature of its
``build``; a number that its address gives is held.

A trial is a point in the unit cube, one coordinate a number, the learning rate first: trial 3 is the same point for all
contenders, so that none has luckier draws than another. Trial 0 is what stands in the recipe and the losses' defaults.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from nearsight.core.errors import InputError, MissingExtra, UnknownName
from nearsight.core.registry import Address
from nearsight.learn.losses import LOSSES, Loss
from nearsight.learn.objective import ALL
from nearsight.learn.recipe import Goal, Recipe
from nearsight.learn.samplers import SAMPLERS
from nearsight.learn.targets import TARGETS

Search = Literal["random", "tpe"]
STARTUP = 5
"""Trials behind the first that TPE takes as the random search has them, before it learns from what it saw."""
_PARTS = re.compile(r",(?=(?:miner|sampler|target)=)")
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)


@dataclass(frozen=True, slots=True)
class Range:
    """Where a number is looked for. ``relative``: the ends are multiples of its default. ``words`` instead of ends: one
    of these."""

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    relative: bool = True
    words: tuple[str, ...] = ()


RATE = Range(1 / 10, 10, log=True)
TARGET_RATE = Range(1 / 10, 100, log=True)  # class vectors often want far more than the network (Kim et al., CVPR 2020)
RANGES = {
    "temperature": Range(1 / 4, 4, log=True),
    "margin": Range(1 / 4, 2),
    "scale": Range(1 / 8, 2, log=True),  # what papers give is for very many classes
    "alpha": Range(1 / 4, 4, log=True),
    "beta": Range(1 / 4, 2, log=True),
    "delta": Range(1 / 4, 4),
    "base": Range(0.0, 0.9, relative=False),
    "epsilon": Range(1 / 4, 3),
    "smoothing": Range(0.0, 0.2, relative=False),
}
"""A loss's option -> where it is looked for; ``LOSS.OPTION`` comes first. Words and switches are searched only where
they stand here; other numbers above 0 are, within `OTHERS` of their default."""
OTHERS = Range(1 / 3, 3, log=True)


@dataclass(frozen=True, slots=True)
class Space:
    """A searched setting: its name (``loop.lr``, ``loop.target_lr``, or the loss's option), ends and default."""

    name: str
    low: float
    high: float
    log: bool
    default: float | str
    words: tuple[str, ...] = ()

    def at(self, place: float) -> float | str:
        """The value at a coordinate in [0, 1), to four digits."""
        if self.words:
            return self.words[min(int(place * len(self.words)), len(self.words) - 1)]
        if self.log:
            value = math.exp(math.log(self.low) + place * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + place * (self.high - self.low)
        return float(f"{value:.4g}")

    def place(self, value: float | str) -> float:
        """The coordinate of a value, the other way round: the middle of a word, the nearer end of what lies outside."""
        if isinstance(value, str):
            return (self.words.index(value) + 0.5) / len(self.words)
        ends = [math.log(x) if self.log else x for x in (self.low, self.high, value)]
        return min(max((ends[2] - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)

    def told(self) -> str:
        """``loop.lr 1e-05 .. 0.001 (log)``."""
        if self.words:
            return f"{self.name} {' | '.join(self.words)}"
        return f"{self.name} {self.low:.4g} .. {self.high:.4g}" + (" (log)" if self.log else "")


Setting = Mapping[str, float | str]
"""What a trial takes: a value by the name of its space."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A loss and what stands around it, by component addresses.

    sampler  "": shuffled where the loss judges class vectors, else pk?k=4
    target   "": that of the loss's paper, or the one that the sampler lays its batches out for
    """

    loss: str
    miner: str = ALL
    sampler: str = ""
    target: str = ""

    @classmethod
    def parse(cls, text: str) -> Contender:
        """Of ``triplet,miner=semi_hard,sampler=pk?k=4``. Raises InputError (code ``compare/contender``)."""
        loss, *others = _PARTS.split(text.strip())
        given = dict(part.split("=", 1) for part in others)
        if not loss or "=" in loss.partition("?")[0] or len(given) < len(others):
            raise InputError(
                f"'{text}' is no contender",
                code="compare/contender",
                hint="a loss, then miner=, sampler= and target= once at most: triplet,miner=semi_hard,sampler=pk?k=4",
            )
        return cls(loss, **given)

    @property
    def name(self) -> str:
        """As it is given on a command line, without what goes without saying."""
        parts = [("miner", self.miner, ALL), ("sampler", self.sampler, ""), ("target", self.target, "")]
        return ",".join([self.loss, *(f"{key}={value}" for key, value, usual in parts if value != usual)])

    def goal(self) -> Goal:
        """All of it as a recipe has it, the sampler chosen. Raises UnknownName, InputError, MissingExtra."""
        judge: Loss = LOSSES.build(self.loss)
        by_class = judge.by_column or (self.target or judge.target).startswith("proxies")
        sampler = self.sampler or ("shuffled" if by_class else "pk?k=4")
        for catalogue, address in ((SAMPLERS, sampler), (TARGETS, self.target)):
            if address:
                catalogue.options(Address.parse(address).name)
        return Goal(self.loss, self.target, self.miner, sampler)

    def spaces(self, recipe: Recipe) -> tuple[Space, ...]:
        """What is searched of it around `recipe`, the learning rates first."""
        loop, goal = recipe.loop, self.goal()
        judge: Loss = LOSSES.build(goal.loss)
        found = [_space("loop.lr", RATE, loop.lr)]
        if (goal.target or judge.target).startswith("proxies"):
            found.append(_space("loop.target_lr", TARGET_RATE, loop.target_lr or loop.head_lr or loop.lr))
        address = Address.parse(goal.loss)
        for option in LOSSES.options(address.name):
            if option.name not in address.options:
                declared = RANGES.get(f"{address.name}.{option.name}") or RANGES.get(option.name)
                found += _searched(option.name, option.default, declared)
        return tuple(found[: len(_PRIMES)])

    def tried(self, recipe: Recipe, setting: Setting) -> Recipe:
        """`recipe` with this contender in it, as `setting` has it. The head's rate keeps its ratio to the tower's."""
        loop, goal = recipe.loop, self.goal()
        lr = float(setting.get("loop.lr", loop.lr))
        usual = {space.name: space.default for space in self.spaces(recipe)}
        target_lr = loop.target_lr
        if "loop.target_lr" in setting and dict(setting) != usual:  # at the defaults the recipe stays as it is
            target_lr = float(setting["loop.target_lr"])
        own = [f"{name}={value}" for name, value in setting.items() if "." not in name and value != usual[name]]
        loss = goal.loss + (("&" if "?" in goal.loss else "?") + "&".join(own) if own else "")
        head_lr = float(f"{loop.head_lr * lr / loop.lr:.6g}")
        return replace(
            recipe,
            objective=replace(goal, loss=loss),
            loop=replace(loop, lr=lr, head_lr=head_lr, target_lr=target_lr),
        )


def search_named(name: str) -> Search:
    """Raises UnknownName."""
    searches: dict[str, Search] = {"random": "random", "tpe": "tpe"}
    if name not in searches:
        raise UnknownName(f"there is no search '{name}'", hint=", ".join(searches))
    return searches[name]


def proposed(
    search: Search, spaces: Sequence[Space], trial: int, seed: int, seen: Sequence[tuple[Setting, float | None]] = ()
) -> dict[str, float | str]:
    """What trial 0, 1, ... takes. `seen`: what those before took and scored, None for one that failed.

    It follows from what is given alone, so that a search that was broken off goes on as it would have. Raises
    MissingExtra.
    """
    if trial == 0:
        return {space.name: space.default for space in spaces}
    places = place_of(trial, seed) if search == "random" or trial <= STARTUP else _tpe(spaces, trial, seed, seen)
    return {space.name: space.at(at) for space, at in zip(spaces, places, strict=False)}


def place_of(trial: int, seed: int) -> tuple[float, ...]:
    """Trial 1, 2, ... of the random search, a coordinate in [0, 1) for each space there may be: it follows from its
    number, so that more trials later change none before.

    A Kronecker sequence of square roots of primes (Richtmyer, 1951) from a random start: random enough, and spread
    more evenly than independent draws, which matters where trials are few.
    """
    start = np.random.default_rng((seed, 1951)).random(len(_PRIMES))
    return tuple(((start + trial * np.sqrt(_PRIMES)) % 1.0).tolist())


def need_optuna() -> Any:
    """Optuna, told to be silent. Raises MissingExtra."""
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra.of("optuna", "search", "search=tpe") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _tpe(
    spaces: Sequence[Space], trial: int, seed: int, seen: Sequence[tuple[Setting, float | None]]
) -> tuple[float, ...]:
    """The next point by a tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), each time of a fresh study
    that is told all of the past. What failed counts as 0, so that its neighbourhood is left alone."""
    optuna = need_optuna()
    cube = {space.name: optuna.distributions.FloatDistribution(0.0, 1.0) for space in spaces}
    sampler = optuna.samplers.TPESampler(seed=seed + trial, n_startup_trials=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for setting, score in seen:
        places = {space.name: space.place(setting[space.name]) for space in spaces}
        study.add_trial(optuna.trial.create_trial(params=places, distributions=cube, value=score or 0.0))
    asked = study.ask(cube).params
    return tuple(float(asked[space.name]) for space in spaces)


def _space(name: str, among: Range, default: float) -> Space:
    by = default if among.relative else 1.0
    return Space(name, by * among.low, by * among.high, among.log, default)


def _searched(name: str, default: object, declared: Range | None) -> list[Space]:
    """The space of one option, or none."""
    if declared is not None and declared.words:
        word = str(default).lower() if isinstance(default, bool) else str(default)
        return [Space(name, 0.0, 0.0, False, word, declared.words)]
    if not isinstance(default, float):  # a bool is an int; whole numbers and words only where they are declared
        return []
    if declared is None or (declared.relative and default == 0):
        return [_space(name, OTHERS, default)] if default > 0 else []
    return [_space(name, declared, default)]
