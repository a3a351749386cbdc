"""What a training writes down while it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nearsight.learn.doctor import Finding, Health
from nearsight.learn.history import Epoch, Progress
from nearsight.learn.log import Log

HEALTH = Health(0.5, 1.0, 0.25, 3.5, 8, 1, (0.9, 1.0, 1.1), (0.5, 0.5), (1.0, 0.0), 2.0, (Finding("a", "b", "c"),))


def epoch(number: int) -> Epoch:
    return Epoch(number, 3, 0.5, 1e-3, 1.5, 24, 0.75 if number > 1 else None, number == 2, HEALTH)


def read(folder: Path) -> list[Epoch]:
    return [Epoch.from_json(json.loads(line)) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_epochs_go_there_and_back_through_json() -> None:
    for number in (1, 2):
        assert Epoch.from_json(json.loads(json.dumps(epoch(number).to_json()))) == epoch(number)


def test_an_epoch_is_a_line(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        for event in ("something else", Progress(1, 0.5, 1.0, 2.0), epoch(1), epoch(2)):
            log.see(event)
    assert read(tmp_path) == [epoch(1), epoch(2)]


def test_a_run_that_goes_on_keeps_what_was_before_and_no_epoch_twice(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        for number in (1, 2):
            log.see(epoch(number))
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"epoch": 1')
    with Log(tmp_path):
        pass
    with Log(tmp_path) as log:  # killed after epoch 2, and the checkpoint was of epoch 1
        for number in (2, 3):
            log.see(epoch(number))
    assert read(tmp_path) == [epoch(1), epoch(2), epoch(3)]
    with Log(tmp_path) as log:
        log.see(epoch(1))
    assert read(tmp_path) == [epoch(1)], "begun anew"


@pytest.mark.torch
def test_tensorboard_can_read_it(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    board = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with Log(tmp_path) as log:
        assert log.boarded
        for number in (1, 2):
            log.see(Progress(number, 0.5 / number, 1.0, 2.0))
            log.see(epoch(number))
    found = board.EventAccumulator(str(tmp_path / "logs"))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("step/loss")] == [(1, 0.5), (2, 0.25)]
    assert [(e.step, e.value) for e in found.Scalars("epoch/validation")] == [(2, 0.75)]
    assert {"doctor/rank", "doctor/dead", "doctor/active", "epoch/loss"} <= set(found.Tags()["scalars"])
