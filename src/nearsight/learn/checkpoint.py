"""Where a training stands, on disk: safetensors and JSON in an artefact that is whole or absent.

Everything random follows from (seed, epoch, position), so there is no generator to save; rates follow from the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearsight.core.artefact import read_artefact, write_artefact
from nearsight.core.errors import Damaged, InputError, NotACollection
from nearsight.learn.history import Epoch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import Optimizer

FORMAT, VERSION = "nearsight-checkpoint", 1
NOW, BEST = "now.safetensors", "best.safetensors"


@dataclass(frozen=True, slots=True)
class Place:
    """The next batch is `position` of `epoch` (from 0); `step` optimiser steps are done."""

    epoch: int = 0
    position: int = 0
    step: int = 0


@dataclass(frozen=True, slots=True)
class Marks:
    """What a checkpoint must agree with to be gone on from: the recipe and the pictures."""

    recipe: str
    data: str


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A checkpoint that was read. ``sums`` are the running numbers of the epoch that is under way."""

    place: Place
    history: tuple[Epoch, ...]
    sums: Mapping[str, float]
    tensors: Mapping[str, Tensor]


def save(
    folder: Path,
    place: Place,
    marks: Marks,
    history: Sequence[Epoch],
    sums: Mapping[str, float],
    modules: Mapping[str, Module],
    walk: Optimizer,
    *,
    best: Mapping[str, Tensor] | None,
) -> None:
    """Write all of it. `best`: the weights of the best epoch where they are new; else the old ones stay.

    Raises WriteFailed; the checkpoint before is then still there.
    """
    from safetensors.torch import save as pack

    tensors = {f"{part}.{name}": _own(t) for part, module in modules.items() for name, t in module.state_dict().items()}
    tensors |= {
        f"optimiser.{number}.{name}": _own(value)
        for number, state in walk.state_dict()["state"].items()
        for name, value in state.items()
        if value is not None
    }
    meta = {
        "place": [place.epoch, place.position, place.step],
        "recipe": marks.recipe,
        "data": marks.data,
        "history": [epoch.to_json() for epoch in history],
        "sums": dict(sums),
    }
    files: dict[str, bytes | Path] = {NOW: pack(tensors)}
    if best is not None:
        files[BEST] = pack({name: _own(tensor) for name, tensor in best.items()})
    elif (folder / BEST).is_file():
        files[BEST] = folder / BEST
    write_artefact(folder, FORMAT, VERSION, meta, files)


def load(folder: Path, marks: Marks) -> Found | None:
    """The checkpoint in `folder`; None where there is none.

    Raises Damaged, FormatError, and InputError (``training/other-recipe``, ``training/other-data``) where it belongs to
    another training: nothing is overwritten that somebody may still want.
    """
    try:
        found = read_artefact(folder, FORMAT, VERSION)
    except NotACollection:
        return None
    meta = found.meta
    try:
        place, history = Place(*meta["place"]), tuple(Epoch.from_json(body) for body in meta["history"])
        sums, told = dict(meta["sums"]), Marks(meta["recipe"], meta["data"])
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{folder} does not say where training stood: {error}") from error
    fresh = "take another --out folder, or --fresh to begin anew there"
    if told.recipe != marks.recipe:
        raise InputError(f"{folder} belongs to a training by another recipe", code="training/other-recipe", hint=fresh)
    if told.data != marks.data:
        raise InputError(
            f"the pictures or labels have changed since {folder} was written", code="training/other-data", hint=fresh
        )
    return Found(place, history, sums, _read(folder / NOW))


def best_of(folder: Path) -> Mapping[str, Tensor]:
    """The weights of the best epoch so far. Raises Damaged where there are none."""
    return _read(folder / BEST)


def restore(found: Found, modules: Mapping[str, Module], walk: Optimizer) -> None:
    """Put everything back. Raises Damaged where the tensors are not those of this network."""
    try:
        for part, module in modules.items():
            module.load_state_dict(_below(found.tensors, part))
        state: dict[int, dict[str, Any]] = {}
        weights = [p for group in walk.param_groups for p in group["params"]]
        for name, tensor in _below(found.tensors, "optimiser").items():
            number, _, key = name.partition(".")
            like = weights[int(number)]
            if tensor.shape == like.shape:
                # laid out as the weights are (channels last): fused steps walk memory in order
                tensor = like.detach().clone().copy_(tensor)
            state.setdefault(int(number), {})[key] = tensor
        walk.load_state_dict({"state": state, "param_groups": walk.state_dict()["param_groups"]})
    except (RuntimeError, ValueError, KeyError) as error:
        raise Damaged(f"the checkpoint is not of this network: {error}") from error


def _below(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): t for name, t in tensors.items() if name.startswith(f"{part}.")}


def _own(tensor: Tensor) -> Tensor:
    """safetensors refuses views and other layouts than rows in order."""
    return tensor.detach().cpu().contiguous().clone()


def _read(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise Damaged(f"{path} cannot be read: {error}") from error
