"""What threads ask at the same time is done in one call: a batch of texts, of pictures, of vectors to search with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Ask(Generic[T, R]):
    """One thread's share of a batch."""

    def __init__(self, given: T) -> None:
        self.given = given
        self.answers: list[R] = []
        self.error: BaseException | None = None
        self.lead: list[_Ask[T, R]] = []
        """With whom this thread is to do the next batch, where it was woken for that."""
        self.woken = threading.Lock()
        self.woken.acquire()

    def answer(self) -> R:
        if self.error is not None:
            raise self.error
        return self.answers[0]


class Together(Generic[T, R]):
    """``Together(work)(one)`` is ``work([one])[0]``, where `work` may be given several threads' calls as one list.

    Nobody waits for company: who finds one of the `at_once` places free works at once, alone. Who finds none waits,
    and goes with all who wait by then (at most `most`). So batches are as large as there is a crowd. Where a batch
    raises, each is tried by itself, so that one's mistake is not another's error.
    """

    def __init__(self, work: Callable[[list[T]], Sequence[R]], *, most: int = 64, at_once: int = 1) -> None:
        self._work = work
        self._most = most
        self._places = at_once
        self._waiting: list[_Ask[T, R]] = []
        self._lock = threading.Lock()

    def __call__(self, given: T) -> R:
        ask: _Ask[T, R] = _Ask(given)
        with self._lock:
            if self._places:
                self._places -= 1
                ask.lead = [ask]
            else:
                self._waiting.append(ask)
        if not ask.lead:
            ask.woken.acquire()
        if ask.lead:
            try:
                self._do(ask.lead)
            finally:
                self._hand_over(ask)
        return ask.answer()

    def _do(self, batch: list[_Ask[T, R]]) -> None:
        try:
            answers = self._work([ask.given for ask in batch])
            for ask, answer in zip(batch, answers, strict=True):
                ask.answers.append(answer)
        except BaseException as error:  # noqa: BLE001 (it is raised where it belongs)
            if len(batch) == 1:
                batch[0].error = error
                return
            for ask in batch:
                ask.answers.clear()
                self._do([ask])

    def _hand_over(self, leader: _Ask[T, R]) -> None:
        """Wake those whose answers are there, and the first of those who wait, to do theirs."""
        with self._lock:
            following, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if not following:
                self._places += 1
        if following:
            following[0].lead = following
            following[0].woken.release()
        for ask in leader.lead:
            if ask is not leader:
                ask.woken.release()
