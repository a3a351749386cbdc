"""Searches a second at 1, 8 and 64 clients beside the bare engine; five times too many; a thousand slow clients."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np

from benchmarks._results import Results, Row
from benchmarks.server._client import HOST, Answers, arriving, closed, post
from benchmarks.server._serving import serving
from nearsight.core.arrays import Vectors, unit
from nearsight.encode import EncoderSpec
from nearsight.search.collection import Collection
from nearsight.search.store.store import Record

ITEMS, DIM, K = 100_000, 512, 10
CLIENTS = (1, 8, 64)
REPEATS = 5
SLOW = 1_000
TIMES = 5
"""As many requests as can be answered."""
CONNECTIONS = 256


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    items, seconds = (5_000, 0.5) if quick else (ITEMS, 4.0)
    vectors = unit(np.random.default_rng(0).standard_normal((items, DIM)))
    queries = unit(np.random.default_rng(1).standard_normal((256, DIM)))
    requests = [post("/search", {"examples": [{"vector": row.tolist()}], "k": K}) for row in queries]
    with tempfile.TemporaryDirectory() as name:
        place = filled(Path(name) / "load.ns", vectors)
        with serving(place) as (port, _):
            asyncio.run(closed(port, requests, clients=8, seconds=seconds))  # warm
            rates = {clients: list[Answers]() for clients in CLIENTS}
            bare = list[float]()
            for _ in range(REPEATS):
                bare.append(engine_rate(vectors, queries, seconds / 2))
                for clients in CLIENTS:
                    rates[clients].append(asyncio.run(closed(port, requests, clients=clients, seconds=seconds)))
            _rates(results, rates, bare, items)
            _overload(results, port, requests, rates, seconds * 3)
            _slow(results, port, requests, seconds, 100 if quick else SLOW)


def filled(folder: Path, vectors: Vectors) -> Path:
    """A collection of vectors from elsewhere."""
    spec = EncoderSpec("load", vectors.shape[1], (), "0" * 64, {})
    with Collection.create(folder, spec) as kept:
        for start in range(0, len(vectors), 10_000):
            part = vectors[start : start + 10_000]
            kept.add(part, [Record(f"{start + i}.jpg".encode()) for i in range(len(part))])
    return folder


def engine_rate(vectors: Vectors, queries: Vectors, seconds: float) -> float:
    """Queries a second of faiss alone, one at a time, with all its threads."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        at = done % len(queries)
        index.search(queries[at : at + 1], K)
        done += 1
    return done / (time.perf_counter() - begun)


def _rates(results: Results, rates: dict[int, list[Answers]], bare: list[float], items: int) -> None:
    for clients, found in rates.items():
        values = [one.rate for one in found]
        failed = sum(len(one.statuses) - one.good for one in found)
        p99 = statistics.median(one.percentile(99) for one in found)
        p50 = statistics.median(one.percentile(50) for one in found)
        note = f"{items:,} x {DIM}, exact, k={K}, vectors as JSON; p50 {p50:.1f} ms, p99 {p99:.1f} ms; {failed} failed"
        what = f"searches a second over HTTP, {clients} client{'s'[: clients > 1]}"
        results.add(
            Row(f"qps_{clients}", what, statistics.median(values), "1/s", "none", min(values), max(values), note)
        )
    ratios = [one.rate / alone for one, alone in zip(rates[8], bare, strict=True)]
    note = (
        f"8 clients over HTTP divided by faiss IndexFlatIP alone, one query at a time ({statistics.median(bare):.0f}/s)"
    )
    results.add(
        Row("qps_vs_engine", "searches over HTTP beside the bare engine", statistics.median(ratios), "ratio", "none",
            min(ratios), max(ratios), f"{note}; {len(ratios)} pairs, server and clients on the same cores")
    )  # fmt: skip


def _overload(
    results: Results, port: int, requests: list[bytes], rates: dict[int, list[Answers]], seconds: float
) -> None:
    shares, told = list[float](), list[str]()
    capacity = max(statistics.median(one.rate for one in found) for found in rates.values())
    for _ in range(REPEATS):
        found, unsent = asyncio.run(
            arriving(port, requests, rate=TIMES * capacity, seconds=seconds / 2, connections=CONNECTIONS)
        )
        shares.append(found.rate / capacity)
        full = found.statuses.count(503)
        other = len(found.statuses) - found.good - full
        told.append(
            f"{found.good} good, {full} told 503, {other} otherwise, {unsent} unsent, p99 {found.percentile(99):.0f} ms"
        )
    note = f"good answers a second at {TIMES} x capacity ({capacity:.0f}/s) divided by capacity; last: {told[-1]}"
    results.add(
        Row("overload_goodput", "what is left of capacity when five times as much is asked", statistics.median(shares),
            "ratio", ">=0.8", min(shares), max(shares), note)
    )  # fmt: skip


def _slow(results: Results, port: int, requests: list[bytes], seconds: float, many: int) -> None:
    ratios, held, alone, beside = list[float](), list[int](), list[float](), list[float]()
    for _ in range(REPEATS):
        alone.append(asyncio.run(closed(port, requests, clients=1, seconds=seconds)).percentile(99))
        found, count = asyncio.run(_beside_slow(port, requests, seconds, many))
        beside.append(found.percentile(99))
        held.append(count)
        ratios.append(beside[-1] / alone[-1])
        if found.good != len(found.statuses):
            raise RuntimeError(f"good requests failed beside slow ones: {sorted(set(found.statuses))}")
    what = "clients that send a byte now and then, while others search"
    results.add(
        Row("slow_clients", what, min(held), "clients", ">=1000",
            note="a third in their headers, a third in their bodies, a third that never read their answers")
    )  # fmt: skip
    both = f"{statistics.median(beside):.1f} / {statistics.median(alone):.1f} ms"
    note = f"p99 of good searches beside them divided by p99 without: {both}; {len(ratios)} pairs"
    results.add(
        Row("slow_p99_ratio", "what slow clients cost the others", statistics.median(ratios), "ratio", "<=2",
            min(ratios), max(ratios), note)
    )  # fmt: skip


async def _beside_slow(port: int, requests: list[bytes], seconds: float, many: int) -> tuple[Answers, int]:
    """Good searches while `many` slow clients are connected; how many were still sending in the middle."""
    busy = [
        asyncio.create_task(_slow_client(port, number % 3, requests[number % len(requests)])) for number in range(many)
    ]
    await asyncio.sleep(1.0)  # all have come
    there = sum(not task.done() for task in busy)
    found = await closed(port, requests, clients=1, seconds=seconds)
    for task in busy:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*busy, return_exceptions=True)
    return found, there


async def _slow_client(port: int, kind: int, request: bytes) -> None:
    """Comes back as often as it is hung up on."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(HOST, port)
            with contextlib.closing(writer):
                for part in _drops(kind, request):
                    writer.write(part)
                    await asyncio.sleep(0.5)
                    if reader.at_eof():
                        break
                else:
                    await asyncio.sleep(3600)
        await asyncio.sleep(0.1)


def _drops(kind: int, request: bytes) -> Iterator[bytes]:
    """What it sends, half a second apart."""
    head, _, body = request.partition(b"\r\n\r\n")
    if kind == 0:
        yield from (head[i : i + 1] for i in range(len(head)))
    elif kind == 1:
        yield head + b"\r\n\r\n"
        yield from (body[i : i + 1] for i in range(len(body)))
    else:
        yield request
