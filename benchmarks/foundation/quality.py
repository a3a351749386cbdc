"""How well the untrained descriptors retrieve on the MIT split, through which engine, at what price."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._results import Results, Row
from benchmarks.foundation._data import data, mobilenet
from nearsight.core.arrays import Keys, Vectors
from nearsight.core.items import Benchmark
from nearsight.core.relevance import keys_of
from nearsight.data.datasets import Dataset, load
from nearsight.data.images import decode, read
from nearsight.encode import Encoder, create
from nearsight.search.engines import ENGINES
from nearsight.study.pictures import Pictures, encoding
from nearsight.study.report import Report
from nearsight.study.run import finish, run

WHOLE = ("exact", "faiss/Flat")
ENGINES_SHOWN = (*WHOLE, "faiss/IVF32,Flat", "faiss/HNSW32", "faiss/PCA64,PQ32x4")
METRICS = ("average_precision", "average_precision_at_r", "precision@1")
CANDIDATES = 300
"""What an approximate engine is asked for. More than any query's R (292 at most), so that mAP@R is not cut short; what
it did not bring counts as not found."""


def measure(results: Results, *, quick: bool) -> None:
    root, weights = data("mit_split"), data("weights", "mobilenet_v2_imagenet1001_fp16.pth")
    if root is None or weights is None:
        return
    dataset = load("mit_split", root=root.parent)
    train = [item.path for item in dataset.split("train")]
    encoders = {"colour": create("colour"), "hog": create("hog"), "bovw": create("bovw")}
    encoders["bovw"].fit(decode(read(path)) for path in train[:: 10 if quick else 2])
    if not quick:
        encoders["mobilenet"] = mobilenet(weights)
    same = True
    with tempfile.TemporaryDirectory() as cache:
        for name, encoder in encoders.items():
            reports = {}
            for engine in ENGINES_SHOWN:
                reports[engine] = _study(dataset.benchmark("test->train"), encoder, engine, Path(cache))
                _tell(results, name, engine, reports[engine], *_price(encoder, dataset, Path(cache), engine))
            same &= reports["exact"].values == reports["faiss/Flat"].values
            if name == "mobilenet":
                loo = _study(dataset.benchmark("test-loo"), encoder, "exact", Path(cache))
                _headline(results, reports["exact"], loo, same)


def _study(benchmark: Benchmark, encoder: Encoder, engine: str, cache: Path) -> Report:
    many = None if engine in WHOLE else CANDIDATES
    return finish(run(benchmark, encoder, engine=engine, candidates=many, metrics=METRICS, cache_folder=cache))


def _tell(results: Results, name: str, engine: str, report: Report, ms: float, size: float, recall: float) -> None:
    whole, at_r, first = report.measures
    where = f"{name}, {engine}"
    short = re.sub(r"\W", "_", f"{name}_{engine}").lower()
    note = f"chance {at_r.floor:.3f}; P@1 {first.value:.3f}; {ms:.2f} ms a query (k=10); {size:.0f} bytes a vector"
    if engine in WHOLE:
        row = Row(f"map_{short}", f"mAP test->train, {where}", whole.value, "mAP", low=whole.low, high=whole.high,
                  note=f"chance {whole.floor:.3f}")  # fmt: skip
        results.add(row)
    else:
        note += f"; {CANDIDATES} candidates, recall@10 against exact {recall:.3f}"
    what = f"mAP@R test->train, {where}"
    results.add(Row(f"mapr_{short}", what, at_r.value, "mAP@R", low=at_r.low, high=at_r.high, note=note))


def _headline(results: Results, train: Report, loo: Report, same: bool) -> None:
    for id_, what, row, target in (
        ("mit_frozen_p1", "P@1 test->train, packed MobileNetV2, exact", train.measures[2], "0.897..0.909"),
        ("mit_frozen_map", "mAP test->train, packed MobileNetV2, exact", train.measures[0], "0.649..0.658"),
        ("mit_frozen_loo_map", "mAP test-loo, packed MobileNetV2, exact", loo.measures[0], "0.656..0.667"),
    ):
        note = f"chance {row.floor:.3f}; 95% bootstrap interval over 807 queries"
        results.add(Row(id_, what, row.value, row.label, target, row.low, row.high, note))
    results.add(
        Row(
            "exact_equals_faiss_flat", "each query's AP, AP@R and P@1 the same to the last digit: exact, faiss/Flat",
            int(same), "", "=1", note="colour, hog, bovw and mobilenet",
        )
    )  # fmt: skip


def _price(encoder: Encoder, dataset: Dataset, cache: Path, address: str) -> tuple[float, float, float]:
    """Milliseconds a query at k = 10 (median, one at a time), bytes a vector in the engine's own form, recall@10."""
    benchmark = dataset.benchmark("test->train")
    keys, gallery, queries = _vectors(benchmark, encoder, cache)
    engine = ENGINES.build(address, dim=gallery.shape[1])
    engine.add(keys, gallery)
    times = []
    for query in queries[:100]:
        start = time.perf_counter()
        engine.search(query[None], 10)
        times.append(time.perf_counter() - start)
    fetch = int(10 * engine.oversample)
    truth = np.argsort(-(queries @ gallery.T), axis=1)[:, :10]
    found = engine.search(queries, fetch).keys
    recall = np.mean([len(np.intersect1d(keys[t], f)) / 10 for t, f in zip(truth, found, strict=True)])
    with tempfile.NamedTemporaryFile() as file:
        size = 4.0 * gallery.shape[1]
        if engine.derived:
            engine.save(Path(file.name))
            size = Path(file.name).stat().st_size / len(keys)
    return 1000 * float(np.median(times)), size, float(recall)


def _vectors(benchmark: Benchmark, encoder: Encoder, cache: Path) -> tuple[Keys, Vectors, Vectors]:
    parts = []
    for items in (benchmark.gallery, benchmark.queries):
        work = encoding(items, encoder, Pictures.default(), cache_folder=cache, threads=2)
        while True:
            try:
                next(work)
            except StopIteration as end:
                parts.append(end.value)
                break
    return keys_of(parts[0].items), parts[0].vectors, parts[1].vectors
