"""Where the time of a sync goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from nearsight import Collection, create
from nearsight.core.events import Done, Step
from nearsight.search.sync import pipeline
from nearsight.search.sync.stopwatch import PARTS, Stopwatch


def test_parts_of_several_threads_add_up() -> None:
    clock = Stopwatch()

    def work() -> None:
        with clock("decode"):
            time.sleep(0.05)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.2 <= clock.spent()["decode"] < 2
    assert list(clock.spent()) == ["decode"]


def test_what_ends_badly_counts_too() -> None:
    clock = Stopwatch()

    def broken() -> None:
        with clock("read"):
            time.sleep(0.01)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        broken()
    assert clock.spent()["read"] >= 0.01


def test_the_time_between_two_things_is_not_the_one_that_they_take() -> None:
    clock = Stopwatch()

    def things() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.01)
            yield number

    for _ in clock.each("walk", things()):
        time.sleep(0.3)
    assert 0.03 <= clock.spent()["walk"] < 0.6


def test_a_slow_decoder_shows_as_decoding_and_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        Image.new("RGB", (16, 16), (20 * number, 0, 0)).save(tmp_path / f"{number}.png")

    def slowly(*given: object, **named: object) -> Image.Image:
        time.sleep(0.1)
        return decode(*given, **named)

    decode = pipeline.decode
    monkeypatch.setattr(pipeline, "decode", slowly)
    with Collection.create(tmp_path / "c.ns", create("colour")) as collection:
        events = list(collection.sync(tmp_path, workers=2, profile=True))
        done = events[-1]
        assert isinstance(done, Done)
        assert set(done.spent) <= set(PARTS)
        assert {"walk", "read", "decode", "prepare", "waiting", "encode", "commit"} <= set(done.spent)
        assert 0.8 <= done.spent["decode"] < 4
        assert done.spent["waiting"] >= 0.2, "two threads take 0.4 s, and nothing else has anything to do"
        told = [event.spent for event in events if isinstance(event, Step) and event.what == "encode"]
        assert told[-1]["decode"] <= done.spent["decode"]
        quiet = list(collection.sync(tmp_path))
        assert not any(event.spent for event in quiet if isinstance(event, Step | Done))
