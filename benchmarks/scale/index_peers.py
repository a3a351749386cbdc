"""Pictures a second from JPEG files to stored vectors: `Collection.sync` beside the ways of others, in turn, with the
same pictures and the same network, each on all cores."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import _indexing
from benchmarks._results import Results, Row
from benchmarks.foundation._data import data, mobilenet
from benchmarks.scale._ways import WAYS, Network
from nearsight.encode import Encoder, create


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    root, weights = data("mit_split", "train"), data("weights", "mobilenet_v2_imagenet1001_fp16.pth")
    if root is None or weights is None:
        return
    files = sorted(root.rglob("*.jpg"))
    files = files[:: -(-len(files) // (64 if quick else 1_024))]
    for short, told, plain, part in (
        ("mobilenet", "MobileNetV2 at 224", mobilenet(weights), 1),
        ("resnet50", "ResNet50 at 224", create("torchvision/resnet50?pretrained=false"), 2),
    ):
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            _indexing.copied(files[::part], place / "pictures")
            plain.save(place / "encoder")
            network = Network.of(plain, place / "network.onnx")
            for rates in _rates(place, network, 1 if quick else 4 // part):
                _rows(results, rates, short, told, len(files[::part]))


def _rates(place: Path, network: Network, repeats: int) -> Iterator[dict[str, list[float]]]:
    """Pictures a second after each repeat, ours as ``ours``, one after the other; a round on few pictures warms up."""
    pictures = sorted((place / "pictures").rglob("*.jpg"))
    encoder = Encoder.load(place / "encoder", expect=len(pictures))
    rates: dict[str, list[float]] = {name: [] for name in ("ours", *WAYS)}
    for name, way in WAYS.items():
        (place / f"{name}-warm").mkdir()
        way(pictures[:16], network, place / f"{name}-warm")
    _indexing.index_rate(place / "ours-warm", encoder, pictures[0].parent)
    for repeat in range(repeats):
        rates["ours"].append(_indexing.index_rate(place / f"ours-{repeat}", encoder, place / "pictures"))
        for name, way in WAYS.items():
            (place / f"{name}-{repeat}").mkdir()
            start = time.perf_counter()
            way(pictures, network, place / f"{name}-{repeat}")
            rates[name].append(len(pictures) / (time.perf_counter() - start))
        yield rates


def _rows(results: Results, rates: dict[str, list[float]], short: str, told: str, count: int) -> None:
    ours = rates["ours"]
    for name in WAYS:
        ratios = [mine / theirs for mine, theirs in zip(ours, rates[name], strict=True)]
        note = (
            f"median of {len(ratios)} repeats in turn, {count:,} JPEG files; pictures a second: ours "
            f"{statistics.median(ours):.0f}, {name.replace('_', '-')} {statistics.median(rates[name]):.0f}"
        )
        what = f"index rate / that of {name.replace('_', '-')}'s way with the same network, {told}"
        low, high = min(ratios), max(ratios)
        row = Row(f"index_vs_{name}_{short}", what, statistics.median(ratios), "times", "none", low, high, note)
        results.add(row)
