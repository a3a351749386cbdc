"""Calls that come at once go together; looks go on together, changes alone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from nearsight.search.together import Together
from nearsight.search.turns import Turns


def test_one_caller_is_not_kept_waiting() -> None:
    batches: list[list[int]] = []
    double = Together(lambda numbers: batches.append(numbers) or [2 * n for n in numbers])
    assert [double(n) for n in range(3)] == [0, 2, 4]
    assert batches == [[0], [1], [2]]


def test_who_comes_meanwhile_goes_together() -> None:
    begun, go = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def work(numbers: list[int]) -> list[int]:
        batches.append(numbers)
        begun.set()
        go.wait(10)
        return [2 * n for n in numbers]

    double = Together(work, most=8)
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(double, 0)
        begun.wait(10)
        others = [pool.submit(double, n) for n in range(1, 12)]
        while len(double._waiting) < 11:
            time.sleep(0.001)
        go.set()
        assert first.result(10) == 0
        assert [other.result(10) for other in others] == [2 * n for n in range(1, 12)]
    assert [len(batch) for batch in batches] == [1, 8, 3]
    assert double(5) == 10


def test_as_many_batches_at_once_as_there_are_places() -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def work(numbers: list[int]) -> list[int]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.005)
        with lock:
            inside -= 1
        return numbers

    same = Together(work, at_once=2)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(same, range(200))) == list(range(200))
    assert most == 2


def test_an_error_is_raised_only_where_it_belongs() -> None:
    begun, go = threading.Event(), threading.Event()

    def work(numbers: list[int]) -> list[float]:
        begun.set()
        go.wait(10)
        return [1 / n for n in numbers]

    inverse = Together(work)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(inverse, 1)
        begun.wait(10)
        others = {n: pool.submit(inverse, n) for n in (0, 2, 4)}
        while len(inverse._waiting) < 3:
            time.sleep(0.001)
        go.set()
        assert first.result(10) == 1
        assert (others[2].result(10), others[4].result(10)) == (0.5, 0.25)
        with pytest.raises(ZeroDivisionError):
            others[0].result(10)
    assert inverse(4) == 0.25


def test_looks_go_on_together_and_a_change_alone() -> None:
    turns, trace, lock = Turns(), [], threading.Lock()
    together = threading.Barrier(3)

    def look(_: int) -> None:
        with turns.shared():
            together.wait(10)  # breaks unless three are inside at once

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(look, range(3)))

    def enter(number: int) -> None:
        alone = number % 5 == 0
        with turns.alone() if alone else turns.shared():
            with lock:
                trace.append((alone, +1))
            time.sleep(0.0005)
            with lock:
                trace.append((alone, -1))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(enter, range(200)))
    inside = {True: 0, False: 0}
    for alone, step in trace:
        inside[alone] += step
        assert inside[True] <= 1
        assert not (inside[True] and inside[False])


def test_a_change_is_not_kept_waiting_by_looks_that_come_later() -> None:
    turns, order = Turns(), []
    leave = threading.Event()

    def look(name: str) -> None:
        with turns.shared():
            order.append(name)
            leave.wait(10)

    def change() -> None:
        with turns.alone():
            order.append("change")

    with ThreadPoolExecutor(4) as pool:
        pool.submit(look, "first")
        while "first" not in order:
            time.sleep(0.001)
        pool.submit(change)
        while not turns._wanted:
            time.sleep(0.001)
        later = pool.submit(look, "later")
        time.sleep(0.02)
        assert order == ["first"]
        leave.set()
        later.result(10)
    assert order == ["first", "change", "later"]
