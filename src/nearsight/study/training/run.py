"""From a recipe to an encoder folder and the proof beside it: split, measure, train, export, measure again.

::

    OUT/recipe.toml      resolved: every setting as it was used
        encoder/         what `index`, `search` and `eval` take: graph, weights, preprocessing, recipe, data, measures
        report.html      before and after, on one page
        before.json      the reports, a list, one a protocol, as `nearsight eval --json` writes them
        after.json
        history.jsonl    an epoch a line
        logs/            the same for TensorBoard, where it is installed
        checkpoint/      to go on from after an interruption; nothing needs it once the encoder is there
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from nearsight.core import settings
from nearsight.core.errors import DatasetError, InputError
from nearsight.core.events import Event, Skipped
from nearsight.core.items import Benchmark, Item
from nearsight.core.relevance import relevance_of
from nearsight.data.datasets import Dataset, load
from nearsight.data.splits import hold_out, split
from nearsight.encode.encoder import Encoder
from nearsight.encode.trainable import Trainable, trainable
from nearsight.learn.devices import Devices
from nearsight.learn.fit import Fitted, fit, require_parts
from nearsight.learn.from_pictures import FromPictures
from nearsight.learn.history import Epoch, Progress
from nearsight.learn.pictures import Pictures as Labelled
from nearsight.learn.pictures import proven
from nearsight.learn.recipe import Recipe
from nearsight.study.pages.training import write_training_page
from nearsight.study.pictures import Pictures
from nearsight.study.report import Report
from nearsight.study.training.folder import logged, prepared, spoken
from nearsight.study.training.outcome import (
    Study,
    facts_of,
    finished,
    page_of,
    read_reports,
    save_reports,
    training_json,
    untrained,
)

VALIDATION = ("val", "valid", "validation")


@dataclass(frozen=True, slots=True)
class Divided:
    """Which pictures are for what. ``held_out`` may be empty; no query of the `benchmarks` chose an epoch, but what did
    is in the gallery of test->train."""

    dataset: Dataset
    train: tuple[Item, ...]
    held_out: tuple[Item, ...]
    benchmarks: tuple[Benchmark, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A training that is done: its folder, the reports in it, and what the loop gave.

    ``before`` and ``after`` hold a report a protocol; in processes but the first of several they are empty.
    """

    folder: Path
    before: tuple[Report, ...]
    after: tuple[Report, ...]
    history: tuple[Epoch, ...]
    chosen: int
    seconds: float


def divide(recipe: Recipe) -> Divided:
    """Load and split the data of a recipe. Raises DatasetError, UnknownName, InputError (``recipe/data``)."""
    data = recipe.data
    if not data.source:
        raise InputError(
            "the recipe names no pictures", code="recipe/data", hint="--data FOLDER, or [data] source = 'folder/PATH'"
        )
    dataset = load(data.source, Path(data.root).expanduser() if data.root else None)
    if not dataset.labels and any(item.captions for item in dataset.items):
        raise DatasetError(
            f"the pictures of '{dataset.name}' have captions and no labels",
            code="dataset/unlabelled",
            hint="--words fasttext, or a recipe with a table [text], learns from captions",
        )
    how = data.split
    if how == "auto":
        how = "given" if {"train", "test"} <= set(dataset.splits) else "stratified"
    dataset = split(dataset, how, test=data.test, seed=data.seed)
    known = ("train", "test", *VALIDATION)
    others = [item for item in dataset.items if item.split not in known]
    skipped = [Skipped(str(item.path), "dataset/split", f"in neither of {', '.join(known)}") for item in others]
    dataset = replace(dataset, skipped=(*dataset.skipped, *skipped))
    training: tuple[Item, ...] = dataset.split("train")
    held: tuple[Item, ...] = ()
    named = [name for name in VALIDATION if name in dataset.splits]
    if data.validation:
        training, held = hold_out(training, data.validation, data.seed, disjoint=how == "disjoint")
    elif named and how == "given":
        held = dataset.split(named[0])
    usual = ("test-loo",) if how == "disjoint" else ("test->train", "test-loo")
    if recipe.loop.select == "best" or recipe.loop.patience:
        _require_choice(held)
    benchmarks = [dataset.benchmark(one) for one in data.protocols or usual]
    found = tuple(one for one in benchmarks if data.protocols or relevance_of(one).counts.any())
    if not found:
        raise DatasetError(
            f"no test picture of {dataset.name} has anything to find",
            code="dataset/nothing-to-find",
            hint="measuring needs several pictures of each class",
        )
    return Divided(dataset, training, held, found)


def _require_choice(held: tuple[Item, ...]) -> None:
    """What is held out can choose an epoch. Raises InputError (``recipe/value``), DatasetError."""
    if not held:
        raise InputError(
            "loop.select=best and loop.patience choose an epoch, and nothing is held out to choose it by",
            code="recipe/value",
            hint="data.validation=0.15, or a split val in the data; the test pictures are never used for it",
        )
    if not relevance_of(Benchmark("held out", "loo", held, held, queries_in_gallery=True)).counts.any():
        raise DatasetError(
            f"none of {len(held)} pictures held out to choose an epoch by has another of its class to find",
            code="dataset/nothing-to-find",
            hint="a larger data.validation: two pictures of a class at least",
        )


def train(
    recipe: Recipe, folder: Path, *, device: str = "auto", fresh: bool = False, maps: bool = True
) -> Generator[Event | Progress | Epoch, None, Outcome]:
    """Run a recipe into `folder`; run again, it goes on where it stopped. `fresh` begins anew there.

    Raises what `divide` and `fit` raise, EncoderError for a tower that cannot be trained or exported, WriteFailed,
    Locked where another training goes on in `folder`.
    """
    begun = time.perf_counter()
    require_parts(recipe)
    divided = divide(recipe)
    devices = Devices(recipe.loop.precision, device)
    if devices.first:
        yield from divided.dataset.skipped
    network = trainable(recipe.network.tower, recipe.network.head, recipe.seed)
    _require_width(recipe, network)
    with prepared(folder, settings.write(recipe), fresh) if devices.first else nullcontext():
        devices.meet()  # a checkpoint that is to be forgotten must be gone before another process looks for one
        loop, side = recipe.loop, network.preprocess.resize
        pictures = yield from spoken(
            proven(divided.train, side=side, cache_mb=loop.cache_mb, workers=loop.workers), devices
        )
        held = None
        if divided.held_out:
            held = yield from spoken(
                proven(divided.held_out, side=side, cache_mb=loop.cache_mb, workers=loop.workers), devices
            )
        with tempfile.TemporaryDirectory(prefix="nearsight-") as scratch:
            study = Study(divided.benchmarks, Path(scratch), _selection(divided, recipe))
            if devices.first:
                base, before = yield from _before(recipe, study, folder)
            fitted = yield from _fit(network, pictures, held, recipe, folder, devices)
            if not devices.first:
                return Outcome(folder, (), (), fitted.history, fitted.chosen, time.perf_counter() - begun)
            encoder, after = yield from study.measured(finished(network, fitted, pictures, recipe), chosen=True)
            if list(map(_asked, before)) != list(map(_asked, after)):  # the test pictures have changed since
                base, before = yield from _before(recipe, study, folder, anew=True)
            queries = {item.key: item for benchmark in divided.benchmarks for item in benchmark.queries}
            facts = facts_of(divided.train, pictures, fitted, tuple(queries.values()), held)
            told = training_json(recipe, facts, fitted, before, after)
            encoder.save(
                folder / "encoder", also={"recipe.toml": settings.write(recipe).encode(), "training.json": told}
            )
            save_reports(folder / "after.json", after)
            page = page_of(recipe, facts, fitted, before, after, tuple(queries.values()))
            if maps:
                page = yield from study.mapped(page, base, encoder)
            write_training_page(page, folder / "report.html", Pictures.default())
        return Outcome(folder, before, after, fitted.history, fitted.chosen, time.perf_counter() - begun)


def _require_width(recipe: Recipe, network: Trainable) -> None:
    """Raises InputError for a whitening that cannot be: before hours of work, not after."""
    wide = recipe.network.whiten_dim
    if recipe.network.whiten != "none" and wide > network.dim:
        raise InputError(
            f"vectors of {network.dim} dimensions cannot be whitened to {wide}",
            code="whiten/dim",
            hint=f"network.whiten_dim from 1 to {network.dim}; 0: all",
        )


def _before(
    recipe: Recipe, study: Study, folder: Path, *, anew: bool = False
) -> Generator[Event, None, tuple[Encoder, tuple[Report, ...]]]:
    """The tower as it comes, measured; once, however often the training is resumed."""
    tower = untrained(recipe)
    kept = () if anew else read_reports(folder / "before.json")
    if kept and len(kept) == len(study.benchmarks):
        encoder = tower if isinstance(tower, Encoder) else Encoder(tower)
        if all(report.card.encoder == encoder.spec.fingerprint for report in kept):
            return encoder, kept
    encoder, reports = yield from study.measured(tower, chosen=False)
    save_reports(folder / "before.json", reports)
    return encoder, reports


def _asked(report: Report) -> tuple[str, ...]:
    """What two reports must share to be held against each other."""
    card = report.card
    return card.dataset, card.protocol, card.queries, card.gallery


def _fit(
    network: Trainable, pictures: Labelled, held: Labelled | None, recipe: Recipe, folder: Path, devices: Devices
) -> Generator[Event | Progress | Epoch, None, Fitted]:
    work = fit(
        network.module, network.dim, _source(pictures, network, recipe), recipe,
        folder=folder / "checkpoint", held_out=_source(held, network, recipe) if held else None, devices=devices,
    )  # fmt: skip
    return (yield from logged(work, folder, devices))


def _source(pictures: Labelled, network: Trainable, recipe: Recipe) -> FromPictures:
    return FromPictures(pictures, network.preprocess, recipe.augment, recipe.loop.workers)


def _selection(divided: Divided, recipe: Recipe) -> str:
    """What chose the epoch, for the protocol card."""
    if recipe.loop.select == "last" and not recipe.loop.patience:
        return ""
    return f"{len(divided.held_out)} pictures held out of the training split"
