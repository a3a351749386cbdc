"""Pictures a second from JPEG files to committed vectors with two networks, and how that holds as collections grow.

More files than there are pictures come from copies with some bytes behind their end, so that each is a file of its own.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import _indexing
from benchmarks._results import Results, Row
from benchmarks.foundation._data import data, mobilenet
from benchmarks.scale._slopes import slope
from nearsight.encode import Encoder, create
from nearsight.search.collection import Collection

_SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    root, weights = data("mit_split", "train"), data("weights", "mobilenet_v2_imagenet1001_fp16.pth")
    if root is None or weights is None:
        return
    files = sorted(root.rglob("*.jpg"))[: 200 if quick else 1881]
    resnet = create("torchvision/resnet50?pretrained=false")  # of random weights, which take as long
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        _indexing.copied(files, place / "pictures")
        for short, network, plain, target in (
            ("mobilenet", "MobileNetV2 at 224", mobilenet(weights), ">=3"),
            ("resnet50", "ResNet50 at 224", resnet, ">=5"),
        ):
            plain.save(place / short)
            work = place / f"{short}-work"
            found = _indexing.measured(files, place / "pictures", place / short, plain, work, 2 if quick else 5)
            bound, plainly = (f"index_vs_bound_{short}", ">=0.9"), (f"index_vs_plain_{short}", target)
            _indexing.rows(results, found, network, bound, plainly)
        _growth(results, files, place, Encoder.load(place / "mobilenet"), _SIZES[:2] if quick else _SIZES)


def _growth(results: Results, files: list[Path], place: Path, encoder: Encoder, sizes: tuple[int, ...]) -> None:
    """Seconds to index n files, and to find that nothing has changed."""
    seconds, unchanged = [], []
    for n in sizes:
        pictures = place / f"{n}"
        for i in range(n):
            folder = pictures / f"{i // 1000}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i}.jpg").write_bytes(files[i % len(files)].read_bytes() + i.to_bytes(4, "big"))
        with Collection.create(place / f"{n}.ns", encoder) as collection:
            for times in (seconds, unchanged):
                start = time.perf_counter()
                for _ in collection.sync(pictures):
                    pass
                times.append(time.perf_counter() - start)
            if len(collection) != n:
                raise RuntimeError(f"{len(collection)} of {n} files are in the collection")
    for id_, what, times in (
        ("slope_index", "indexing new files with MobileNetV2", seconds),
        ("slope_sync_unchanged", "finding that nothing has changed", unchanged),
    ):
        note = ", ".join(
            f"{n:,} files: {taken:.2f} s ({n / taken:,.0f}/s)" for n, taken in zip(sizes, times, strict=True)
        )
        results.add(Row(id_, f"{what}, log-log slope over the number of files", slope(sizes, times), note=note))
