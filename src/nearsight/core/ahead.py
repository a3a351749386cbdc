"""Work that is done ahead by threads, in order, no more of it than memory takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(pool: ThreadPoolExecutor, work: Callable[[T], R], things: Iterable[T], most: int) -> Iterator[R]:
    """`pool.map`, but no more than `most` answers wait: not all pictures stand decoded in memory at once."""
    waiting: deque[Future[R]] = deque()
    for thing in things:
        waiting.append(pool.submit(work, thing))
        if len(waiting) >= most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
