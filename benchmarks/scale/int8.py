"""8 bits: how much faster on the same runtime, how much faster an index, and what it costs on labelled pictures.

ResNet50 has random weights, so what 8 bits cost is told of the other networks.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks import _indexing
from benchmarks._results import Results, Row
from benchmarks.foundation._data import data, mobilenet
from nearsight.core.errors import EncoderError
from nearsight.data.datasets import load
from nearsight.encode import Encoder, create
from nearsight.encode.quantize import stated
from nearsight.encode.runtimes import RUNTIMES
from nearsight.search.sync import sample
from nearsight.study.report import Report
from nearsight.study.run import finish, run

_RUNTIMES = ("onnxruntime", "openvino", "openvino?precision=bf16")
_METRICS = ("average_precision", "precision@1")
_SAMPLE = 1000


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    root, weights = data("mit_split"), data("weights", "mobilenet_v2_imagenet1001_fp16.pth")
    if root is None or weights is None:
        return
    pictures = root / "train"
    files = sorted(pictures.rglob("*.jpg"))[: 200 if quick else 1881]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        _indexing.copied(files, place / "pictures")
        for short, network, plain, target in (
            ("mobilenet", "MobileNetV2 at 224", mobilenet(weights), ">=3"),
            ("resnet50", "ResNet50 at 224", create("torchvision/resnet50?pretrained=false"), ">=5"),
            ("bundled", "bundled", create("bundled"), ""),
        ):
            wide, narrow = _saved(plain, place / short, pictures)
            told = stated(Encoder.load(narrow).spec.identity) if short != "resnet50" else "random weights"
            _forward(results, short, network, files, wide, narrow, 2 if quick else 3, told)
            if target:
                found = _indexing.measured(
                    files, place / "pictures", narrow, plain, place / f"{short}-work", 2 if quick else 3
                )
                bound, plainly = (f"index_int8_vs_bound_{short}", ">=0.9"), (f"index_int8_vs_plain_{short}", target)
                _indexing.rows(results, found, f"{network} in 8 bits ({told})", bound, plainly)
            if short != "resnet50":
                _quality(results, short, network, root, wide, narrow, told)


def _saved(plain: Encoder, place: Path, pictures: Path) -> tuple[Path, Path]:
    """The encoder's folder, and that of the same in 8 bits."""
    plain.save(place / "wide")
    narrow = create(f"int8/{place / 'wide'}")
    narrow.fit(sample(pictures, _SAMPLE, side=narrow.tower.side)).save(place / "narrow")
    return place / "wide", place / "narrow"


def _forward(
    results: Results, short: str, network: str, files: list[Path], wide: Path, narrow: Path, repeats: int, told: str
) -> None:
    """The network alone: 32 and 8 bits on each runtime, in turn."""
    rates: dict[tuple[str, str], list[float]] = {}
    there = [one for one in _RUNTIMES if not RUNTIMES.build(one).available()]
    # 8 bits beside bf16 are the same convolutions; a network that bf16 changes too much is not run in it
    runs = {(runtime, bits): Encoder.load(folder, runtime=runtime) for runtime in there
            for bits, folder in (("32", wide), ("8", narrow)) if "bf16" not in runtime or bits == "32"}  # fmt: skip
    for _ in range(repeats):
        for which, encoder in list(runs.items()):
            try:
                rates.setdefault(which, []).append(_indexing.forward_rate(files[:128], encoder))
            except EncoderError as error:
                print(f"{short}, {which}: {error.message}", flush=True)
                del rates[which], runs[which]
    pairs = [eight / full for full, eight in zip(rates["openvino", "32"], rates["openvino", "8"], strict=True)]
    note = "; ".join(f"{runtime}, {bits} bits: {statistics.median(r):.0f}/s" for (runtime, bits), r in rates.items())
    results.add(
        Row(f"int8_rate_{short}", f"pictures a second in 8 bits over 32, openvino, {network}", statistics.median(pairs),
            "ratio", "none", min(pairs), max(pairs), f"median of {repeats}; {note}; {told}")
    )  # fmt: skip


def _quality(results: Results, short: str, network: str, root: Path, wide: Path, narrow: Path, told: str) -> None:
    """On the MIT split, test to train, as a share of what 32 bits have."""
    benchmark = load("mit_split", root.parent).benchmark("test->train")

    def report(folder: Path) -> Report:
        encoder = Encoder.load(folder, expect=len(benchmark.gallery))
        return finish(run(benchmark, encoder, metrics=_METRICS))

    for id_, full, eight in zip(("map", "p1"), report(wide).measures, report(narrow).measures, strict=True):
        note = f"{eight.value:.4f} [{eight.low:.4f}, {eight.high:.4f}], 32 bits {full.value:.4f}; {told}"
        what = f"{full.label} in 8 bits as a share of 32 bits', MIT split test->train, {network}"
        results.add(Row(f"int8_{id_}_{short}", what, eight.value / full.value, "", "none", note=note))
