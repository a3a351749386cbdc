"""The index of a collection's engine, kept up while the collection is served: in a thread of low priority, beside
searches and further changes."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading

from nearsight.core.errors import NearsightError
from nearsight.search.collection import Collection
from nearsight.search.sync.progress import noted

_LONG = 20_000
"""Items that every search looks at one by one, from which on the index takes them in."""
_STOP_SECONDS = 10.0
"""How long the end of a server waits for a step of a build."""


class Upkeep:
    """That of one collection. A build that was broken off, or failed, is tried again after the next change."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._tried = -1

    @property
    def going(self) -> bool:
        """Whether a build is under way."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, collection: Collection) -> bool:
        """Build with this handle, open for writing, where that is worth it and not under way already; whether a build
        is under way now. Called by one thread at a time, as `end`."""
        if self.going:
            return True
        generation = collection.store.snapshot().generation
        if generation == self._tried or collection.unindexed < _LONG:
            return False
        self._tried = generation
        self._stop.clear()
        self._thread = threading.Thread(target=self._build, args=(collection,), name="upkeep", daemon=True)
        self._thread.start()
        return True

    def end(self) -> bool:
        """Break it off; what is built is kept. False where it does not end in time: then the handle is still in use."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)
        return not self.going

    def _build(self, collection: Collection) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own; what FAISS starts here takes it over
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        try:
            with contextlib.closing(noted(collection.store.folder, collection.building())) as steps:
                for _ in steps:
                    if self._stop.is_set():
                        break
        except NearsightError as error:  # searches go on without it
            told = f"the index of {collection.folder} was not brought up to date: {error.message}"
            logging.getLogger("nearsight").warning(told)
