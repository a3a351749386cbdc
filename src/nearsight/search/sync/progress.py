"""How far a sync is, for whoever looks from another process: ``progress.json`` in the collection's folder.

Derived and never synced: it is written about once a second, removed at the end, and not believed where the process that
wrote it is not the one that writes to the collection.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from nearsight.core.events import Event, Skipped, Step
from nearsight.search.store.lock import is_locked, writer_of

FILE = "progress.json"
_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """One stage of a sync: `done` of `total` (None while unknown) after `seconds`; files left out so far."""

    stage: str
    done: int
    total: int | None
    skipped: int
    seconds: float

    @property
    def rate(self) -> float | None:
        """Done in a second; None before anything is."""
        return self.done / self.seconds if self.done and self.seconds > 0 else None

    @property
    def left(self) -> float | None:
        """Seconds to go at this rate, if that can be said."""
        return (self.total - self.done) / self.rate if self.rate and self.total is not None else None


def noted(folder: Path, events: Iterator[Event]) -> Generator[Event, None, None]:
    """The events of a sync, and beside them the file."""
    skipped, stage, begun, written = 0, "", 0.0, 0.0
    try:
        for event in events:
            skipped += isinstance(event, Skipped)
            if isinstance(event, Step):
                now = time.monotonic()
                if event.what != stage:
                    stage, begun, written = event.what, now, 0.0
                if now - written >= _SECONDS:
                    _write(folder, Progress(stage, event.done, event.total, skipped, now - begun))
                    written = now
            yield event
    finally:
        if close := getattr(events, "close", None):
            close()
        if stage:
            with suppress(OSError):
                (folder / FILE).unlink(missing_ok=True)


def running(folder: Path) -> Progress | None:
    """The sync that is going on in this collection just now, in whatever process; None where there is none."""
    try:
        told = json.loads((folder / FILE).read_bytes())
        if told.pop("pid") != writer_of(folder) or not is_locked(folder):
            return None
        return Progress(**told)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(folder: Path, progress: Progress) -> None:
    """Readers see the file before or this one; a full disk must not stop a sync for it."""
    with suppress(OSError):
        beside = folder / f".{FILE}.tmp"
        beside.write_text(json.dumps({**asdict(progress), "pid": os.getpid()}), encoding="ascii")
        os.replace(beside, folder / FILE)
