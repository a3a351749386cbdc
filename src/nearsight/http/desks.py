"""Who is at work, who may wait, and who is sent away at once: full is full before anything is read or begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from nearsight.http.problems import Refusal

P = ParamSpec("P")
R = TypeVar("R")


class Desk:
    """Threads for one kind of work: `at_work` at once, `waiting` more in the queue, and nobody beyond that.

    Used from one event loop.
    """

    def __init__(self, name: str, at_work: int, waiting: int) -> None:
        self.name = name
        self.inside = 0
        self._most = at_work + waiting
        self._pool = ThreadPoolExecutor(at_work, thread_name_prefix=f"nearsight-{name}")

    @property
    def full(self) -> bool:
        return self.inside >= self._most

    async def do(self, work: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
        """Call `work` in a thread. Raises Refusal (503) where there is no room to wait."""
        if self.full:
            raise busy()
        loop = asyncio.get_running_loop()
        self.inside += 1
        try:
            begun = self._pool.submit(work, *args, **named)
        except RuntimeError as error:  # the server is going down
            self.inside -= 1
            raise busy() from error
        # a thread cannot be stopped: its place is free when it is done, whoever still waits for it
        begun.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(self._leave))
        return await asyncio.wrap_future(begun)

    def _leave(self) -> None:
        self.inside -= 1

    def close(self) -> None:
        """Take nothing more; what is at work goes on to its end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def busy() -> Refusal:
    """The answer for whoever finds no room."""
    return Refusal(
        503,
        "as much is being done as can be",
        code="server/busy",
        hint="try again in a second",
        headers={"Retry-After": "1"},
    )
