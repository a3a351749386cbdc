"""Building an engine's index: rows in the order of the store, kept half-way now and then, so that little is lost.

An engine that learns does so first, from rows drawn fairly from all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Keys
from nearsight.core.events import Step
from nearsight.search.engines import Engine, Learns
from nearsight.search.saved import Covered, beyond
from nearsight.search.store.snapshot import Snapshot

_ADD = 8192
"""Rows copied at once into an engine that keeps its own."""
_KEEP_EVERY = 120.0
"""Seconds of building that may be lost, unless keeping it would take more than a twentieth of the time."""
_WORTH = 10.0
"""Seconds of building that are worth keeping when it is broken off."""


def outgrown(engine: Engine, snapshot: Snapshot) -> bool:
    """Whether what an engine that holds some learned no longer suits so many."""
    return isinstance(engine, Learns) and len(engine) > 0 and engine.expect(len(snapshot)) > 0


def learn(engine: Engine, snapshot: Snapshot) -> None:
    """Let an empty engine that learns do so, from living rows drawn with a fixed seed."""
    if isinstance(engine, Learns) and (count := engine.expect(len(snapshot))):
        rows = np.flatnonzero(snapshot.alive)
        engine.learn(snapshot.vectors(np.sort(np.random.default_rng(0).choice(rows, count, replace=False))))


def grow(
    engine: Engine, snapshot: Snapshot, covered: Covered, keep: Callable[[Covered], None]
) -> Generator[Step, None, Covered]:
    """Add the living rows beyond `covered`. Returns what it covers then; `keep` is called with what it covers at times
    on the way, and when the generator is closed."""
    done, total = 0, beyond(snapshot, covered)
    kept = time.monotonic()
    pause = _KEEP_EVERY
    for keys, rows, now in _pieces(snapshot, covered):
        engine.add(keys, rows)
        covered, done = now, done + len(keys)
        try:
            yield Step("engine", done, total)
        except GeneratorExit:
            if time.monotonic() - kept > _WORTH:
                keep(covered)
            raise
        if time.monotonic() - kept > pause and done < total:
            begun = time.monotonic()
            keep(covered)
            kept = time.monotonic()
            pause = max(_KEEP_EVERY, 20 * (kept - begun))
    return covered


def _pieces(snapshot: Snapshot, covered: Covered) -> Iterator[tuple[Keys, NDArray[np.floating], Covered]]:
    """Living rows beyond `covered` with their keys, and what is covered with them."""
    now = dict(covered)
    for part in snapshot.parts:
        for start in range(now.get(part.number, 0), len(part.keys), _ADD):
            stop = min(start + _ADD, len(part.keys))
            alive = snapshot.alive[part.start + start : part.start + stop]
            now = {**now, part.number: stop}
            yield part.keys[start:stop][alive], part.rows[start:stop][alive], now
