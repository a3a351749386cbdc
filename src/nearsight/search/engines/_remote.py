"""An engine out of a table in a database: what it was told, what it owes, and whether it may be trusted.

Each row of the table is a key, a vector and the checksum of both. One more row, under the key that no item has, is the
seal: a number that `save` draws and writes last, and the first write takes away. A receipt names the seal, so that it
fits the table only while nobody has written since, and every row with its checksum. Where there is no fitting receipt
the rows themselves say what they are: writing begins with their list, and only differences travel.
"""

from __future__ import annotations

import json
import math
import secrets
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Hits, Keys, Scores, Vectors, ranked
from nearsight.core.errors import EngineAway, EngineError
from nearsight.search.engines._blocks import SLACK
from nearsight.search.engines._kernels import nothing
from nearsight.search.engines._keys import Growing, KeyMap, require_queries, require_rows
from nearsight.search.store.segments import row_sums

Sums = NDArray[np.int64]
"""(n,) checksums of rows; OPEN where a key came several times."""
ROWS = 1024
"""Rows told at once: a few megabytes, below what servers take in one message."""
OPEN = -1
_PUSHED = 20_000
"""Keys that are sent along with a query; of more than these the best are fetched and looked through here."""
_MAGIC = b"nearsight receipt 1\n"


class Table(Protocol):
    """Rows by key in a database. Every call raises EngineAway where the database cannot be reached, does not answer in
    time or fails; messages hold no secrets."""

    most: int
    """Rows that one query may ask for."""

    def settle(self, folder: Path | None, name: str) -> None:
        """Which table, and the folder for a database that is a file."""
        ...

    def make(self) -> None:
        """Make the table where it is not there."""
        ...

    def finish(self) -> None:
        """What is to be done when all is written: an index, where it is not there."""
        ...

    def write(self, keys: Keys, sums: Sums, vectors: Vectors) -> None:
        """Put up to ROWS rows, each key once, in the place of those with the same keys."""
        ...

    def erase(self, keys: Keys) -> None:
        """Remove up to ROWS keys; unknown ones are ignored."""
        ...

    def listing(self) -> tuple[Keys, Sums]:
        """Every row, in any order."""
        ...

    def state(self) -> tuple[int, int]:
        """How many rows there are, and the sum of the row with the key -1 (OPEN where it is missing)."""
        ...

    def nearest(self, queries: Vectors, k: int, among: Keys | None) -> tuple[Keys, Scores]:
        """(q, k) keys by falling inner product with their scores, or NO_KEY and -inf. `k` <= `most`."""
        ...

    def drop(self) -> None:
        """Remove the table; nothing where there is none."""
        ...

    def close(self) -> None:
        """Let go of connections. Harmless when repeated; the next call connects again."""
        ...


class Remote:
    """See `nearsight.search.engines.Elsewhere`."""

    exact = False  # the database adds up in its own order and breaks ties in its own way
    derived = True

    def __init__(self, address: str, dim: int, table: Table, *, oversample: float = 1.0) -> None:
        self.address = address
        self.dim = dim
        self.oversample = oversample
        self._table = table
        self._name = ""
        self._own = False
        self._keys = KeyMap()  # what is found
        self._held = _Held()  # what the table holds
        self._writing = False

    def __len__(self) -> int:
        return self._keys.living

    @property
    def owes(self) -> bool:
        return self._writing or self._held.count != len(self)

    def settle(self, folder: Path, name: str) -> None:
        self._name = name
        self._table.settle(folder, name)

    # telling

    def add(self, keys: Keys, vectors: NDArray[Any]) -> None:
        require_rows(keys, vectors, self.dim)
        if not len(keys):
            return
        rows = np.ascontiguousarray(vectors, np.float32)
        if not np.isfinite(rows).all():
            raise EngineError("a vector is not finite", code="engine/rows")
        _, last = np.unique(keys[::-1], return_index=True)  # of a key that comes twice the last row lives
        at = np.sort(len(keys) - 1 - last)
        keys, rows = keys[at], rows[at]
        sums = np.array(row_sums(keys, rows), np.int64)
        self._open()
        news = np.flatnonzero(self._held.sums(keys) != sums)
        for i in range(0, len(news), ROWS):
            part = news[i : i + ROWS]
            self._table.write(keys[part], sums[part], rows[part])
            self._held.put(keys[part], sums[part])
        self._keys.add(keys)

    def remove(self, keys: Keys) -> int:
        return self._keys.remove(keys)

    def _open(self) -> None:
        """Take the seal away before the first write; without a receipt, look at what the table holds."""
        if self._writing:
            return
        self._require_name()
        self._table.make()
        self._seal(OPEN)
        if not self._held.count:
            self._held = _Held(*_once(*self._table.listing()))
        self._writing = True

    def _seal(self, number: int) -> None:
        self._table.write(np.array([NO_KEY]), np.array([number]), np.eye(1, self.dim, dtype=np.float32))

    def save(self, path: Path) -> None:
        """Pay what is owed, seal the table, and write the receipt. Raises EngineAway (code ``engine/count``) where the
        table holds other rows than it was told."""
        self._open()
        gone = np.setdiff1d(self._held.keys, self._keys.keys[self._keys.alive], assume_unique=True)
        for i in range(0, len(gone), ROWS):
            self._table.erase(gone[i : i + ROWS])
            self._held.drop(gone[i : i + ROWS])
        self._table.finish()
        _require_count(self._table.state()[0], self._held.count)
        seal = secrets.randbits(62)
        self._seal(seal)
        keys = self._held.keys
        head = {"address": self.address, "dim": self.dim, "table": self._name, "seal": seal, "rows": len(keys)}
        with open(path, "wb") as file:
            file.write(_MAGIC + json.dumps(head).encode() + b"\n")
            file.write(keys.data)
            file.write(self._held.sums(keys).data)
        self._writing = False

    def load(self, path: Path) -> None:
        """Take a receipt. Raises EngineError (code ``engine/file``) where it is none, or of another table; EngineAway
        (code ``engine/count``) where somebody has written since, or the number of rows differs."""
        try:
            head, keys, sums = _read(path.read_bytes())
            if (head["address"], head["dim"]) != (self.address, self.dim):
                raise ValueError(f"it is of {head['address']}, dimension {head['dim']}")
            if not isinstance(head["table"], str) or (self._name and head["table"] != self._name):
                raise ValueError("it is of another table")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            hint = "build the engine again from the vectors"
            raise EngineError(
                f"{path} is no receipt of {self.address}: {error}", code="engine/file", hint=hint
            ) from None
        self._require_name()
        rows, seal = self._table.state()
        if seal != head["seal"]:
            raise _other("it is being written to, or was by somebody else")
        _require_count(rows, len(keys))
        self._keys, self._held, self._writing = KeyMap(), _Held(keys, sums), False
        self._keys.add(keys)

    def _require_name(self) -> None:
        if not self._name:
            self._own, self._name = True, f"nearsight_{secrets.token_hex(8)}"
            self._table.settle(None, self._name)

    # searching

    def search(self, queries: NDArray[Any], k: int, *, among: Keys | None = None) -> Hits:
        queries = require_queries(queries, k, self.dim)
        allowed = None if among is None else self._keys.keys[self._keys.positions(among)]
        count = len(self) if allowed is None else len(allowed)
        wanted = min(k, count)
        if not wanted or not len(queries):
            return Hits(*nothing(len(queries), k)[::-1])
        keys, scores = nothing(len(queries), 0)[::-1]
        share = count / (self._held.count + 1)
        fetch = min(wanted + SLACK if share > 0.99 else math.ceil((wanted + SLACK) / share), self._held.count + 1)
        short = np.arange(len(queries))
        if count > _PUSHED or (allowed is None and share > 0.1):
            keys, scores = self._fetch(queries, min(fetch, self._table.most), None, allowed)
            short = np.flatnonzero(np.count_nonzero(keys != NO_KEY, axis=1) < wanted)
        if len(short):  # the database looks among these keys only
            if wanted > self._table.most:
                raise EngineAway(
                    f"{self.address} gives {self._table.most:,} at once, not {wanted:,}", hint="ask for less"
                )
            only = self._keys.keys[self._keys.alive] if allowed is None else allowed
            found = self._fetch(queries[short], min(wanted + SLACK, count, self._table.most), only, allowed)
            if (np.count_nonzero(found[0] != NO_KEY, axis=1) < wanted).any():
                what = f"{self.address} found fewer than the {wanted:,} of {count:,} rows that it holds"
                raise EngineAway(what, code="engine/partial")
            width = max(keys.shape[1], found[0].shape[1])
            keys, scores = _wide(keys, width, NO_KEY), _wide(scores, width, -np.inf)
            keys[short], scores[short] = _wide(found[0], width, NO_KEY), _wide(found[1], width, -np.inf)
        return ranked(keys, scores, wanted).first(k)

    def _fetch(self, queries: Vectors, k: int, pushed: Keys | None, allowed: Keys | None) -> tuple[Keys, Scores]:
        """(q, k) keys and scores; what is hidden here is an empty place."""
        keys, scores = self._table.nearest(queries, k, pushed)
        order = np.argsort(keys, axis=1, kind="stable")  # a database that holds a row twice finds it twice
        ascending = np.take_along_axis(keys, order, axis=1)
        twice = np.zeros(keys.shape, bool)
        np.put_along_axis(twice, order[:, 1:], ascending[:, 1:] == ascending[:, :-1], axis=1)
        distinct = np.unique(keys)
        known = self._keys.keys[self._keys.positions(distinct)]
        hidden = twice | ~np.isin(keys, known if allowed is None else np.intersect1d(known, allowed))
        return np.where(hidden, NO_KEY, keys), np.where(hidden, np.float32(-np.inf), scores)

    # leaving

    def close(self) -> None:
        if self._own:
            self._own = False
            self._table.drop()
        self._table.close()

    def drop(self) -> None:
        self._require_name()
        self._table.drop()
        self._keys, self._held, self._writing = KeyMap(), _Held(), False


class _Held:
    """Keys and sums of what a table holds."""

    def __init__(self, keys: Keys | None = None, sums: Sums | None = None) -> None:
        self._map = KeyMap()
        self._sums = Growing(np.int64)  # by position
        if keys is not None and sums is not None:
            self.put(keys, sums)

    @property
    def count(self) -> int:
        return self._map.living

    @property
    def keys(self) -> Keys:
        return self._map.keys[self._map.alive]

    def put(self, keys: Keys, sums: Sums) -> None:
        self._map.add(keys)
        self._sums.extend(sums)

    def drop(self, keys: Keys) -> None:
        self._map.remove(keys)

    def sums(self, keys: Keys) -> Sums:
        """(n,) distinct keys -> their sums; OPEN for those that are not held."""
        at = self._map.positions(keys)
        held = self._map.keys[at]
        by_key = np.argsort(held)
        where = np.searchsorted(held, keys, sorter=by_key)
        out = np.full(len(keys), OPEN, np.int64)
        there = np.flatnonzero(where < len(held))
        there = there[held[by_key[where[there]]] == keys[there]]
        out[there] = self._sums.array[at[by_key[where[there]]]]
        return out


def _once(keys: Keys, sums: Sums) -> tuple[Keys, Sums]:
    """A listing without the seal, by rising key; what is there several times is OPEN, and so is written again."""
    keys, first, count = np.unique(keys, return_index=True, return_counts=True)
    sums = np.where(count > 1, OPEN, sums[first])
    return keys[keys != NO_KEY], sums[keys != NO_KEY]


def _read(content: bytes) -> tuple[dict[str, Any], Keys, Sums]:
    if not content.startswith(_MAGIC):
        raise ValueError("another kind of file")
    line = content.find(b"\n", len(_MAGIC))
    head = json.loads(content[len(_MAGIC) : max(line, 0)])
    body, rows = memoryview(content)[line + 1 :], int(head["rows"])
    if rows < 0 or len(body) != rows * 16:
        raise ValueError("its length does not fit")
    keys, sums = np.frombuffer(body[: rows * 8], np.int64), np.frombuffer(body[rows * 8 :], np.int64)
    if len(np.unique(keys)) != rows or NO_KEY in keys:
        raise ValueError("its keys do not fit")
    return head, keys, sums


def _require_count(rows: int, told: int) -> None:
    if rows != told + 1:  # and the seal
        raise _other(f"it holds {rows - 1:,} rows and was told {told:,}")


def _wide(array: NDArray[Any], width: int, empty: float) -> NDArray[Any]:
    return np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=empty)


def _other(what: str) -> EngineAway:
    hint = "the next sync compares it row by row and tells it what it lacks"
    return EngineAway(f"the engine's table is not as it was left: {what}", code="engine/count", hint=hint)
