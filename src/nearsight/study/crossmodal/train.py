"""From a recipe to an encoder with two towers and the proof beside it: features, two heads, both ways measured.

::

    OUT/recipe.toml      resolved: every setting as it was used
        encoder/         what `index`, `search` and `eval` take: pictures and words, without torch
        report.html      both ways, curves, pairs, on one page
        report.json      what was measured on the test split, as `nearsight eval --json` writes it
        corrected.json   the same with the hubness correction, where the recipe names one
        history.jsonl    an epoch a line
        logs/            the same for TensorBoard, where it is installed
        checkpoint/      to go on from after an interruption; nothing needs it once the encoder is there
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core import settings
from nearsight.core.arrays import unit
from nearsight.core.artefact import made_by
from nearsight.core.errors import EncoderError, InputError, TrainingError
from nearsight.core.events import Event
from nearsight.encode.encoder import Encoder, EncoderSpec
from nearsight.encode.features import fingerprint_of
from nearsight.encode.heads import HEADS, with_dim
from nearsight.encode.network import TorchTower
from nearsight.encode.pooling import POOLINGS
from nearsight.encode.text_tower import SetTower
from nearsight.encode.texts import TEXTS
from nearsight.learn.devices import Devices
from nearsight.learn.fit import Fitted, fit, require_goal
from nearsight.learn.from_pairs import PICTURES, TEXT, pair_network, require_measure
from nearsight.learn.history import Epoch, Progress
from nearsight.learn.recipe import PairRecipe
from nearsight.search.hubness import HUBNESS
from nearsight.study.crossmodal.features import Featured, Split, featured
from nearsight.study.crossmodal.judge import NONE, judging
from nearsight.study.crossmodal.report import CrossReport
from nearsight.study.pages.both_ways import write_both_ways_page
from nearsight.study.pictures import Pictures
from nearsight.study.training.folder import logged, prepared

_PROVEN = 8
"""Test pictures and captions that the saved encoder must give the measured vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class PairOutcome:
    """A training that is done: its folder, and what the loop gave.

    report     on the test split, as the vectors are; None where the recipe names no test split
    corrected  the same with the recipe's hubness correction; None where it names none
    encoder    whether OUT/encoder is there: not for towers that do not become a graph
    """

    folder: Path
    report: CrossReport | None
    corrected: CrossReport | None
    history: tuple[Epoch, ...]
    chosen: int
    encoder: bool
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """Two heads that were trained, and the data that they were trained on."""

    data: Featured
    fitted: Fitted
    _made: dict[Split, NDArray[np.float32]] = field(default_factory=dict)

    def vectors(self, split: Split) -> NDArray[np.float32]:
        """(n + m, dim) of a split's pictures and texts as the network gives them."""
        if split not in self._made:
            self._made[split] = split.source.vectors(self.fitted.network, "cpu")
        return self._made[split]


def learn(
    recipe: PairRecipe, data: Featured, *, folder: Path | None, devices: Devices
) -> Generator[Event | Progress | Epoch, None, Learned]:
    """Train the heads of a recipe, which `require_pairs` found right, on its features. Raises what `fit` raises."""
    network = pair_network(recipe, data.pictures.width, data.words.width)
    held = data.validation.source if data.validation is not None else None
    work = fit(network, recipe.dim, data.train.source, recipe, folder=folder, held_out=held, devices=devices)
    return Learned(data, (yield from work))


def train_pairs(
    recipe: PairRecipe, folder: Path, *, device: str = "auto", fresh: bool = False, cache: Path | None = None
) -> Generator[Event | Progress | Epoch, None, PairOutcome]:
    """Run a recipe into `folder`; run again, it goes on where it stopped. `fresh` begins anew there; `cache` is where
    features are kept.

    Raises what `require_pairs`, `featured` and `learn` raise, InputError (code ``training/processes``), WriteFailed,
    Locked where another training goes on in `folder`.
    """
    begun = time.perf_counter()
    require_pairs(recipe)
    devices = Devices(recipe.loop.precision, device)
    if devices.world > 1:
        raise InputError(
            "two heads on frozen features are trained in one process",
            code="training/processes",
            hint="without torchrun: one processor or GPU does it in minutes",
        )
    with prepared(folder, settings.write(recipe), fresh):
        data = yield from featured(recipe, folder=cache)
        work = learn(recipe, data, folder=folder / "checkpoint", devices=devices)
        learned = yield from logged(work, folder, devices)
        encoder = finished(recipe, learned)
        spec = encoder.spec if encoder is not None else unsaved(recipe, learned)
        report = corrected = None
        facts = facts_of(recipe, learned)
        if data.test is not None:
            report, corrected = yield from measured(recipe, learned, spec)
        if encoder is not None:
            told = _training_json(recipe, facts, learned.fitted, report, corrected)
            encoder.save(
                folder / "encoder", also={"recipe.toml": settings.write(recipe).encode(), "training.json": told}
            )
            _require_same(Encoder.load(folder / "encoder"), learned)
        for name, one in (("report.json", report), ("corrected.json", corrected)):
            if one is not None:
                one.write(folder / name)
        shown = corrected or report
        if shown is not None:
            title, history = recipe.name or "pictures and words", learned.fitted.history
            write_both_ways_page(
                shown, folder / "report.html", Pictures.default(), title=title, history=history, facts=facts
            )
    seconds = time.perf_counter() - begun
    fitted = learned.fitted
    return PairOutcome(folder, report, corrected, fitted.history, fitted.chosen, encoder is not None, seconds)


def measured(
    recipe: PairRecipe, learned: Learned, spec: EncoderSpec, *, dim: int | None = None
) -> Generator[Event, None, tuple[CrossReport, CrossReport | None]]:
    """The test split both ways: as the vectors are, and with the recipe's hubness correction, whose bank is the
    training split. `dim`: only so much of the vectors' beginnings.

    Raises TrainingError (code ``training/no-direction``) for vectors that are zero.
    """
    data = learned.data
    test = data.test
    if test is None:
        raise InputError("the recipe names no test split", code="recipe/data", hint="data.test")
    try:
        asked = test.bank(learned.vectors(test)[:, :dim])
        given: dict[str, Any] = {
            "encoder": (spec.address, spec.fingerprint),
            "seeds": {"training": recipe.seed},
            "selection_split": recipe.data.validation if recipe.loop.select == "best" else "",
        }
        plain = yield from judging(asked.images, asked.texts, test.relation, **given)
        if recipe.hubness == NONE:
            return plain, None
        bank = data.train.bank(learned.vectors(data.train)[:, :dim])
    except InputError as error:
        if error.code != "vectors":
            raise
        raise TrainingError(
            f"the heads give something the zero vector, which is like nothing: {error.message}",
            code="training/no-direction",
            hint="no ReLU at the end of the heads; a lower loop.lr",
        ) from error
    corrected = yield from judging(asked.images, asked.texts, test.relation, hubness=recipe.hubness, bank=bank, **given)
    return plain, corrected


def finished(recipe: PairRecipe, learned: Learned) -> Encoder | None:
    """The encoder with two towers; None where the image tower does not become a graph."""
    data, heads = learned.data, learned.fitted.network.get_submodule("head")
    if not isinstance(data.pictures.tower, TorchTower):
        return None
    side = heads.get_submodule(PICTURES)
    tower = data.pictures.finished(
        recipe.pictures.pool,
        side.get_submodule("pool").state_dict(),
        with_dim(recipe.pictures.head, recipe.dim),
        side.get_submodule("head").state_dict(),
    )
    text = SetTower(
        data.words,
        heads.get_submodule(TEXT),
        pool=recipe.text.pool,
        heads=[with_dim(recipe.text.head, recipe.dim)],
        keep_weights=True,
    )
    return Encoder(tower, text)


def unsaved(recipe: PairRecipe, learned: Learned) -> EncoderSpec:
    """What was measured where no encoder is saved: by its recipe and data."""
    identity = {"recipe": settings.write(recipe), "data": learned.data.train.source.digest}
    address = f"{learned.data.pictures.address} | {learned.data.words.address}"
    return EncoderSpec(address, recipe.dim, ("image", "text"), fingerprint_of(identity), identity)


def require_pairs(recipe: PairRecipe) -> None:
    """What can be known to be wrong before hours of work, and not after.

    Raises UnknownName for a component or an option that does not exist, InputError (code ``recipe/value``) where an
    epoch is to be chosen and nothing is held out to choose it by.
    """
    require_goal(recipe.objective)
    require_measure(recipe.loop.measure)
    for catalogue, address in (
        (POOLINGS, recipe.pictures.pool), (HEADS, recipe.pictures.head), (TEXTS, recipe.text.words),
        (POOLINGS, recipe.text.pool), (HEADS, recipe.text.head), (HUBNESS, recipe.hubness),
    ):  # fmt: skip
        catalogue.check(address)
    if not recipe.data.validation and (recipe.loop.select == "best" or recipe.loop.patience):
        raise InputError(
            "loop.select=best and loop.patience choose an epoch, and nothing is held out to choose it by",
            code="recipe/value",
            hint="data.validation names a split; or loop.select=last and loop.patience=0",
        )


def _require_same(encoder: Encoder, learned: Learned) -> None:
    """The encoder that was saved gives what was measured. Raises EncoderError (code ``encoder/changed``)."""
    split = learned.data.test or learned.data.train
    relation, pictures = split.relation, Pictures.default()
    rows = np.linspace(0, len(relation.pictures) - 1, min(_PROVEN, len(relation.pictures))).astype(int)
    texts = np.linspace(0, len(relation.texts) - 1, min(_PROVEN, len(relation.texts))).astype(int)
    shown = [pictures.decode(pictures.read(relation.pictures[row].path), encoder.tower.side) for row in rows.tolist()]
    vectors = unit(learned.vectors(split)[[*rows, *(texts + len(relation.pictures))]])
    again = np.concatenate(
        [encoder.encode_images(shown), encoder.encode_texts([relation.texts[row] for row in texts.tolist()])]
    )
    least = float(np.einsum("nd,nd->n", vectors, again).min())
    if least < 0.99:
        raise EncoderError(
            f"the saved encoder gives other vectors than were measured (cosine {least:.4f})",
            code="encoder/changed",
            hint="this is a fault of nearsight's: please report it with the recipe",
        )


def facts_of(recipe: PairRecipe, learned: Learned) -> dict[str, str]:
    """What was learned from, with what, for people and for the record."""
    import torch

    data, fitted = learned.data, learned.fitted
    relation, last = data.train.relation, fitted.history[-1]
    parameters = sum(p.numel() for p in fitted.network.parameters())
    facts = {
        "pictures trained on": f"{len(relation.pictures):,} with {len(relation.texts):,} captions",
        "left out": f"{len(relation.skipped):,} pictures and captions that cannot be used",
        "data sha256": relation.digest,
        "features": f"{data.pictures.address} ({data.pictures.width} numbers, at most {data.pictures.members} a "
        f"picture) and {data.words.address} ({data.words.width} a word)",
        "heads": f"{parameters:,} numbers that were trained",
        "epochs": f"{last.epoch} of {last.of}, the weights of epoch {fitted.chosen}",
        "time": f"{fitted.seconds:.0f} s of training",
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "made by": f"{made_by()}, torch {torch.__version__}, Python {platform.python_version()}",
    }
    test = data.test
    if test is not None:
        known = {item.path.name for item in relation.pictures} & {item.path.name for item in test.relation.pictures}
        facts["copies"] = f"{len(known):,} test pictures have the name of one that was trained on"
    return facts


def _training_json(
    recipe: PairRecipe,
    facts: dict[str, str],
    fitted: Fitted,
    report: CrossReport | None,
    corrected: CrossReport | None,
) -> bytes:
    """training.json of an encoder folder: name, facts, measures by correction and way, and the epochs."""

    def measures(found: CrossReport) -> dict[str, Any]:
        rows = {way: {row.label: asdict(row) for row in one.measures} for way, one in found.ways}
        return {**rows, found.rsum.label: asdict(found.rsum)}

    body = {
        "name": recipe.name,
        "facts": facts,
        "measures": {
            name: measures(found)
            for name, found in (("plain", report), (recipe.hubness, corrected))
            if found is not None
        },
        "findings": [asdict(finding) for epoch in fitted.history[-1:] for finding in epoch.health.findings],
        "history": [epoch.to_json() for epoch in fitted.history],
    }
    return (json.dumps(body, indent=1) + "\n").encode()
