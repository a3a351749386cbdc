"""Features of all of Flickr8k: how fast they are made, beside an index run over the same pictures, and made once."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path

from benchmarks._results import Results, Row
from benchmarks.foundation._data import data, mobilenet
from nearsight.core.events import Event
from nearsight.core.items import Item
from nearsight.data.captions import captioned
from nearsight.data.datasets import load
from nearsight.encode.choose import WORTH_MEASURING
from nearsight.encode.features import PictureSets
from nearsight.encode.texts import TEXTS, Words
from nearsight.search.collection import Collection
from nearsight.study.features import Features, picture_features, text_features

WORDS = "transformers/all-MiniLM-L6-v2"
REPEATS, SOME = 5, 1500


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    weights = data("weights", "mobilenet_v2_imagenet1001_fp16.pth")
    listing = data("flickr8k", "dataset_flickr8k.json")
    if weights is None or listing is None:
        return
    runs.mkdir(parents=True, exist_ok=True)  # 1.5 GB, which a system's own folder may not hold
    with tempfile.TemporaryDirectory(dir=runs) as name:
        place = Path(name)
        every = captioned(load(f"karpathy/{listing.name}", listing.parent))
        pictures, texts = every.pictures[: 100 if quick else None], every.texts[: 500 if quick else None]
        _beside_indexing(results, weights, pictures[:SOME], place, repeats=2 if quick else REPEATS)

        def grid() -> Generator[Event, None, Features]:
            return picture_features(pictures, _source(weights, "&pool=cells"), folder=place / "f")

        def pooled() -> Generator[Event, None, Features]:
            return picture_features(pictures, _source(weights), folder=place / "f")

        def words() -> Generator[Event, None, Features]:
            built: Words = TEXTS.build(WORDS)
            return text_features(texts, built, str, folder=place / "f")

        again, told = 0.0, []
        for id_, unit, what, make in (
            (
                "f8k_pooled_rate",
                "pictures/s",
                "JPEG files to features on disk: MobileNetV2 at 224, 1,280 numbers",
                pooled,
            ),
            ("f8k_grid_rate", "pictures/s", "the same, its 7 x 7 cells, 49 x 1,280", grid),
            ("f8k_words_rate", "captions/s", "captions to word vectors on disk: MiniLM, 384 numbers a word", words),
        ):
            first, seconds = _timed(make)
            second, more = _timed(make)
            again += more
            told.append(second.made)
            note = f"{first.made} made in {seconds:.0f} s, opening the network included; {len(first.skipped)} left out"
            results.add(Row(id_, what, first.made / seconds, unit, note=note))
        note = f"{len(pictures)} pictures pooled and as cells, {len(texts)} captions; hashes taken, shards proven"
        results.add(Row("f8k_features_again_s", "all of it asked for again", again, "s", "<=30", note=note))
        results.add(Row("f8k_features_again_made", "features made twice", sum(told), "", "=0"))


def _source(weights: Path, more: str = "") -> PictureSets:
    from nearsight.encode.features import picture_sets

    return picture_sets(mobilenet(weights).tower.address + more)


def _beside_indexing(results: Results, weights: Path, pictures: tuple[Item, ...], place: Path, *, repeats: int) -> None:
    """In turn: features of some pictures, and an index run over the same ones, both on the exported network."""
    folder = place / "some"
    folder.mkdir()
    for item in pictures:
        shutil.copyfile(item.path, folder / item.path.name)
    source, encoder = _source(weights), mobilenet(weights).exported(WORTH_MEASURING)
    source.use(WORTH_MEASURING)  # --quick, too, is to run what is exported
    ratios, rates = [], []
    for repeat in range(repeats):
        found, seconds = _timed(
            lambda at=repeat: picture_features(pictures, source, folder=place / f"f{at}")  # type: ignore[misc]
        )
        begun = time.perf_counter()
        with Collection.create(place / f"c{repeat}", encoder) as collection:
            for _ in collection.sync(folder):
                pass
            indexed = len(collection) / (time.perf_counter() - begun)
        rates.append((found.made / seconds, indexed))
        ratios.append(found.made / seconds / indexed)
    ours, theirs = (statistics.median(column) for column in zip(*rates, strict=True))
    note = f"median of {repeats}, {len(pictures)} pictures; pictures a second: features {ours:.0f}, index {theirs:.0f}"
    results.add(
        Row("f8k_features_vs_index", "features' rate / an index run's, MobileNetV2 at 224, pooled",
            statistics.median(ratios), "ratio", ">=0.9", min(ratios), max(ratios), note)
    )  # fmt: skip


def _timed(make: Callable[[], Generator[Event, None, Features]]) -> tuple[Features, float]:
    begun = time.perf_counter()
    work = make()
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, time.perf_counter() - begun
