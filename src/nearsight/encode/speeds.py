"""How fast encoders were seen to be on this machine: pictures a second, remembered in the user's cache folder.

``nearsight index`` and ``nearsight migrate`` note what they saw (from the file to the stored vector, decoding beside
encoding), `measure` times a few pictures. Kept in ``speeds.json`` by encoder and machine; the last word counts.
"""

from __future__ import annotations

import io
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nearsight.core.artefact import replace_file
from nearsight.core.errors import WriteFailed
from nearsight.data.drawing import draw
from nearsight.data.drawing.scene import KINDS, sample
from nearsight.data.images import decode
from nearsight.encode.choose import cache_folder, machine
from nearsight.encode.encoder import TOWERS, Encoder

SEEN, MEASURED = "index", "measure"
WORTH_NOTING = 200
"""Pictures; fewer say more of opening files than of the encoder."""
_SIDE = 480
_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Speed:
    """`rate`: pictures a second. `how`: ``index`` (seen while indexing) or ``measure``."""

    rate: float
    how: str


def speed_of(address: str) -> Speed | None:
    """What is remembered of an encoder on this machine."""
    return _remembered().get(_key(address))


def note(address: str, rate: float, how: str) -> None:
    """Remember it. A cache that cannot be written forgets."""
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        content = {**_remembered(), _key(address): Speed(round(rate, 2), how)}
        told = {key: asdict(speed) for key, speed in content.items()}
        replace_file(_file(), (json.dumps(told, indent=1, sort_keys=True) + "\n").encode())
    except (OSError, WriteFailed):
        return


def measure(encoder: Encoder, seconds: float = _SECONDS) -> Speed:
    """Time an encoder for about so long: drawn scenes, JPEGs of 480 pixels, decoded and encoded one after the other.

    One that learns does so first, from these. Raises EncoderError.
    """
    side = encoder.tower.side
    contents = [_jpeg(number) for number in range(len(KINDS))]
    if not encoder.tower.fitted:
        encoder.fit(decode(content, side=side) for content in contents)
    done, spent = 0, 0.0
    encoder.encode_images([decode(contents[0], side=side)])  # what the first one opens is no work of the others
    while spent < seconds:
        start = time.perf_counter()
        encoder.encode_images([decode(content, side=side) for content in contents])
        spent += time.perf_counter() - start
        done += len(contents)
    return Speed(round(done / spent, 2), MEASURED)


def _jpeg(number: int) -> bytes:
    file = io.BytesIO()
    draw(sample(0, number), _SIDE).save(file, "JPEG", quality=90)
    return file.getvalue()


def _key(address: str) -> str:
    return f"{' | '.join(map(TOWERS.brief, address.split(' | ')))} | {machine()}"


def _file() -> Path:
    return cache_folder() / "speeds.json"


def _remembered() -> dict[str, Speed]:
    """Nothing where the file is missing or not ours."""
    try:
        found: dict[str, Any] = json.loads(_file().read_bytes())
        speeds = {key: Speed(**told) for key, told in found.items()}
        return {key: speed for key, speed in speeds.items() if speed.rate > 0}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return {}
