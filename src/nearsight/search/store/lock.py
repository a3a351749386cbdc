"""One writer at a time, across processes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from nearsight.core.errors import Locked, ReadOnly

_NOTE = "LOCK.pid"


class WriterLock:
    """Holds ``LOCK`` until `release`. The system frees it when the process dies, however it dies.

    The pid stands in ``LOCK.pid`` beside it, because a locked file cannot be read on Windows.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._note = folder / _NOTE
        self._lock = FileLock(folder / "LOCK", thread_local=False)
        try:
            self._lock.acquire(timeout=0.5, poll_interval=0.02)  # longer than a reader's probe holds it
        except Timeout as error:
            raise Locked(f"another process{self._who()} is writing to {folder}") from error
        except OSError as error:
            raise ReadOnly(f"cannot lock {folder} for writing: {error}") from error
        with suppress(OSError):  # the pid is a courtesy: a full disk must not stop a delete
            self._note.write_text(str(os.getpid()))

    def _who(self) -> str:
        pid = writer_of(self._folder)
        return f" (pid {pid})" if pid is not None else ""

    def release(self) -> None:
        """Let the next writer in."""
        with suppress(OSError):
            self._note.unlink(missing_ok=True)
        self._lock.release()


def writer_of(folder: Path) -> int | None:
    """The process that holds the lock, or that held it last and was killed; None where nobody says so."""
    try:
        return int((folder / _NOTE).read_text())
    except (OSError, ValueError):
        return None


def is_locked(folder: Path) -> bool:
    """Whether a writer is alive just now (a guess that may be old by the time it is read)."""
    probe = FileLock(folder / "LOCK", thread_local=False)
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a medium that cannot be written has no writer
        return False
    probe.release()
    return False
