"""The folder of a training: one training at a time in it, and its numbers written down as they come."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from nearsight.core.artefact import replace_file
from nearsight.core.errors import WriteFailed
from nearsight.core.events import Event
from nearsight.learn.devices import Devices
from nearsight.learn.history import Epoch, Progress
from nearsight.learn.log import Log
from nearsight.search.store.lock import WriterLock

T = TypeVar("T")
E = TypeVar("E")


@contextmanager
def prepared(folder: Path, recipe: str, fresh: bool) -> Iterator[None]:
    """The folder with the resolved `recipe` in it, and nobody else's meanwhile: two trainings would take each other's
    checkpoints. Raises Locked, ReadOnly, WriteFailed.
    """
    wrong = f"could not prepare {folder}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteFailed(f"{wrong}: {error.strerror or error}", hint="choose another --out") from error
    lock = WriterLock(folder)
    try:
        try:
            for name in ("checkpoint", "logs") if fresh else ():
                if (folder / name).exists():
                    shutil.rmtree(folder / name)
        except OSError as error:
            raise WriteFailed(f"{wrong}: {error.strerror or error}", hint="choose another --out") from error
        # beside a checkpoint lies its own recipe: another one is refused before anything of it is overwritten
        if not (folder / "checkpoint").exists():
            replace_file(folder / "recipe.toml", recipe.encode())
        yield
    finally:
        lock.release()


def logged(
    work: Generator[Event | Progress | Epoch, None, T], folder: Path, devices: Devices
) -> Generator[Event | Progress | Epoch, None, T]:
    """`work`, with its numbers written down as they come; events are told by the first process."""
    with closing(work), Log(folder) if devices.first else nullcontext() as log:
        return (yield from spoken(work, devices, log.see if log is not None else None))


def spoken(
    work: Generator[E, None, T], devices: Devices, see: Callable[[E], None] | None = None
) -> Generator[E, None, T]:
    """`work`, whose events are told once, by the first process; `see` is shown them before."""
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            found: T = end.value
            return found
        if see is not None:
            see(event)
        if devices.first:
            yield event
