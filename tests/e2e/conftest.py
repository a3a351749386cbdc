"""A small folder of pictures, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.command import COLOURS, EACH, Ran, paint
from nearsight.cli import main


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """blue/, green/, red/ with four pictures each, all different."""
    folder = tmp_path / "pictures"
    for at, (name, colour) in enumerate(COLOURS.items()):
        for number in range(EACH):
            paint(folder / name / f"{name}_{number}.jpg", colour, 100 * at + number)
    return folder


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """The command line in this process."""
    monkeypatch.delenv("NEARSIGHT_COLLECTION", raising=False)
    monkeypatch.delenv("NEARSIGHT_DEBUG", raising=False)

    def call(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capfd.readouterr()
        return Ran(code, said.out, said.err)

    return call
