"""Where the time of a sync goes, part by part.

Parts of worker threads (read, decode, prepare) add up over threads, so the whole may be more than the time that passed.
``waiting`` is how long nothing was encoded because nothing was ready: the larger it is, the more reading and decoding
are what takes the time; where it is small, the network is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

PARTS = ("walk", "read", "decode", "prepare", "waiting", "encode", "commit", "engine")
"""read: with the hash. prepare: to the network's size. commit: vectors and catalogue, synced. engine: its index."""


class Stopwatch:
    """Seconds by part, from any number of threads."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._adding = threading.Lock()

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """What runs inside counts for `part`, one of PARTS; it need not end well."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.since(part, begun)

    def each(self, part: str, things: Iterable[T]) -> Iterator[T]:
        """`things`, the time that each takes to come counted for `part`."""
        coming, end = iter(things), object()
        while True:
            with self(part):
                thing = next(coming, end)
            if thing is end:
                return
            yield thing  # type: ignore[misc]

    def spent(self) -> dict[str, float]:
        """So far, by part; parts that took no time are left out."""
        with self._adding:
            return {part: seconds for part, seconds in self._seconds.items() if seconds}

    def since(self, part: str, begun: float) -> None:
        """What passed since `begun` (``time.perf_counter``) counts for `part`."""
        passed = time.perf_counter() - begun
        with self._adding:
            self._seconds[part] += passed
