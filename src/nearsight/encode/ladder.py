"""The encoders side by side: what each costs, what it is good for, how it is got, whether it works here and now.

A component's file says it of itself: beside ``build`` stands ``LADDER``, one `Rung` for each of its addresses that are
worth naming. What comes as an encoder folder (``FOLDER``) is looked at instead. Nothing is imported or built for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from nearsight.core.artefact import read_artefact
from nearsight.core.errors import NotACollection
from nearsight.encode.encoder import FORMAT, TEXT, TOWERS, VERSION
from nearsight.encode.quantize import stated

SET = "MIT split, test->train"
"""What ``Rung.measured`` is the mean average precision on: pictures of the test part, searched among those of the
training part, with the encoder as it comes."""
READY, DOWNLOAD, INSTALL, TRAIN, ABSENT = "ready", "download", "install", "train", "absent"


@dataclass(frozen=True, slots=True)
class Rung:
    """One encoder.

    dim       length of its vectors
    told      what it looks at, and when to take it: a few words
    words     whether it takes words too
    megabytes of its weights, on disk or to be downloaded; 0: it has none
    packages  that must be there beside what nearsight always brings, and the `extra` that brings them
    weights   where they come from: ``hub:REPOSITORY`` and ``torch:FILES`` are downloaded once, ``random`` are to be
              trained; empty: nothing is lacking
    measured  see `SET`; None where nobody measured it as it comes. `row` is where it is published: FILE:ID below
              ``docs/results``
    """

    address: str
    dim: int
    told: str
    words: bool = False
    megabytes: float = 0.0
    packages: tuple[str, ...] = ()
    extra: str = ""
    weights: str = ""
    measured: float | None = None
    row: str = ""

    @property
    def modalities(self) -> tuple[str, ...]:
        """As `EncoderSpec.modalities`."""
        return ("image", "text") if self.words else ("image",)

    @property
    def step(self) -> int:
        """0: it comes along, 1: an extra brings it, 2: it is downloaded, 3: it is to be trained."""
        if self.weights in ("", ABSENT):
            return int(bool(self.extra))
        return 3 if self.weights == "random" else 2

    @property
    def status(self) -> str:
        """``ready``: works here and now, without a network. Else what it lacks first: ``install`` (an extra),
        ``download``, ``train`` (its weights are random), ``absent`` (it should have come along)."""
        if self.weights == ABSENT:
            return ABSENT
        if any(find_spec(package) is None for package in self.packages):
            return INSTALL
        if self.weights == "random":
            return TRAIN
        return READY if not self.weights or _downloaded(self.weights) else DOWNLOAD

    @property
    def get(self) -> str:
        """How it is got, for people."""
        steps = {
            ABSENT: "install nearsight again: this copy came without it",
            INSTALL: f"pip install 'nearsight[{self.extra}]'",
            TRAIN: "nearsight train: its weights are random",
            DOWNLOAD: f"downloaded when it is first used ({self.megabytes:.0f} MB)",
        }
        return steps.get(self.status, "it is here")


def ladder() -> list[Rung]:
    """All there are: what comes along (first what takes words), what an extra brings, what is downloaded, what is to be
    trained; each by size."""
    rungs = [rung for name in TOWERS.names() for rung in rungs_of(name)]
    return sorted(rungs, key=lambda rung: (rung.step, not (rung.words and not rung.step), rung.megabytes))


def rungs_of(name: str) -> Iterator[Rung]:
    """Those of one component; none where its file says nothing. Raises UnknownName, Damaged."""
    module = TOWERS.module(name)
    yield from getattr(module, "LADDER", ())
    if (folder := getattr(module, "FOLDER", None)) is not None:
        told = "daily life, by pictures and words"
        try:
            rung = rung_of(folder)
        except NotACollection:
            rung = Rung(name, 0, told, words=True, weights=ABSENT)
        value, row = getattr(module, "MEASURED", (None, ""))
        yield replace(rung, address=name, told=told, measured=value, row=row)


def rung_of(folder: Path) -> Rung:
    """An encoder folder. Raises NotACollection, FormatError, Damaged."""
    found = read_artefact(folder, FORMAT, VERSION)
    size = sum((folder / name).stat().st_size for name in found.files)
    told = stated(found.meta.get("identity", {})) or "an encoder folder"
    return Rung(str(folder), int(found.meta["dim"]), told, TEXT in found.files, size / 1e6)


def _downloaded(weights: str) -> bool:
    """Whether they are in the cache of those who download them; what was moved elsewhere is not found."""
    kind, _, what = weights.partition(":")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if kind == "torch":
        return any(Path(os.environ.get("TORCH_HOME") or cache / "torch").glob(f"hub/checkpoints/{what}"))
    home = Path(os.environ.get("HF_HOME") or cache / "huggingface")
    place = Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"models--{what.replace('/', '--')}" / "snapshots"
    return any(path.suffix in (".safetensors", ".bin") for path in place.glob("*/*"))
