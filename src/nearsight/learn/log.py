"""A training's numbers in TensorBoard's format and as JSON lines, for whoever watches or plots them."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nearsight.core.errors import WriteFailed
from nearsight.learn.history import Epoch, Progress


class Log:
    """``history.jsonl`` (an epoch a line) and, where the package tensorboard is installed, ``logs/``."""

    def __init__(self, folder: Path, before: tuple[Epoch, ...] = ()) -> None:
        """`before`: epochs of the run that is gone on from; the file is written anew with them. Raises WriteFailed."""
        self._file = folder / "history.jsonl"
        try:
            self._file.write_text("".join(_line(epoch) for epoch in before), encoding="utf-8")
        except OSError as error:
            raise WriteFailed(f"could not write {self._file}: {error}") from error
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


def _line(epoch: Epoch) -> str:
    return json.dumps(epoch.to_json()) + "\n"
