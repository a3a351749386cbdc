"""One writer at a time, across processes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from nearsight.core.errors import Locked, ReadOnly


class WriterLock:
    """Holds ``LOCK`` until `release`. The system frees it when the process dies, however it dies.

    The pid stands in ``LOCK.pid`` beside it, because a locked file cannot be read on Windows.
    """

    def __init__(self, folder: Path) -> None:
        self._note = folder / "LOCK.pid"
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
        with suppress(OSError):
            return f" (pid {self._note.read_text().strip()})"
        return ""

    def release(self) -> None:
        """Let the next writer in."""
        with suppress(OSError):
            self._note.unlink(missing_ok=True)
        self._lock.release()


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
