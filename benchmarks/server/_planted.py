"""A folder of pictures with copies planted among them, made once: what a search for near-duplicates has to find.

Real photographs as they are; quarters of the larger ones, which are four different pictures without a common pixel (and
of sky or sea often hard to tell apart), a quarter of the whole each; drawn scenes for the rest.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL import Image

from nearsight.core.artefact import replace_file
from nearsight.data.drawing import draw
from nearsight.data.drawing.scene import sample

SHARE = 0.05
"""Of all items that are copies."""
KINDS = ("resized", "recompressed", "cropped")
_PHOTOGRAPHS = ("mit_split", "flickr8k/images", "imagenet_samples/images", "variety")
_QUARTERED = ("mit_split", "flickr8k/images", "imagenet_samples/images", "variety/caltech101")
_DRAWN_SIDE = 96
_QUALITY = 90


@dataclass(frozen=True)
class Original:
    """Where a picture comes from: a file, one quarter (0..3) of it, or a drawn scene's number."""

    name: str
    file: str = ""
    quarter: int = -1
    scene: int = -1


@dataclass(frozen=True)
class Planted:
    """What there is: how many originals of each sort, and copy -> (original, kind), by file names."""

    counts: dict[str, int]
    copies: dict[str, tuple[str, str]]

    @property
    def items(self) -> int:
        return sum(self.counts.values()) + len(self.copies)


def planted(folder: Path, data: Path, items: int) -> Planted:
    """`items` pictures in ``folder/pictures``, 5% of them copies; what is there already is not made again."""
    told = folder / "planted.json"
    if told.exists():
        body = json.loads(told.read_text())
        return Planted(body["counts"], {copy: (name, kind) for copy, (name, kind) in body["copies"].items()})
    place = folder / "pictures"
    place.mkdir(parents=True, exist_ok=True)
    copies = round(items * SHARE)
    originals = list(chosen(data, items - copies))
    counts = {
        "photographs": sum(bool(one.file) and one.quarter < 0 for one in originals),
        "quarters of photographs": sum(one.quarter >= 0 for one in originals),
        "drawn scenes": sum(one.scene >= 0 for one in originals),
    }
    copied = dict.fromkeys(random.Random(1).sample(range(len(originals)), copies))
    jobs = [(str(place), one, KINDS[at % 3] if at in copied else "") for at, one in enumerate(originals)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(make, jobs, chunksize=200))
    names = {copy: (one.name, kind) for copy, (_, one, kind) in zip(made, jobs, strict=True) if copy}
    replace_file(told, json.dumps({"counts": counts, "copies": names}).encode())
    return Planted(counts, names)


def chosen(data: Path, count: int) -> Iterator[Original]:
    """`count` originals; a smaller number has the three sorts in about the same shares."""
    whole = [file for name in _PHOTOGRAPHS for file in photographs(data / name)]
    tiles = [(file, quarter) for name in _QUARTERED for file in photographs(data / name) for quarter in range(4)]
    draw_from = random.Random(0)
    draw_from.shuffle(whole)
    draw_from.shuffle(tiles)
    most = round(count * 0.26), round(count * 0.56)
    taken = 0
    for at, file in enumerate(islice(whole, most[0])):
        taken += 1
        yield Original(f"p{at:06d}.jpg", str(file))
    for at, (file, quarter) in enumerate(islice(tiles, most[1])):
        taken += 1
        yield Original(f"q{at:06d}.jpg", str(file), quarter)
    for at in range(count - taken):
        yield Original(f"d{at:06d}.jpg", scene=at)


def photographs(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))


def make(job: tuple[str, Original, str]) -> str:
    """Write an original and, if a kind is given, its copy; the copy's name."""
    place, original, kind = Path(job[0]), job[1], job[2]
    target = place / original.name
    if not target.exists():
        if original.scene >= 0:
            save(draw(sample(1, original.scene), _DRAWN_SIDE), target, _QUALITY)
        elif original.quarter >= 0:
            with Image.open(original.file) as picture:
                width, height = picture.width // 2, picture.height // 2
                left, top = original.quarter % 2 * width, original.quarter // 2 * height
                save(picture.convert("RGB").crop((left, top, left + width, top + height)), target, _QUALITY)
        else:
            shutil.copyfile(original.file, target)
    if not kind:
        return ""
    name = f"{target.stem}-{kind}.jpg"
    if not (place / name).exists():
        with Image.open(target) as picture:
            copy, quality = changed(picture.convert("RGB"), kind, random.Random(original.name))
        save(copy, place / name, quality)
    return name


def changed(picture: Image.Image, kind: str, chance: random.Random) -> tuple[Image.Image, int]:
    """A copy and the JPEG quality that it is kept at."""
    width, height = picture.size
    if kind == "resized":
        times = chance.uniform(0.5, 0.9)
        return picture.resize((round(width * times), round(height * times)), Image.Resampling.LANCZOS), _QUALITY
    if kind == "recompressed":
        return picture, chance.randint(30, 70)
    left, top = round(chance.random() * width * 0.1), round(chance.random() * height * 0.1)
    return picture.crop((left, top, left + round(width * 0.9), top + round(height * 0.9))), _QUALITY


def save(picture: Image.Image, file: Path, quality: int) -> None:
    """Whole or absent: a run that is cut goes on."""
    beside = file.with_suffix(".part")
    picture.save(beside, "JPEG", quality=quality)
    beside.rename(file)
