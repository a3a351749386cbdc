"""Scenes that we draw, offline: eight classes like the MIT split's, five true captions each, any number, any size.

Coast, forest, highway, inside_city, mountain, open_country, street, tall_building, in varied light, weather, season,
layout and content. ``drawn?n=240&size=256&seed=0`` writes JPEG once; picture i depends on seed, size and i alone.
Fields: time, weather, season, view, snow (on the ground), the kind's own facts, and a count for each kind of thing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from nearsight.core.errors import DatasetError
from nearsight.core.items import Value
from nearsight.data.datasets import Dataset
from nearsight.data.datasets._made import Made, made
from nearsight.data.drawing import VERSION, draw
from nearsight.data.drawing.captions import captions, plural
from nearsight.data.drawing.scene import KINDS, Scene, sample

QUALITY = 90
_TEST = (1, 4, 7)


def build(variant: str | None = None, *, root: Path | None, n: int = 240, size: int = 256, seed: int = 0) -> Dataset:
    """`n` pictures of `size` x `size` pixels (32 to 2048), the classes by turns; 3 of each 10 of a class are the test.

    Raises DatasetError (``dataset/option``, ``dataset/variant``), WriteFailed.
    """
    if variant is not None:
        raise DatasetError(f"drawn has no variant '{variant}'", code="dataset/variant", hint="write `drawn?n=240`")
    if n < 1 or not 32 <= size <= 2048:
        raise DatasetError(
            f"n must be at least 1 and size 32 to 2048, not {n} and {size}",
            code="dataset/option",
            hint="drawn?n=240&size=256&seed=0",
        )
    parameters = {"maker": VERSION, "n": n, "size": size, "seed": seed, "quality": QUALITY}
    return Dataset("drawn", made(root, f"drawn-{n}-{size}px-seed{seed}", parameters, _pictures(n, size, seed)))


def _pictures(n: int, size: int, seed: int) -> Iterator[Made]:
    for index in range(n):
        scene = sample(seed, index)
        content = io.BytesIO()
        draw(scene, size).save(content, "JPEG", quality=QUALITY)
        split = "test" if index // len(KINDS) % 10 in _TEST else "train"
        name = f"{split}/{scene.kind}/{index:06d}.jpg"
        yield Made(name, content.getvalue(), scene.kind, split, captions(scene), _fields(scene))


def _fields(scene: Scene) -> dict[str, Value]:
    fields: dict[str, Value] = {
        "time": scene.time,
        "weather": scene.weather,
        "season": scene.season,
        "view": scene.view,
        "snow": scene.snowy,
        **scene.details,
    }
    for group in scene.groups:
        fields[plural(group.noun).replace(" ", "_").replace("-", "_")] = scene.count(group.noun)
    return fields
