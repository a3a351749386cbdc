"""A benchmark and an encoder make a report: encode, rank, measure."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nearsight.core.arrays import Hits, Keys, Vectors
from nearsight.core.errors import DatasetError
from nearsight.core.events import Done, Event, Step
from nearsight.core.items import Benchmark, Item
from nearsight.core.relevance import ByGroup, keys_of, relevance_of
from nearsight.encode.encoder import Encoder, EncoderSpec
from nearsight.measure.evaluate import (
    Loss,
    Measures,
    as_ordered,
    depth_of,
    evaluating,
    split_loss,
)
from nearsight.measure.intervals import SAMPLES
from nearsight.measure.metrics import METRICS, Metric
from nearsight.measure.protocol import Card, digest
from nearsight.measure.ranking import PIECE, Gallery, rank, rescore
from nearsight.search.engines import Engine, passing
from nearsight.study.pictures import Encodings, Pictures, encoding
from nearsight.study.report import Answer, Failure, Report

METRIC_ADDRESSES = (
    "average_precision",
    "average_precision_at_r",
    "precision@1",
    "precision@5",
    "hit@5",
    "reciprocal_rank",
)
EXACT = "exact"
_WORST = 12
_SHOWN = 8


def run(
    benchmark: Benchmark,
    encoder: Encoder,
    *,
    engine: str = EXACT,
    candidates: int | None = None,
    metrics: Sequence[str] = METRIC_ADDRESSES,
    cache_folder: Path | None = None,
    pictures: Pictures | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    threads: int = 2,
    transductive: Sequence[str] = (),
) -> Generator[Event, None, Report]:
    """Measure an encoder on a benchmark. Yields events; the generator's return value is the Report (see `finish`).

    `engine` ``exact`` is the exact ranking itself. Any other engine is asked for `candidates` a query; these are scored
    exactly, what it did not bring counts as not found, and what it loses against the exact ranking is told in parts.
    Without `candidates` it is asked for what the metrics look at (times its own oversampling): for AP that is the whole
    gallery, and an engine that brings everything loses nothing, however coarse it is. Vectors are kept in
    `cache_folder`. `transductive` names what the encoder learned from the queries; it goes onto the card. Pictures that
    cannot be used are skipped, named and counted. Raises DatasetError where no query with something to find is left.
    """
    begun = time.perf_counter()
    pictures = pictures or Pictures.default()
    gallery = yield from encoding(benchmark.gallery, encoder, pictures, cache_folder=cache_folder, threads=threads)
    if benchmark.queries_in_gallery:
        queries = _among(benchmark.queries, gallery)
    else:
        queries = yield from encoding(benchmark.queries, encoder, pictures, cache_folder=cache_folder, threads=threads)
    return (
        yield from judging(
            benchmark,
            queries,
            gallery,
            encoder.spec,
            engine=engine,
            candidates=candidates,
            metrics=metrics,
            samples=samples,
            seed=seed,
            transductive=transductive,
            begun=begun,
        )
    )


def judging(
    benchmark: Benchmark,
    queries: Encodings,
    gallery: Encodings,
    encoder: EncoderSpec,
    *,
    engine: str = EXACT,
    candidates: int | None = None,
    metrics: Sequence[str] = METRIC_ADDRESSES,
    samples: int = SAMPLES,
    seed: int = 0,
    transductive: Sequence[str] = (),
    begun: float | None = None,
) -> Generator[Event, None, Report]:
    """The part of `run` after encoding: vectors that are there already, ranked and measured."""
    begun = time.perf_counter() if begun is None else begun
    chosen: list[Metric] = [METRICS.build(address) for address in metrics]
    kept = Benchmark(benchmark.name, benchmark.protocol, queries.items, gallery.items, benchmark.queries_in_gallery)
    relevance = relevance_of(kept)
    if not relevance.counts.any():
        raise DatasetError(
            f"no query of {benchmark.name} {benchmark.protocol} has a relevant picture in the gallery",
            code="dataset/nothing-to-find",
            hint="measuring needs labels: several pictures of each class",
        )
    ready = Gallery.of(keys_of(gallery.items), gallery.vectors)
    outcome = yield from _measure(queries.vectors, ready, relevance, chosen, engine, candidates, samples, seed)
    skipped = {(event.path, event.code): event for event in (*gallery.skipped, *queries.skipped)}
    card = Card(
        dataset=benchmark.name,
        protocol=benchmark.protocol,
        queries=_digest(queries),
        gallery=_digest(gallery),
        self_exclusion="by key" if benchmark.queries_in_gallery else "not in the gallery",
        encoder=encoder.fingerprint,
        engine=outcome.engine,
        metrics={metric.label: metric.definition for metric in chosen},
        seeds={"bootstrap": seed},
        transductive=tuple(transductive),
    )
    report = Report.of(
        card,
        encoder.address,
        outcome.measures,
        keys_of(queries.items).tolist(),
        gallery=len(gallery.items),
        skipped=tuple(skipped.values()),
        worst=_worst(outcome.measures, queries, gallery, relevance, ready, outcome.engine_hits),
        loss=outcome.loss,
        search_ms=outcome.search_ms,
    )
    yield Done(
        "study", {"queries": report.queries, "lone": report.lone, "skipped": len(skipped)}, time.perf_counter() - begun
    )
    return report


def finish(work: Generator[Event, None, Report]) -> Report:
    """Run a study to its end without watching its events."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            report: Report = end.value
            return report


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    measures: Measures
    loss: Loss | None
    engine: str
    engine_hits: Hits | None
    search_ms: float


def _measure(
    queries: Vectors,
    gallery: Gallery,
    relevance: ByGroup,
    metrics: Sequence[Metric],
    engine: str,
    candidates: int | None,
    samples: int,
    seed: int,
) -> Generator[Step, None, _Outcome]:
    """The exact ranking, and beside it the engine's where another one is asked for."""
    depth = depth_of(metrics, relevance)
    watch = _Watch()
    blocks = watch(rank(queries, gallery, k=depth, without=relevance.removed()))
    exact = yield from evaluating(blocks, relevance, metrics, samples=samples, seed=seed)
    if engine == EXACT:
        return _Outcome(exact, None, EXACT, None, watch.ms(len(queries)))
    n = len(gallery.keys)
    extra = int(relevance.removed().lengths().max(initial=0))  # a place for the query itself
    with passing(engine, gallery.vectors.shape[1]) as built:
        built.add(gallery.keys, gallery.vectors)
        asked = candidates or (n if depth is None else math.ceil(depth * built.oversample))
        k = min(n, asked + extra)
        watch, found = _Watch(), []
        for part, hits in watch(_asked(built, queries, k, n)):
            found.append(hits)
            yield Step("queries searched", part.stop, len(queries))
    raw = Hits(np.concatenate([h.keys for h in found]), np.concatenate([h.scores for h in found]))
    hits = rescore(queries, gallery, raw).first(n if depth is None else max(k, min(n, depth + extra)))
    answer = yield from _once(hits, relevance, metrics, samples, seed)
    ordered = yield from _once(as_ordered(relevance.strip(hits)), relevance, metrics[:1], 1, seed)
    loss = None
    if metrics[0].unit == "share":
        loss = split_loss(exact.rows[0].values, answer.rows[0].values, ordered.rows[0].values)
    name = f"{built.address}, {k - extra} candidates"
    return _Outcome(answer, loss, name, hits, watch.ms(len(queries)))


def _once(
    hits: Hits, relevance: ByGroup, metrics: Sequence[Metric], samples: int, seed: int
) -> Generator[Step, None, Measures]:
    blocks = [(slice(0, len(hits.keys)), relevance.strip(hits))]
    return (yield from evaluating(blocks, relevance, metrics, samples=samples, seed=seed))


def _asked(engine: Engine, queries: Vectors, k: int, n: int) -> Iterator[tuple[slice, Hits]]:
    step = max(1, PIECE // max(1, n))
    for begin in range(0, len(queries), step):
        part = slice(begin, min(begin + step, len(queries)))
        yield part, engine.search(queries[part], k)


class _Watch:
    """Time spent inside an iterator, not in what is done with its answers."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, blocks: Iterator[tuple[slice, Hits]]) -> Iterator[tuple[slice, Hits]]:
        while True:
            begun = time.perf_counter()
            block = next(blocks, None)
            self.seconds += time.perf_counter() - begun
            if block is None:
                return
            yield block

    def ms(self, queries: int) -> float:
        return 1000 * self.seconds / max(1, queries)


def _among(items: Sequence[Item], gallery: Encodings) -> Encodings:
    """Queries that are gallery items take the gallery's vectors; those whose picture was skipped are left out."""
    at = {item.key: row for row, item in enumerate(gallery.items)}
    lost = {event.path for event in gallery.skipped}
    strangers = [item.key for item in items if item.key not in at and str(item.path) not in lost]
    if strangers:
        raise DatasetError(f"query {strangers[0]} is said to be in the gallery and is not", code="dataset/keys")
    kept = [item for item in items if item.key in at]
    rows = [at[item.key] for item in kept]
    return Encodings(tuple(kept), gallery.vectors[rows], tuple(gallery.hashes[row] for row in rows), (), gallery.cached)


def _digest(part: Encodings) -> str:
    return digest(f"{item.key} {sha} {item.label}" for item, sha in zip(part.items, part.hashes, strict=True))


def _worst(
    measures: Measures,
    queries: Encodings,
    gallery: Encodings,
    relevance: ByGroup,
    ranked: Gallery,
    answered: Hits | None,
) -> tuple[Failure, ...]:
    """The queries that the first metric is worst for, with the first places of their answers."""
    first = measures.rows[0]
    badness = first.values if first.metric.unit == "share" else -first.values
    order = [int(row) for row in np.argsort(badness, kind="stable")[:_WORST] if not np.isnan(badness[row])]
    by_key = {item.key: item for item in gallery.items}
    failures = []
    for row in order:
        own = relevance.rows(slice(row, row + 1))
        if answered is None:
            _, hits = next(rank(queries.vectors[row : row + 1], ranked, k=_SHOWN, without=own.removed()))
        else:
            hits = own.strip(Hits(answered.keys[row : row + 1], answered.scores[row : row + 1]))
        shown = hits.first(min(_SHOWN, hits.k))
        item = queries.items[row]
        failures.append(
            Failure(
                item.key,
                str(item.path),
                item.label,
                float(first.values[row]),
                _answers(shown, own.relevant(shown.keys)[0].tolist(), by_key),
            )
        )
    return tuple(failures)


def _answers(hits: Hits, right: list[bool], by_key: dict[int, Item]) -> tuple[Answer, ...]:
    keys: Keys = hits.keys[0]
    return tuple(
        Answer(key, str(by_key[key].path), by_key[key].label, float(score), is_right)
        for key, score, is_right in zip(keys.tolist(), hits.scores[0], right, strict=True)
        if key in by_key
    )
