"""Near-duplicates of a collection, looked for in the background: once for each state of it and each threshold."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearsight.core.arrays import Keys
from nearsight.core.errors import NearsightError
from nearsight.core.events import Step
from nearsight.search.collection import Collection
from nearsight.search.duplicates import Group

_REMEMBERED = 4
"""Thresholds whose groups are kept at once."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What is known of one threshold: the groups, or how far the look for them is."""

    ready: bool
    done: int = 0
    total: int = 0
    groups: Sequence[Group] = ()


@dataclass(frozen=True, slots=True)
class _State:
    """The living items and their rows: what duplicates follow from."""

    epoch: int
    keys: Keys
    rows: Keys

    @classmethod
    def of(cls, collection: Collection) -> _State:
        snapshot = collection.store.snapshot()
        keys = snapshot.living()
        return cls(snapshot.epoch, keys, snapshot.rows_of(keys))

    def less(self, other: _State) -> bool:
        """Whether nothing but deletions lies between the other one and this."""
        if self.epoch != other.epoch:
            return False
        at = np.minimum(np.searchsorted(other.keys, self.keys), max(0, len(other.keys) - 1))
        return not len(self.keys) or bool(
            len(other.keys) and np.all(other.keys[at] == self.keys) and np.all(other.rows[at] == self.rows)
        )


class Copies:
    """Those of one collection. At most one look goes on at a time; a new one begins when it is asked for."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._known: dict[float | None, tuple[_State, list[Group]]] = {}
        self._working = False
        self._threshold: float | None = None
        self._progress = (0, 0)
        self._error: NearsightError | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def look(self, at_least: float | None) -> Looked:
        """The groups as of now, or how far the look for them is, which begins with the first call.

        Raises what the last look raised, once.
        """
        state = _State.of(self._collection)
        with self._lock:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            then, groups = self._known.get(at_least, (None, []))
            if then is not None and state.less(then):
                living = set(state.keys.tolist())
                left = [_without(group, living) for group in groups]
                if all(group is not None for group in left):
                    return Looked(True, 1, 1, [group for group in left if group is not None and len(group) > 1])
            if not self._working and not self._closed:
                self._working, self._threshold, self._progress = True, at_least, (0, 0)
                self._thread = threading.Thread(target=self._work, args=(at_least, state), daemon=True)
                self._thread.start()
            done, total = self._progress if self._threshold == at_least else (0, 0)
            return Looked(False, done, total)

    def close(self) -> None:
        """Stop looking at the next event."""
        self._closed = True
        if self._thread is not None:
            self._thread.join()

    def _work(self, at_least: float | None, state: _State) -> None:
        work = self._collection.duplicates(at_least)
        try:
            while not self._closed:
                event = next(work)
                if isinstance(event, Step):
                    self._progress = (event.done, event.total or 0)
        except StopIteration as end:
            with self._lock:
                self._known.pop(at_least, None)
                self._known[at_least] = (state, end.value)
                while len(self._known) > _REMEMBERED:
                    del self._known[next(iter(self._known))]
        except NearsightError as error:
            self._error = error
        finally:
            work.close()
            self._working = False


def _without(group: Group, living: set[int]) -> Group | None:
    """A group without what was deleted; None where that is the picture that the others were the same as."""
    if group.keep not in living:
        return None if sum(copy.key in living for copy in group.others) > 1 else Group(group.keep, ())
    return Group(group.keep, tuple(copy for copy in group.others if copy.key in living))
