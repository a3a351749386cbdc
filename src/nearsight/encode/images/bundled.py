"""The encoder that comes along: pictures and words in one space, nothing to download, no torch: ``bundled``.

A compact network (`nearsight show encoders compact`) and a table of word n-grams, trained by this project from random
weights; ``docs/bundled.md`` says on what, how well they do and what they are bad at. It is an encoder folder inside the
package, like any that ``nearsight train`` writes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from nearsight.core.artefact import read_artefact
from nearsight.core.errors import EncoderError, NotACollection
from nearsight.encode.encoder import FORMAT, TOWERS, VERSION, TextTower
from nearsight.encode.export import HALF, load_state, need_torch
from nearsight.encode.graph import tensors_in
from nearsight.encode.images._exported import Exported
from nearsight.encode.network import FACTS, TorchTower
from nearsight.encode.text_tower import read_text_tower

FOLDER = Path(__file__).parent / "_bundled"
MEASURED = (0.7399, "bundled:mit_map")
"""See `nearsight.encode.ladder`."""
_WITHIN = "network.tower."
"""What the graph calls the network in it."""


class Bundled(Exported):
    """Saved into a folder it becomes ``exported``, like any network."""

    text: TextTower

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.restore(folder)
        self.text = read_text_tower(folder)
        self.address = "bundled"

    def network(self) -> TorchTower:
        """What pictures go through before their features are whitened, with its weights: for training to go on from.

        Raises MissingExtra, EncoderError (code ``encoder/weights``).
        """
        torch = need_torch("training")
        made_of = json.loads(self.files()[FACTS])["architecture"]["tower"]  # type: ignore[arg-type]
        tower: TorchTower = TOWERS.build(f"{made_of}{'&' if '?' in made_of else '?'}size={self.side}")
        weights = tensors_in(self._network())
        names = {name.removesuffix(HALF).removeprefix(_WITHIN): name for name in weights}
        state = {
            name: torch.tensor(weights[names[name]].astype(np.float32))
            for name in tower.module.state_dict()
            if name in names
        }
        load_state(tower.module, state, "the encoder that comes along")
        return TorchTower(tower.base, tower.module, tower.preprocess, tower.facts)


def build() -> Bundled:
    """Raises EncoderError (code ``encoder/bundled``) where this copy of nearsight came without it, Damaged."""
    try:
        read_artefact(FOLDER, FORMAT, VERSION)
    except NotACollection as error:
        raise EncoderError(
            "this copy of nearsight came without its encoder",
            code="encoder/bundled",
            hint="install it again; or `python -m training.bundled package` in its repository",
        ) from error
    return Bundled(FOLDER)
