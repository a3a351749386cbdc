"""Many look at once, or one changes: a readers-writer lock. Who wants to change goes before those who come later."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """`shared` for any number of threads at once, `alone` for one; neither may be taken inside of the other."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._inside = 0
        self._alone = False
        self._wanted = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Together with others who only look."""
        with self._free:
            while self._alone or self._wanted:
                self._free.wait()
            self._inside += 1
        try:
            yield
        finally:
            with self._free:
                self._inside -= 1
                if not self._inside:
                    self._free.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """With nobody else inside."""
        with self._free:
            self._wanted += 1
            try:
                while self._alone or self._inside:
                    self._free.wait()
            finally:
                self._wanted -= 1
            self._alone = True
        try:
            yield
        finally:
            with self._free:
                self._alone = False
                self._free.notify_all()
