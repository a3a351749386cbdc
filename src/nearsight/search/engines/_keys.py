"""Which row holds which key: at most 24 bytes a row, growth included, where a dictionary takes over a hundred."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Keys
from nearsight.core.errors import EngineError

Positions = NDArray[np.int64]
"""(n,) row numbers in the order of arrival, never reused while the engine lives."""


class KeyMap:
    """Keys by position, positions by key, and which positions are alive.

    A replaced or removed row only dies: no index has to move anything. 8 bytes for the key, 8 for the order by key,
    1 for life, times a growth of at most 1.25.
    """

    def __init__(self) -> None:
        self._keys = _Growing(np.int64)
        self._alive = _Growing(np.bool_)
        self._order = _Growing(np.int64)  # for every key ever met, ascending: its latest position
        self.living = 0

    def __len__(self) -> int:
        """Positions, dead ones included."""
        return self._keys.size

    @property
    def dead(self) -> int:
        return len(self) - self.living

    @property
    def keys(self) -> Keys:
        """(positions,) the key of each position; a view."""
        return self._keys.array

    @property
    def alive(self) -> NDArray[np.bool_]:
        """(positions,) a view."""
        return self._alive.array

    def add(self, keys: Keys) -> None:
        """Give the next positions to `keys` (n,), checked before. Of a key that comes twice the last one lives."""
        if not len(keys):
            return
        start = len(self)
        distinct, back = np.unique(keys[::-1], return_index=True)
        positions = start + len(keys) - 1 - back
        slots, known = self._slots(distinct)
        was = self._order.array[slots[known]]
        self.living += len(distinct) - int(np.count_nonzero(self.alive[was]))
        self.alive[was] = False
        self._order.array[slots[known]] = positions[known]
        self._order.insert(slots[~known], positions[~known])
        self._keys.extend(keys)
        self._alive.extend(np.zeros(len(keys), bool))
        self.alive[positions] = True

    def remove(self, keys: Keys) -> int:
        """Kill the keys' rows; how many there were."""
        gone = self.positions(keys)
        self.alive[gone] = False
        self.living -= len(gone)
        return len(gone)

    def positions(self, keys: Keys) -> Positions:
        """Living positions of `keys`, ascending, each once; unknown keys are left out."""
        slots, known = self._slots(np.unique(np.asarray(keys, np.int64)))
        found = self._order.array[slots[known]]
        return np.sort(found[self.alive[found]])

    def _slots(self, distinct: Keys) -> tuple[Positions, NDArray[np.bool_]]:
        """Where each of the ascending keys stands (or would) in `_order`, and whether it does."""
        order = self._order.array
        slots = np.searchsorted(self.keys[order], distinct)
        known = slots < len(order)
        known[known] = self.keys[order[slots[known]]] == distinct[known]
        return slots, known


class _Growing:
    """A 1-d array with room at its end."""

    def __init__(self, dtype: Any) -> None:
        self._room: NDArray[Any] = np.empty(0, dtype)
        self.size = 0

    @property
    def array(self) -> NDArray[Any]:
        return self._room[: self.size]

    def extend(self, values: NDArray[Any]) -> None:
        size = self.size + len(values)
        if size > len(self._room):
            room = np.empty(max(size, len(self._room) * 5 // 4), self._room.dtype)
            room[: self.size] = self.array
            self._room = room
        self._room[self.size : size] = values
        self.size = size

    def insert(self, slots: Positions, values: NDArray[Any]) -> None:
        """`values` before the ascending `slots`. Keys mostly come in ascending order: then it only extends."""
        if not len(slots) or slots[0] == self.size:
            self.extend(values)
        else:
            self._room = np.insert(self.array, slots, values)
            self.size = len(self._room)


def require_rows(keys: Keys, vectors: NDArray[Any], dim: int) -> None:
    """Raises EngineError (code ``engine/rows``) for anything but (n,) int64 keys, none of them -1, with (n, dim)
    float32 or float16 rows. Values are not read: a memory map stays on disk."""
    problem = ""
    if keys.ndim != 1 or keys.dtype != np.int64:
        problem = f"keys must be (n,) int64, not {keys.shape} {keys.dtype}"
    elif vectors.shape != (len(keys), dim):
        problem = f"{len(keys)} keys need vectors of shape ({len(keys)}, {dim}), not {vectors.shape}"
    elif vectors.dtype not in (np.float32, np.float16):
        problem = f"vectors must be float32 or float16, not {vectors.dtype}"
    elif np.any(keys == NO_KEY):
        problem = f"{NO_KEY} is no key: it marks an empty place"
    if problem:
        raise EngineError(problem, code="engine/rows")


def require_queries(queries: NDArray[Any], k: int, dim: int) -> NDArray[np.float32]:
    """`queries` as contiguous float32 (q, dim). Raises EngineError (code ``engine/query``) for other shapes, values
    that are not finite, or k < 1."""
    if k < 1:
        raise EngineError(f"k must be at least 1, not {k}", code="engine/query")
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise EngineError(f"queries must be (q, {dim}), not {queries.shape}", code="engine/query")
    out = np.ascontiguousarray(queries, np.float32)
    if not np.isfinite(out).all():
        raise EngineError("a query is not finite", code="engine/query")
    return out
