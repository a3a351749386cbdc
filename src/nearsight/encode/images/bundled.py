"""The encoder that comes along: pictures and words in one space, nothing to download, no torch: ``bundled``.

A compact network (`nearsight show encoders compact`) and a table of word n-grams, trained by this project from random
weights; ``docs/bundled.md`` says on what, how well they do and what they are bad at. It is an encoder folder inside the
package, like any that ``nearsight train`` writes.
"""

from __future__ import annotations

from pathlib import Path

from nearsight.core.artefact import read_artefact
from nearsight.core.errors import EncoderError, NotACollection
from nearsight.encode.encoder import FORMAT, VERSION, TextTower
from nearsight.encode.images._exported import Exported
from nearsight.encode.text_tower import read_text_tower

FOLDER = Path(__file__).parent / "_bundled"


class Bundled(Exported):
    """Saved into a folder it becomes ``exported``, like any network."""

    text: TextTower

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.restore(folder)
        self.text = read_text_tower(folder)
        self.address = "bundled"


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
