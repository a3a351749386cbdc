"""Losses compared at equal budget, after Musgrave, Belongie and Lim, "A Metric Learning Reality Check" (ECCV 2020).

They found that years of reported progress came from unequal tuning, and from choosing by the test set. So here:

* the test classes are in no training, and no trial sees a picture of them;
* the training classes are dealt into folds by class; a setting's score is the mean over folds of the mAP, leave one
  out, on the classes that were held out;
* every contender has the same number of trials, drawn alike (see `contenders`), each as many passes of pictures through
  the network as any other's; the first is its defaults;
* the best trial by that score alone is trained on all training classes, once a seed, and judged once on the test.

::

    OUT/compare.json   what was found; compare.html the same as a page
        best.toml      the recipe with the winner in it, for `nearsight train`
        trials.jsonl   every training: run again, what is there is not done again
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nearsight.core import settings
from nearsight.core.artefact import replace_file
from nearsight.core.errors import InputError
from nearsight.core.events import Event, Step
from nearsight.core.items import Item
from nearsight.data.datasets import Dataset, load
from nearsight.data.splits import folds as dealt
from nearsight.data.splits import split
from nearsight.encode.trainable import trainable
from nearsight.learn.devices import Devices
from nearsight.learn.losses import LOSSES
from nearsight.learn.objective import objective
from nearsight.learn.pictures import Pictures, proven
from nearsight.learn.recipe import Recipe
from nearsight.learn.samplers import SAMPLERS, Sampler
from nearsight.study.comparing.comparison import BEST, Comparison, Trial
from nearsight.study.comparing.contenders import Contender, Search, Setting, need_optuna, proposed
from nearsight.study.comparing.judgement import Ended, judgement
from nearsight.study.comparing.trainings import Line, Trainings
from nearsight.study.pages.comparison import write_compare_page

TRIALS, FOLDS, SEEDS = 8, 4, 3
UNEQUAL = 0.1
"""By how much of the budget a training may miss it, where batches do not divide it."""
Fold = tuple[Pictures, Pictures]
"""What trains, what is held out."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial or a seed is over. An event: faces print it as a line.

    score  validation mAP of a trial, test mAP of a seed; None where it failed
    again  whether it was there already
    """

    contender: str
    what: str
    setting: Setting
    score: float | None
    best: bool
    failed: str
    again: bool


def compare(
    recipe: Recipe,
    contenders: Sequence[Contender],
    folder: Path,
    *,
    trials: int = TRIALS,
    folds: int = FOLDS,
    seeds: int = SEEDS,
    search: Search = "random",
    device: str = "auto",
) -> Generator[Event | Tried, None, Comparison]:
    """Compare `contenders`, everything else as in `recipe`, into `folder`; run again, it goes on where it stopped.

    Of the recipe's objective nothing is taken; nothing is held out of its training, and the last epoch counts. Raises
    InputError (``compare/none``, ``compare/twice``, ``compare/count``, ``compare/budget``, ``compare/processes``,
    ``recipe/data``), DatasetError (``dataset/folds`` for too few classes), and what building and training raise, but
    that a loss that is not finite any more is a trial that failed.
    """
    _check(contenders, trials, seeds, search)
    recipe = _base(recipe)
    dataset = parted(recipe)
    devices = Devices(recipe.loop.precision, device)
    if devices.world > 1:
        raise InputError("a comparison runs in one process", code="compare/processes", hint="run it without torchrun")
    dealt(dataset.split("train"), folds, recipe.data.seed)  # too few classes: said before anything is read
    network = trainable(recipe.network.tower, recipe.network.head, recipe.seed)
    pictures = yield from _read(dataset.split("train"), network.preprocess.resize, recipe)
    parts = folded(pictures, folds, recipe.data.seed)
    for contender in contenders:
        _fits(contender, recipe, [*(learned for learned, _ in parts), pictures], network.dim)
    trainings = Trainings(folder, devices)
    replace_file(folder / "recipe.toml", settings.write(recipe).encode())
    run = _Run(recipe, contenders, trainings, Count(trials, folds, seeds, search))
    found: list[list[Trial]] = [[] for _ in contenders]
    for number in range(trials):  # trial by trial: broken off, all have had as many
        for at in range(len(contenders)):
            found[at].append((yield from run.trial(at, number, found[at], parts)))
    # only here, when every choice is made, are the test pictures opened
    test = yield from _read(dataset.split("test"), network.preprocess.resize, recipe)
    tested: list[Ended] = []
    for at, contender in enumerate(contenders):
        tested.append((yield from run.test(contender, found[at], pictures, test)))
    untrained = trainings.untrained(recipe, test, "no training")
    done = judgement(recipe, dataset.name, run.count.told(recipe, pictures, test), tested, untrained, pictures, test)
    replace_file(folder / "compare.json", done.to_json().encode())
    write_compare_page(done, folder / "compare.html")
    winner = next((row.name for row in done.rows if row.verdict == BEST), None)
    for one in tested:
        if one.contender.name == winner and one.best is not None:
            best = budgeted(one.contender.tried(recipe, one.best.setting), pictures)
            replace_file(folder / "best.toml", settings.write(best).encode())
    return done


@dataclass(frozen=True, slots=True)
class Count:
    """The budget of each contender."""

    trials: int
    folds: int
    seeds: int
    search: Search

    def trainings(self, contenders: int) -> int:
        """In all."""
        return contenders * (self.trials * self.folds + self.seeds)

    def told(self, recipe: Recipe, pictures: Pictures, test: Pictures) -> dict[str, str]:
        """The protocol in words, by what it is about."""
        loop, n = recipe.loop, len(pictures)
        way = "the same quasi-random draws for all" if self.search == "random" else "by TPE, each from its own past"
        return {
            "test": f"{len(test):,} pictures of {len(test.names)} classes that no training saw and no trial opened "
            f"(data.seed {recipe.data.seed})",
            "training": f"{n:,} pictures of {len(pictures.names)} other classes",
            "validation": f"{self.folds} folds by class: mean mAP, leave one out, on the classes held out",
            "trials": f"{self.trials} a contender, {way} (seed {recipe.seed}); trial 0 is the defaults",
            "budget": f"{loop.epochs} passes over the training pictures in every training, {loop.batch} a batch; no "
            "early stop, the last epoch counts",
            "in the end": f"the best trial by validation alone, on all training classes, {self.seeds} seed"
            + ("s" if self.seeds > 1 else "")
            + f" (from {recipe.seed}), judged once on the test classes: mAP, leave one out",
            "intervals": "95% percentile bootstrap over test queries of AP averaged over seeds",
            "clear": "a difference whose interval, paired by query, leaves out 0, and no seed of one reaches into the "
            "other's",
            "network": f"{recipe.network.tower}, head {recipe.network.head}",
            "after": "Musgrave, Belongie and Lim, A Metric Learning Reality Check, ECCV 2020",
        }


class _Run:
    """Trials and seeds of all contenders, counted."""

    def __init__(self, recipe: Recipe, contenders: Sequence[Contender], trainings: Trainings, count: Count) -> None:
        self.recipe, self.contenders, self.trainings, self.count = recipe, contenders, trainings, count
        self.spaces = [contender.spaces(recipe) for contender in contenders]
        self.done = 0

    def trial(
        self, at: int, number: int, before: Sequence[Trial], folds: Sequence[Fold]
    ) -> Generator[Event | Tried, None, Trial]:
        """One setting of a contender, on every fold; after a fold that failed the others are left."""
        contender = self.contenders[at]
        seen = [(trial.setting, trial.score) for trial in before]
        setting = proposed(self.count.search, self.spaces[at], number, self.recipe.seed, seen)
        recipe = contender.tried(self.recipe, setting)
        lines: list[Line] = []
        failed, known = _refused(recipe) if number else "", True
        for fold, (learned, held) in enumerate(folds):
            if not failed:
                told = f"{contender.name}, trial {number + 1} of {self.count.trials}, fold {fold + 1} of {len(folds)}"
                ready = budgeted(recipe, learned)
                known = known and self.trainings.knows(ready, learned, held)
                lines.append((yield from self.trainings.run(ready, learned, held, told)))
                failed = lines[-1].failed
            self.done += 1
            yield Step("trainings", self.done, self.count.trainings(len(self.contenders)))
        scores = tuple(line.score for line in lines)
        trial = Trial(
            number=number,
            setting=setting,
            folds=scores,
            score=None if failed else float(np.mean([score for score in scores if score is not None])),
            pictures=sum(line.pictures for line in lines),
            seconds=sum(line.seconds for line in lines),
            findings=tuple(sorted({code for line in lines for code in line.findings})),
            failed=failed,
        )
        best = trial.score is not None and trial.score > max((t.score or 0.0 for t in before), default=0.0)
        what = f"trial {number + 1} of {self.count.trials}"
        yield Tried(contender.name, what, setting, trial.score, best, failed, known)
        return trial

    def test(
        self, contender: Contender, trials: Sequence[Trial], pictures: Pictures, test: Pictures
    ) -> Generator[Event | Tried, None, Ended]:
        """The best trial's setting, with every seed, on the test; nothing where all trials failed."""
        known = [trial for trial in trials if trial.score is not None]
        spaces = tuple(space.told() for space in contender.spaces(self.recipe))
        if not known:
            self.done += self.count.seeds
            return Ended(contender, contender.goal(), tuple(trials), None, (), spaces)
        best = max(known, key=lambda trial: (trial.score or 0.0, -trial.number))
        recipe = contender.tried(self.recipe, best.setting)
        lines = []
        for number in range(self.recipe.seed, self.recipe.seed + self.count.seeds):
            ready = budgeted(replace(recipe, seed=number), pictures)
            again = self.trainings.knows(ready, pictures, test)
            told = f"{contender.name}, seed {number}, all training classes"
            line = yield from self.trainings.run(ready, pictures, test, told, values=True)
            lines.append((number, line))
            self.done += 1
            yield Step("trainings", self.done, self.count.trainings(len(self.contenders)))
            yield Tried(contender.name, f"seed {number}, test", best.setting, line.score, False, line.failed, again)
        return Ended(contender, recipe.objective, tuple(trials), best, tuple(lines), spaces)


def parted(recipe: Recipe) -> Dataset:
    """The data set with a train and a test split that share no class: its own where the recipe asks for them
    (``given``) and they share none, else by ``disjoint``. Raises InputError (``recipe/data``), DatasetError.
    """
    data = recipe.data
    if not data.source:
        raise InputError("no pictures were named", code="recipe/data", hint="--data FOLDER, one class folder each")
    dataset = load(data.source, Path(data.root).expanduser() if data.root else None)
    if data.split == "given" and {"train", "test"} <= set(dataset.splits):
        train, test = ({item.label for item in dataset.split(name)} for name in ("train", "test"))
        if not train & test:
            return dataset
    return split(dataset, "disjoint", test=data.test, seed=data.seed)


def folded(pictures: Pictures, number: int, seed: int) -> list[Fold]:
    """The training pictures by folds of classes. Raises DatasetError (``dataset/folds``)."""
    row_of = {item.key: row for row, item in enumerate(pictures.items)}

    def subset(items: Sequence[Item]) -> Pictures:
        return pictures.subset([row_of[item.key] for item in items])

    return [(subset(train), subset(held)) for train, held in dealt(pictures.items, number, seed)]


def budgeted(recipe: Recipe, pictures: Pictures) -> Recipe:
    """`recipe` with as many epochs as give loop.epochs passes over `pictures`: a sampler of triplets draws each picture
    three times an epoch. Raises InputError (code ``compare/budget``) where no whole number of epochs comes near.
    """
    loop, n = recipe.loop, len(pictures)
    sampler: Sampler = SAMPLERS.build(
        recipe.objective.sampler, labels=pictures.labels, batch=loop.batch, seed=recipe.seed
    )
    drawn, aim = sum(len(rows) for rows in sampler.batches(0)), loop.epochs * n
    epochs = max(1, round(aim / drawn))
    if abs(epochs * drawn - aim) > max(UNEQUAL * aim, epochs * loop.batch):
        times = drawn / n
        raise InputError(
            f"the sampler '{recipe.objective.sampler}' draws every picture {times:.1f} times an epoch: {loop.epochs} "
            "passes over the pictures are no whole number of its epochs, and the budgets would differ",
            code="compare/budget",
            hint=f"loop.epochs={max(1, round(loop.epochs / times)) * round(times)}",
        )
    if epochs == loop.epochs:
        return recipe
    part = epochs / loop.epochs  # what is counted in epochs keeps its share of the training
    steps = max(1, round(loop.step_epochs * part))
    return replace(recipe, loop=replace(loop, epochs=epochs, warmup=loop.warmup * part, step_epochs=steps))


def _check(contenders: Sequence[Contender], trials: int, seeds: int, search: Search) -> None:
    if not contenders:
        raise InputError("no losses to compare", code="compare/none", hint="--loss triplet --loss normalised_softmax")
    names = [contender.name for contender in contenders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{', '.join(twice)} would be compared with itself", code="compare/twice")
    if trials < 1 or seeds < 1:
        raise InputError(f"{trials} trials and {seeds} seeds: one of each at least", code="compare/count")
    if search == "tpe":
        need_optuna()


def _base(recipe: Recipe) -> Recipe:
    """As all share it: nothing is held out or stopped early, and vectors are compared as they are learned."""
    return replace(
        recipe,
        data=replace(recipe.data, validation=0.0),
        network=replace(recipe.network, whiten="none"),
        loop=replace(recipe.loop, select="last", patience=0),
    )


def _read(items: Sequence[Item], side: int, recipe: Recipe) -> Generator[Event, None, Pictures]:
    """Half of the cache each for training and test."""
    return (yield from proven(items, side=side, cache_mb=recipe.loop.cache_mb // 2, workers=recipe.loop.workers))


def _fits(contender: Contender, recipe: Recipe, sides: Sequence[Pictures], dim: int) -> None:
    """All parts are built once, so that what does not fit is said before hours of training."""
    ready = contender.tried(recipe, {})
    goal = ready.objective
    for pictures in sides:
        labels = pictures.labels
        sampler = SAMPLERS.build(goal.sampler, labels=labels, batch=recipe.loop.batch, seed=recipe.seed)
        objective(
            goal.loss, target=goal.target or None, miner=goal.miner, sampler=sampler, classes=len(pictures.names),
            dim=dim, seed=recipe.seed,
        )  # fmt: skip
        budgeted(ready, pictures)


def _refused(recipe: Recipe) -> str:
    """Why the loss does not take what the search has drawn for it; "" where it does."""
    try:
        LOSSES.build(recipe.objective.loss)
    except InputError as error:
        return f"{error.message} [{error.code}]"
    return ""
