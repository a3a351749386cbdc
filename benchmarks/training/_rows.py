"""Rows of table 1, trained and measured by the same code as ``nearsight reproduce table1``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.foundation._data import data
from nearsight.core.events import Skipped
from nearsight.learn.history import Epoch
from nearsight.study.training.reproduce import TABLE1, Cell, reproduce

QUICK = ("loop.epochs=1",)


def rows(
    only: Sequence[str], runs: Path, *, seeds: Sequence[int] = (0,), overrides: Sequence[str] = ()
) -> dict[tuple[str, str], Cell]:
    """(row's title, protocol) -> the exact engine's figure. Nothing where the MIT split is absent."""
    root = data("mit_split")
    if root is None:
        return {}
    os.environ.setdefault("NEARSIGHT_DATA", str(root.parent))
    work = reproduce(TABLE1, runs, seeds=seeds, only=only, overrides=overrides)
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            return {(cell.row, cell.protocol): cell for cell in end.value.cells if cell.engine == "KNN"}
        if isinstance(event, Epoch):
            print(f"   epoch {event.epoch} of {event.of}  loss {event.loss:.4f}  {event.seconds:.0f} s", flush=True)
        elif isinstance(event, Skipped):
            print(f"   {event.path}: {event.why.splitlines()[0]}; {event.hint}", flush=True)


def told(cell: Cell) -> str:
    """What a figure's note says: where it comes from, its floor, the doctor's findings."""
    parts = [cell.recipe, f"chance {cell.chance:.3f}", f"P@1 {cell.first:.3f}", f"{cell.minutes:.1f} min a training"]
    if len(cell.seeds) > 1:
        parts.append(f"mean and spread of {len(cell.seeds)} seeds")
    if cell.published is not None:
        parts.append(f"published {cell.published:.2f}")
    parts.append(f"doctor: {', '.join(cell.findings) or 'nothing'}")
    return "; ".join(parts)
