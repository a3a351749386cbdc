"""Measuring a collection on its own labels: every labelled picture searches the others."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from nearsight.core.arrays import Keys
from nearsight.core.errors import DatasetError
from nearsight.core.events import Event
from nearsight.core.items import Benchmark
from nearsight.encode.encoder import EncoderSpec
from nearsight.measure.intervals import SAMPLES
from nearsight.search.collection import Collection
from nearsight.search.engines import passing
from nearsight.search.store.takeover import LEARNED
from nearsight.study.pictures import Encodings
from nearsight.study.report import Report
from nearsight.study.run import EXACT, METRIC_ADDRESSES, judging


def run_collection(
    collection: Collection,
    *,
    engine: str = EXACT,
    candidates: int | None = None,
    metrics: Sequence[str] = METRIC_ADDRESSES,
    name: str = "",
    samples: int = SAMPLES,
    seed: int = 0,
    among: Keys | None = None,
    queries: int | None = None,
) -> Generator[Event, None, Report]:
    """Leave one out, the query itself removed by its key; nothing is encoded, the stored vectors are measured.

    `among`: only the items with these keys; `queries`: so many of them, drawn by `seed`, are searched for; else all.

    What the collection remembers that its encoder learned from these pictures goes onto the card as transductive.
    Items without a label say nothing about right and wrong: they are neither queries nor in the gallery. Raises
    DatasetError (code ``dataset/unlabelled``) where no item has a label, ``dataset/nothing-to-find`` where no label
    stands on two.
    """
    learned = collection.recall(LEARNED)
    chosen = None if among is None else among.tolist()
    items = tuple(item for item in collection.items(chosen) if item.label is not None)
    if not items:
        raise DatasetError(
            f"no item of {collection.folder} has a label, so nothing says what is right",
            code="dataset/unlabelled",
            hint="index it with --labels folder or --labels TABLE.csv",
        )
    keys = np.array([item.key for item in items], dtype=np.int64)
    everything = Encodings(items, collection.vectors(keys), collection.hashes(keys), (), cached=True)
    spec = EncoderSpec(
        collection.store.manifest["encoder"], collection.dim, ("image",), collection.fingerprint, identity={}
    )
    asked = _drawn(everything, queries, seed)
    benchmark = Benchmark(name or collection.folder.name, "loo", asked.items, items, queries_in_gallery=True)
    return (
        yield from judging(
            benchmark,
            asked,
            everything,
            spec,
            engine=engine,
            candidates=candidates,
            metrics=metrics,
            samples=samples,
            seed=seed,
            transductive=(learned,) if learned else (),
        )
    )


def _drawn(everything: Encodings, count: int | None, seed: int) -> Encodings:
    """So many of them, in their order."""
    if count is None or count >= len(everything.items):
        return everything
    rows = np.sort(np.random.default_rng(seed).permutation(len(everything.items))[:count])
    items, hashes = (tuple(of[row] for row in rows) for of in (everything.items, everything.hashes))
    return Encodings(items, everything.vectors[rows], hashes, (), cached=True)


def bytes_a_vector(collection: Collection, engine: str) -> float:
    """What an engine needs on disk and in memory for one vector of this collection, its overhead included.

    Engines that only look at the stored vectors need those; the others are built and saved once, to be weighed.
    """
    keys = collection.keys()
    with passing(engine, collection.dim) as built, tempfile.TemporaryDirectory() as folder:
        if not built.derived:
            return float(collection.dim * collection.store.shape.dtype.itemsize)
        built.add(keys, collection.vectors(keys))
        file = Path(folder) / "index"
        built.save(file)
        return file.stat().st_size / len(keys)
