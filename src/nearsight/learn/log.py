"""A training's numbers in TensorBoard's format and as JSON lines, for whoever watches or plots them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nearsight.core.artefact import replace_file
from nearsight.core.errors import WriteFailed
from nearsight.learn.history import Epoch, Progress


class Log:
    """``history.jsonl`` (an epoch a line) and, where the package tensorboard is installed, ``logs/``."""

    def __init__(self, folder: Path) -> None:
        """Of a run that is gone on from, the epochs before the first one that comes are kept, and the later not: they
        are done again.
        """
        self._file, self._begun = folder / "history.jsonl", False
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._board = SummaryWriter(str(folder / "logs"))

    @property
    def boarded(self) -> bool:
        """Whether TensorBoard's format is written."""
        return self._board is not None

    def see(self, event: object) -> None:
        """Epochs and Progress are written down; other events are none of its business. Raises WriteFailed."""
        if isinstance(event, Progress):
            self._scalars(
                {"step/loss": event.loss, "step/rate": event.rate, "step/gradient": event.gradient}, event.step
            )
        elif isinstance(event, Epoch):
            try:
                if not self._begun:
                    replace_file(self._file, "".join(_lines_before(self._file, event.epoch)).encode())
                    self._begun = True
                with self._file.open("a", encoding="utf-8") as file:
                    file.write(_line(event))
            except OSError as error:
                raise WriteFailed(f"could not write {self._file}: {error}") from error
            health = event.health
            values = {
                "epoch/loss": event.loss, "epoch/rate": event.rate, "epoch/validation": event.validation,
                "doctor/rank": health.rank, "doctor/dead": health.dead, "doctor/active": health.active,
                "doctor/norm": health.norms[1], "doctor/gradient": health.gradient,
            }  # fmt: skip
            self._scalars({name: value for name, value in values.items() if value is not None}, event.epoch)

    def _scalars(self, values: dict[str, float], step: int) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board is not None:
            self._board.close()


def _lines_before(file: Path, epoch: int) -> list[str]:
    """Of what was written before, the lines of earlier epochs; one that a kill cut short is none."""
    kept = []
    with suppress(OSError, UnicodeDecodeError):
        for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
            with suppress(ValueError, KeyError, TypeError):
                if json.loads(line)["epoch"] < epoch:
                    kept.append(line)
    return kept


def _line(epoch: Epoch) -> str:
    return json.dumps(epoch.to_json()) + "\n"
