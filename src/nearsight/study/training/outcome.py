"""What a training leaves: a tower that can be exported, reports of it, its facts, its page."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from nearsight.core import settings
from nearsight.core.artefact import made_by, replace_file
from nearsight.core.errors import FormatError, InputError, PictureError, TrainingError
from nearsight.core.events import Event
from nearsight.core.items import Benchmark, Item
from nearsight.encode.encoder import Encoder
from nearsight.encode.golden import golden_pictures
from nearsight.encode.network import TorchTower
from nearsight.encode.trainable import Trainable, seeded
from nearsight.encode.whitening import learned, pca
from nearsight.learn.fit import Fitted
from nearsight.learn.pictures import Pictures as Labelled
from nearsight.learn.recipe import Recipe
from nearsight.study.pages.similarities import similarities
from nearsight.study.pages.space import picture_maps
from nearsight.study.pages.training import Trained
from nearsight.study.pictures import Pictures, encoding
from nearsight.study.report import Report, many_from_json, many_to_json
from nearsight.study.run import run


def untrained(recipe: Recipe) -> TorchTower | Encoder:
    """The tower as it comes, without the head: what one would use without training."""
    if Path(recipe.network.tower).is_dir():
        return Encoder.load(Path(recipe.network.tower))
    return cast(TorchTower, seeded(recipe.network.tower, recipe.seed))


def finished(network: Trainable, fitted: Fitted, pictures: Labelled, recipe: Recipe) -> TorchTower:
    """The trained network as a tower: whitened if asked for, by the training pictures."""
    tower = network.finish()
    how = recipe.network.whiten
    if how == "none":
        return tower
    vectors = Encoder(tower).encode_images(pictures.open(row) for row in range(len(pictures)))
    dim = recipe.network.whiten_dim or tower.dim
    return (pca(vectors, dim) if how == "pca" else learned(vectors, pictures.labels, dim)).on(tower)


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """The measurements before and after: the same benchmarks, and one place for vectors."""

    benchmarks: tuple[Benchmark, ...]
    cache: Path
    selection: str
    """What chose an epoch, for the card of what was trained."""

    def measured(
        self, tower: TorchTower | Encoder, *, chosen: bool
    ) -> Generator[Event, None, tuple[Encoder, tuple[Report, ...]]]:
        """The encoder as people will load it, exported and without torch, and a report a benchmark.

        `chosen`: the cards tell of the selection; the tower as it came was chosen by nothing.

        Raises TrainingError (code ``training/no-direction``) for a network that gives a picture the zero vector.
        """
        try:
            return (yield from self._measured(tower, self.selection if chosen else ""))
        except InputError as error:
            if error.code != "vectors":
                raise
            raise TrainingError(
                f"the network gives some picture the zero vector, which is like nothing: {error.message}",
                code="training/no-direction",
                hint="no ReLU at the end of network.head; a lower loop.lr",
            ) from error

    def _measured(
        self, tower: TorchTower | Encoder, selection: str
    ) -> Generator[Event, None, tuple[Encoder, tuple[Report, ...]]]:
        count = len({item.key for benchmark in self.benchmarks for item in (*benchmark.gallery, *benchmark.queries)})
        encoder = tower if isinstance(tower, Encoder) else self._exported(tower, count)
        reports = []
        for benchmark in self.benchmarks:
            report = yield from run(benchmark, encoder, cache_folder=self.cache)
            card = replace(report.card, selection_split=selection)
            reports.append(replace(report, card=card))
        return encoder, tuple(reports)

    def _exported(self, tower: TorchTower, count: int) -> Encoder:
        # said here, in words about the network; the export would speak of a graph that is not it
        Encoder(tower).encode_prepared(list(golden_pictures(tower.preprocess.size)))
        return Encoder(tower).exported(count, within=self.cache)

    def mapped(self, page: Trained, before: Encoder, after: Encoder) -> Generator[Event, None, Trained]:
        """The page with maps of the query pictures and histograms of their similarities, before and after."""
        benchmark, pictures = self.benchmarks[-1], Pictures.default()
        first = yield from encoding(benchmark.queries, before, pictures, cache_folder=self.cache)
        second = yield from encoding(benchmark.queries, after, pictures, cache_folder=self.cache)
        labels = [item.label for item in first.items]
        return replace(
            page,
            maps=picture_maps(first.items, first.vectors, second.vectors, pictures),
            similarities=(similarities(first.vectors, labels), similarities(second.vectors, labels)),
        )


def facts_of(
    items: Sequence[Item],
    pictures: Labelled,
    fitted: Fitted,
    asked: Sequence[Item],
    held: Labelled | None = None,
) -> dict[str, str]:
    """What was learned from, with what, for people and for the record.

    `asked` are the queries of the reports, which may be copies of pictures that were learned from: they are counted,
    because what is found for them proves little.
    """
    import torch

    never = len(fitted.never)
    last = fitted.history[-1]
    return {
        "pictures trained on": f"{len(pictures) - never:,} of {len(items):,} in {len(pictures.names):,} classes",
        "left out": f"{len(pictures.skipped):,} that cannot be read"
        + (f", {never:,} in classes too small for the sampler" if never else ""),
        "copies": _copies(asked, pictures, held),
        "data sha256": pictures.digest,
        "epochs": f"{last.epoch} of {last.of}, the weights of epoch {fitted.chosen}",
        "time": f"{fitted.seconds:.0f} s of training, {sum(e.pictures for e in fitted.history):,} pictures seen",
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "made by": f"{made_by()}, torch {torch.__version__}, Python {platform.python_version()}",
    }


def _copies(asked: Sequence[Item], pictures: Labelled, held: Labelled | None) -> str:
    """How many pictures stand, byte for byte, on both sides of a split."""
    known, read = set(pictures.hashes), Pictures.default().read
    count = 0
    for item in asked:
        with suppress(PictureError, OSError):  # one that cannot be read is in the report's list of those left out
            count += hashlib.sha256(read(item.path)).hexdigest() in known
    told = f"{count:,} of {len(asked):,} test pictures"
    if held is not None:
        told += f" and {sum(one in known for one in held.hashes):,} of {len(held):,} held out"
    return f"{told} are byte for byte among those trained on"


def training_json(
    recipe: Recipe, facts: dict[str, str], fitted: Fitted, before: Sequence[Report], after: Sequence[Report]
) -> bytes:
    """training.json of an encoder folder: name, facts, measures before and after by protocol, and the epochs."""

    def measures(reports: Sequence[Report]) -> dict[str, dict[str, Any]]:
        return {
            report.card.protocol: {
                row.label: {"value": row.value, "low": row.low, "high": row.high, "chance": row.floor}
                for row in report.measures
            }
            for report in reports
        }

    body = {
        "name": recipe.name,
        "facts": facts,
        "before": measures(before),
        "after": measures(after),
        "findings": [asdict(finding) for epoch in fitted.history[-1:] for finding in epoch.health.findings],
        "history": [epoch.to_json() for epoch in fitted.history],
    }
    return (json.dumps(body, indent=1) + "\n").encode()


def page_of(
    recipe: Recipe,
    facts: dict[str, str],
    fitted: Fitted,
    before: Sequence[Report],
    after: Sequence[Report],
    queries: tuple[Item, ...],
) -> Trained:
    """The page without its maps. `queries`: all that were asked, so that those that fell can be shown."""
    return Trained(
        title=recipe.name or "training",
        recipe=settings.write(recipe),
        before=tuple(before),
        after=tuple(after),
        history=fitted.history,
        facts=facts,
        maps=None,
        similarities=None,
        notes=(recipe.about,) if recipe.about else (),
        queries=queries,
    )


def save_reports(path: Path, reports: Sequence[Report]) -> None:
    """As `nearsight eval --json` writes several. Raises WriteFailed."""
    replace_file(path, many_to_json(reports).encode())


def read_reports(path: Path) -> tuple[Report, ...]:
    """What `save_reports` wrote; nothing where it is missing or cannot be read: then it is measured again."""
    try:
        return tuple(many_from_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, FormatError):
        return ()
