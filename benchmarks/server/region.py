"""Four scenes in one picture: does a box find the class of what is in it, and the whole picture does not?"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._results import Results, Row
from benchmarks.foundation._data import data, mobilenet
from nearsight.core.items import Item
from nearsight.data.datasets import load
from nearsight.encode import Encoder, create
from nearsight.search.collection import Collection
from nearsight.search.query import Region, Source
from nearsight.search.sync import Annotation

SCENES, SIDE = 960, 160
RESAMPLES = 2000


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    weights = data("weights", "mobilenet_v2_imagenet1001_fp16.pth")
    encoders = {"colour": create("colour"), "hog": create("hog")}
    if weights is not None:
        encoders["packed MobileNetV2"] = mobilenet(weights)
    with tempfile.TemporaryDirectory() as name:
        items = load(f"drawn?n={160 if quick else SCENES}&size={SIDE}", Path(name) / "drawn").items
        told, value = list[str](), (0.0, 0.0, 0.0)
        for label, encoder in encoders.items():  # the last is what people would search with
            regions, wholes = compared(Path(name) / f"{label}.ns", items, encoder)
            value = ratio(regions, wholes)
            told.append(f"{label} {regions.mean():.3f} / {wholes.mean():.3f} = {value[0]:.2f}")
    what = f"mAP of a box around one of four scenes divided by the whole picture's, {label}"
    note = f"{len(regions)} boxes, gallery of the other split, 95% interval over boxes; {'; '.join(told)}"
    results.add(Row("region_map_ratio", what, value[0], "ratio", ">=1.5", value[1], value[2], note))


def compared(folder: Path, items: tuple[Item, ...], encoder: Encoder) -> tuple[np.ndarray, np.ndarray]:
    """Average precision of each quarter as a query, and of the whole picture judged by that quarter's class: (q,) each.

    The gallery is the data set's training part; the pictures are put together of its test part, four classes in each.
    """
    train = {item.path: item.label for item in items if item.split == "train"}
    by_region, by_whole = list[float](), list[float]()
    root = items[0].path.parents[2]
    with Collection.create(folder, encoder) as kept:
        for _ in kept.sync(
            root, annotate=lambda path: Annotation(train[root / path]), only=lambda path: root / path in train
        ):
            pass
        for whole, quarters in composed([item for item in items if item.split == "test"]):
            answer = labels(kept, whole)
            for label, box in quarters:
                by_region.append(precision(labels(kept, Region(whole, box)), label))
                by_whole.append(precision(answer, label))
    return np.array(by_region), np.array(by_whole)


def composed(items: list[Item]) -> Iterator[tuple[bytes, list[tuple[str | None, tuple[int, int, int, int]]]]]:
    """Pictures of four scenes of four classes, as JPEG, and label and box of each."""
    for start in range(0, len(items) - 3, 4):
        four = items[start : start + 4]
        if len({item.label for item in four}) < 4:
            continue
        whole, quarters = Image.new("RGB", (2 * SIDE, 2 * SIDE)), []
        for number, item in enumerate(four):
            left, top = number % 2 * SIDE, number // 2 * SIDE
            with Image.open(item.path) as scene:
                whole.paste(scene.resize((SIDE, SIDE)), (left, top))
            quarters.append((item.label, (left, top, left + SIDE, top + SIDE)))
        file = io.BytesIO()
        whole.save(file, "JPEG", quality=92)
        yield file.getvalue(), quarters


def labels(kept: Collection, source: Source) -> list[str | None]:
    return [match.item.label for match in kept.search(source, len(kept))]


def precision(found: list[str | None], right: str | None) -> float:
    """Average precision of one answer."""
    hits = np.array([label == right for label in found])
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def ratio(regions: np.ndarray, wholes: np.ndarray) -> tuple[float, float, float]:
    """Of the means, with a 95% bootstrap interval over the boxes."""
    drawn = np.random.default_rng(0).integers(0, len(regions), (RESAMPLES, len(regions)))
    low, high = np.percentile(regions[drawn].mean(axis=1) / wholes[drawn].mean(axis=1), (2.5, 97.5))
    return float(regions.mean() / wholes.mean()), float(low), float(high)
