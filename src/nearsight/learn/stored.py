"""Pictures decoded once and kept on disk as they are in memory, so that a long training decodes nothing.

A folder, whole or absent: ``pixels.u8``, the RGB of one picture after the other, and ``pictures.json``, their sizes,
names and the sha256 of the files they came from.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.ahead import ahead
from nearsight.core.artefact import read_artefact, write_artefact
from nearsight.core.errors import Damaged, DatasetError, PictureError
from nearsight.core.events import Event, Skipped, Step
from nearsight.data.images import Limits, decode, read

FORMAT, VERSION = "nearsight-pixels", 1
PIXELS, LISTING = "pixels.u8", "pictures.json"


@dataclass(frozen=True, eq=False)
class Stored:
    """What `open_stored` opened: pictures by row, read from a memory map.

    names   what each was called when it was stored
    hashes  sha256 of each file's content, in hex
    digest  sha256 over hashes and sizes, in order: the same pictures stored alike
    """

    names: tuple[str, ...]
    hashes: tuple[str, ...]
    digest: str
    _sizes: NDArray[np.int64]
    _ends: NDArray[np.int64]
    _pixels: Any

    def __len__(self) -> int:
        return len(self.names)

    def open(self, row: int) -> Image.Image:
        """One picture, RGB; its pixels are copied out of the map when they are used."""
        width, height = (int(side) for side in self._sizes[row])
        end = int(self._ends[row])
        pixels = self._pixels[end - 3 * width * height : end].reshape(height, width, 3)
        return Image.fromarray(pixels)


def store(
    folder: Path, pictures: Sequence[tuple[str, Path]], *, longest: int, workers: int = 2
) -> Generator[Event, None, None]:
    """Decode `pictures` (name, file) into `folder`, larger ones shrunk to `longest` pixels on the longer side; what
    cannot be used is a Skipped event and left out, and so is a file's second copy.

    Raises DatasetError (code ``dataset/empty``), WriteFailed.
    """

    def decoded(one: tuple[str, Path]) -> tuple[str, Image.Image] | Skipped:
        try:
            data = read(one[1], Limits())
            picture = decode(data, limits=Limits(), side=longest)
        except PictureError as error:
            return Skipped(str(one[1]), error.code, error.message, error.hint)
        picture.thumbnail((longest, longest), Image.Resampling.BICUBIC)  # never enlarges
        return hashlib.sha256(data).hexdigest(), picture

    folder.parent.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    hashes: dict[str, None] = {}
    sizes: list[tuple[int, int]] = []
    looks = ahead(pictures, decoded, threads=workers, most=8 * workers, name="nearsight-decode")
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside, closing(looks):
        path = Path(beside) / PIXELS
        with open(path, "wb") as file:
            for number, (found, (name, _)) in enumerate(zip(looks, pictures, strict=True), start=1):
                if isinstance(found, Skipped):
                    yield found
                elif found[0] in hashes:
                    yield Skipped(name, "picture/copy", "the same file as one before")
                else:
                    hashes[found[0]] = None
                    names.append(name)
                    sizes.append(found[1].size)
                    file.write(np.asarray(found[1]).data)
                if number % 256 == 0 or number == len(pictures):
                    yield Step("pictures stored", number, len(pictures))
        if not names:
            raise DatasetError("none of the pictures can be used", code="dataset/empty")
        listing = json.dumps({"names": names, "hashes": list(hashes), "sizes": sizes}).encode()
        write_artefact(folder, FORMAT, VERSION, {"longest": longest}, {PIXELS: path, LISTING: listing})


def open_stored(folder: Path) -> Stored:
    """Raises NotACollection where nothing was stored, FormatError, Damaged."""
    read_artefact(folder, FORMAT, VERSION)
    try:
        told = json.loads((folder / LISTING).read_bytes())
        names, hashes = tuple(map(str, told["names"])), tuple(map(str, told["hashes"]))
        sizes = np.array(told["sizes"], dtype=np.int64).reshape(-1, 2)
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"the pictures in {folder} cannot be read: {error}") from error
    ends = np.cumsum(3 * sizes.prod(axis=1))
    pixels = np.memmap(folder / PIXELS, dtype=np.uint8, mode="r")
    if not len(names) == len(hashes) == len(sizes) or len(pixels) != ends[-1]:
        raise Damaged(f"the pictures in {folder} are not those of its listing")
    digest = hashlib.sha256(json.dumps([hashes, sizes.tolist()]).encode()).hexdigest()
    return Stored(names, hashes, digest, sizes, ends, pixels)
