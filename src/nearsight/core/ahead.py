"""Work that is done ahead by threads, in its order, no more of it than memory takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
MOST_BYTES = 256 << 20
"""Of what `weigh` tells, on its way at once: huge pictures do not fill the memory."""


def ahead(
    things: Iterable[T],
    work: Callable[[T], R],
    *,
    threads: int,
    most: int,
    name: str,
    weigh: Callable[[T], int] | None = None,
) -> Generator[R, None, None]:
    """`work` of each thing, in order, called in `threads` threads called `name`.

    At most `most` are under way or done before the caller takes them, and where `weigh` says the bytes of each, no
    more than MOST_BYTES and one. What `work` raises is raised here. Closed early, what was begun is finished and the
    rest is not begun.
    """
    flight: deque[tuple[Future[R], int]] = deque()
    flying = 0

    with ExitStack() as stack:
        pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        for thing in things:
            while flight and (len(flight) >= most or flying > MOST_BYTES):
                future, weight = flight.popleft()
                flying -= weight
                yield future.result()
            weight = weigh(thing) if weigh else 0
            flight.append((pool.submit(work, thing), weight))
            flying += weight
        while flight:
            yield flight.popleft()[0].result()
