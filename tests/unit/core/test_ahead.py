"""Work done ahead: its order, its bounds, and what is left of it where nobody takes it any more."""

from __future__ import annotations

import threading
from time import sleep

import pytest

from nearsight.core import ahead as module
from nearsight.core.ahead import ahead


def test_the_order_is_that_of_the_things_and_no_more_are_begun_than_was_said() -> None:
    begun: list[int] = []
    found: list[int] = []
    for value in ahead(range(20), lambda n: begun.append(n) or n * n, threads=2, most=4, name="ahead"):
        assert len(begun) <= len(found) + 4
        found.append(value)
    assert found == [n * n for n in range(20)]


def test_threads_work_beside_one_another() -> None:
    together = threading.Barrier(3, timeout=30)
    assert len(list(ahead(range(9), lambda _: together.wait(), threads=3, most=3, name="ahead"))) == 9


def test_heavy_things_come_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    begun: list[int] = []
    weights = [4, 4, 4, 30, 4, 4, 4, 4]
    found = []
    for value in ahead(
        range(8), lambda n: begun.append(n) or n, threads=2, most=100, name="ahead", weigh=lambda n: weights[n]
    ):
        on_the_way = begun[len(found) :]
        assert sum(weights[n] for n in on_the_way[:-1]) <= 10
        found.append(value)
    assert found == list(range(8))


def test_what_the_work_raises_is_raised_in_its_turn() -> None:
    coming = ahead([3, 2, 0, 1], lambda n: 6 // n, threads=2, most=4, name="ahead")
    assert [next(coming), next(coming)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(coming)


def test_closed_early_the_rest_is_not_begun_and_no_thread_stays() -> None:
    begun: list[int] = []
    coming = ahead(
        range(100), lambda n: begun.append(n) or sleep(0.2 * bool(n)), threads=1, most=4, name="ahead-closed"
    )
    next(coming)
    coming.close()
    assert len(begun) <= 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead-closed")]
