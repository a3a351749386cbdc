"""Work looked into ahead by threads, in its order, a bounded number and weight of it at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TypeVar

J = TypeVar("J")
L = TypeVar("L")
_FLIGHT_BYTES = 256 << 20
"""File bytes between reading and encoding, so that huge pictures do not fill the memory."""


def ahead(
    jobs: Iterable[J],
    look: Callable[[J], L],
    *,
    workers: int,
    most: int,
    weigh: Callable[[J], int],
    waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Generator[L, None, None]:
    """`look` of each job, called in `workers` threads, at most `most` jobs (and so many bytes, which `weigh` tells)
    before the caller takes them. Around each wait for one is `waiting`. What a look raises is raised here. Closed
    early, what was begun is finished."""
    flight: deque[tuple[Future[L], int]] = deque()
    flying = 0

    def result(future: Future[L]) -> L:
        with waiting():
            return future.result()

    with ExitStack() as stack:
        pool = ThreadPoolExecutor(workers, thread_name_prefix="nearsight-decode")
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        for job in jobs:
            while flight and (len(flight) >= most or flying > _FLIGHT_BYTES):
                future, weight = flight.popleft()
                flying -= weight
                yield result(future)
            weight = weigh(job)
            flight.append((pool.submit(look, job), weight))
            flying += weight
        while flight:
            yield result(flight.popleft()[0])
