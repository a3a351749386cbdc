"""Kill a database while a collection tells it what is new, then see that both hold the same."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._results import Results, Row
from benchmarks.scale._servers import Server
from nearsight.core.arrays import NO_KEY, unit
from nearsight.core.errors import EngineAway
from nearsight.encode.encoder import EncoderSpec
from nearsight.search.collection import Collection
from nearsight.search.store.segments import row_sums
from nearsight.search.store.store import Record

DIM, BATCH = 64, 4000
_TRIES = 4
SPEC = EncoderSpec("made-up", DIM, ("image",), "cd" * 32, {})


def kills(server: Server, engine: str, n: int, *, seed: int = 0) -> Counter[str]:
    """`n` kills of a server in mid-write: while it is down a search is asked, then it starts and is told the rest.

    Counts kills, told (rows), finished (told before the kill came: another try), lost, phantom, duplicates (of the
    database's rows against the catalogue's), wrong (answers, and counts that do not agree), seconds.
    """
    counts: Counter[str] = Counter()
    began = time.monotonic()
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, Collection.create(Path(folder) / "c", SPEC, engine=engine) as kept:
        while counts["kills"] < n:
            _change(kept, rng, counts)
            if not _killed_meanwhile(kept, server, rng):
                counts["finished"] += 1
                server.start()
                continue
            counts["kills"] += 1
            counts["wrong"] += not _right(kept, rng)  # with nobody to ask
            counts["wrong"] += not _told(kept, server)
            counts["wrong"] += not _right(kept, rng)
            counts.update(_compared(kept, server))
        kept._looks.searcher._main.drop()  # type: ignore[attr-defined]
    counts["seconds"] = round(time.monotonic() - began)
    return counts


def _change(kept: Collection, rng: random.Random, counts: Counter[str]) -> None:
    """New items, some old ones with other vectors, some gone."""
    fresh = np.random.default_rng(rng.randrange(2**31))
    keys = kept.keys().tolist()
    replaced = rng.sample(keys, min(len(keys), BATCH // 4))
    made = unit(fresh.standard_normal((BATCH, DIM)))
    records = [Record(f"{counts['told'] + i}".encode()) for i in range(BATCH)]
    kept.store.append(records, made, replacing=[*replaced, *[None] * (BATCH - len(replaced))])
    kept.delete(rng.sample(keys, min(len(keys), BATCH // 8)))
    if rng.random() < 0.2:
        kept.store.verified()
        kept.compact() if rng.random() < 0.5 else kept._looks.searcher.forget()
    counts["told"] += BATCH


def _killed_meanwhile(kept: Collection, server: Server, rng: random.Random) -> bool:
    """Tell the engine, and kill the server in the middle of it; False where it was told everything before."""
    table: Any = kept._looks.searcher._build(kept.engine)._table  # type: ignore[attr-defined]
    kind, write = type(table), type(table).write
    at, now = rng.randrange(1, 1 + BATCH // 1024), threading.Event()
    seen = 0

    def counted(self: Any, keys: Any, sums: Any, vectors: Any) -> None:
        nonlocal seen
        seen += len(keys) > 1
        if seen == at:
            now.set()
        write(self, keys, sums, vectors)

    def kill() -> None:
        now.wait()
        time.sleep(rng.choice([0, 0.002, 0.01, 0.03]) * rng.random())
        server.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    kind.write = counted
    try:
        finished = kept.build_engine()
    finally:
        kind.write = write
        now.set()
        killer.join()
    return not finished


def _told(kept: Collection, server: Server) -> bool:
    """Start it and tell it what it lacks: again where it is away once more, as Milvus ends itself where a busy machine
    keeps it from its own clock for too long."""
    for _ in range(_TRIES):
        server.start()
        kept.build_engine()
        if kept.engine_state == "ready":
            return True
    return False


def _right(kept: Collection, rng: random.Random) -> bool:
    """Whether a search finds what brute force finds."""
    keys = kept.keys()
    queries = unit(np.random.default_rng(rng.randrange(2**31)).standard_normal((3, DIM)))
    scores = queries @ kept.vectors(keys).T
    found = kept.search_vectors(queries, 10)
    best = np.sort(np.take_along_axis(scores, np.argsort(-scores, axis=1)[:, :10], axis=1))[:, ::-1]
    return bool(np.allclose(found.scores, best, atol=1e-5))


def _compared(kept: Collection, server: Server) -> Counter[str]:
    """The rows of the database against the items of the catalogue."""
    keys = kept.keys()
    items = dict(zip(keys.tolist(), row_sums(keys, kept.vectors(keys)), strict=True))
    table: Any = kept._looks.searcher._main._table  # type: ignore[attr-defined]
    try:
        there, sums = table.listing()
    except EngineAway:
        server.start()
        there, sums = table.listing()
    rows = {key: total for key, total in zip(there.tolist(), sums.tolist(), strict=True) if key != NO_KEY}
    return Counter(
        lost=sum(rows.get(key) != total for key, total in items.items()),
        phantom=len(rows.keys() - items.keys()),
        duplicates=len(there) - len(set(there.tolist())),
        wrong=int(table.state()[0] != len(items) + 1),
    )


def measure(results: Results, name: str, shown: str, server: Server, engine: str, n: int) -> None:
    """Two rows: how many kills, and what they cost."""
    counts = kills(server, engine, n)
    told = f"{counts['told']:,} rows of {DIM} numbers told, a quarter of them in the place of others, an eighth deleted"
    results.add(
        Row(f"{name}_kills", f"SIGKILLs of {shown} in mid-write", counts["kills"], "kills", f">={n}", note=told)
    )
    bad = {what: counts[what] for what in ("lost", "phantom", "duplicates", "wrong")}
    note = ", ".join(f"{count} {what}" for what, count in bad.items()) + f"; {counts['seconds']:,} s in all"
    what = f"rows lost, doubled or made up by {shown}, and answers that are not brute force's"
    results.add(Row(f"{name}_lost", what, sum(bad.values()), "rows", "=0", note=note))
