"""Which row holds which key: 17 to 21 bytes a row with room to grow, where a dictionary takes over a hundred."""

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
    1 for life.
    """

    def __init__(self) -> None:
        self._keys = Growing(np.int64)
        self._alive = Growing(np.bool_)
        self._order = Growing(np.int64)  # positions by key, then by arrival: only the last one of a key can be alive
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
        if self._all_new(keys):
            self._order.extend(np.arange(len(self), len(self) + len(keys)))
            self._keys.extend(keys)
            self._alive.extend(np.ones(len(keys), bool))
            self.living += len(keys)
            return
        start, by_key = len(self), np.argsort(keys, kind="stable")
        ascending = keys[by_key]
        was = self.positions(keys)
        self.alive[was] = False
        self._order.insert(np.searchsorted(self.keys, ascending, "right", self._order.array), start + by_key)
        self._keys.extend(keys)
        self._alive.extend(np.zeros(len(keys), bool))
        last = start + by_key[np.append(ascending[1:] != ascending[:-1], True)]
        self.alive[last] = True
        self.living += len(last) - len(was)

    def _all_new(self, keys: Keys) -> bool:
        """Rising, and beyond every key so far: how a store's rows come, a million at a time; nothing to look up."""
        latest = self._order.array[-1:]
        return bool(np.all(keys[1:] > keys[:-1])) and not np.any(self.keys[latest] >= keys[0])

    def remove(self, keys: Keys) -> int:
        """Kill the keys' rows; how many there were."""
        gone = self.positions(keys)
        self.alive[gone] = False
        self.living -= len(gone)
        return len(gone)

    def positions(self, keys: Keys) -> Positions:
        """Living positions of `keys`, ascending, each once; unknown keys are left out."""
        distinct = np.unique(np.asarray(keys, np.int64))
        behind = np.searchsorted(self.keys, distinct, "right", self._order.array)
        last = self._order.array[behind[behind > 0] - 1]
        return np.sort(last[self.alive[last] & (self.keys[last] == distinct[behind > 0])])


class Growing:
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
