"""What counts as right: which gallery items are relevant to which query, without a queries x gallery matrix.

``ByGroup``  the items of the query's own group (a class, a product, a place).
``Listed``   a list of keys for every query (the captions of an image), and optionally junk: items that are neither
             right nor wrong and are removed before ranking (the Revisited Oxford/Paris protocol).

A query that is itself in the gallery is its own ``own`` item: never relevant, never counted, removed by identity.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Hits, Keys
from nearsight.core.errors import DatasetError, InputError
from nearsight.core.items import Benchmark, Item

NO_GROUP = -1
"""The group of an item without a label: relevant to nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class KeyLists:
    """A list of keys for each of q queries, end to end: row i is ``keys[starts[i]:starts[i + 1]]``.

    starts  (q + 1,) int64, rising from any value
    keys    (m,) int64
    """

    starts: NDArray[np.int64]
    keys: Keys

    @classmethod
    def of(cls, lists: Iterable[Iterable[int]]) -> KeyLists:
        """From one iterable of keys a query; repeated keys count once."""
        rows = [np.unique(np.fromiter(row, dtype=np.int64)) for row in lists]
        starts = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
        return cls(starts, np.concatenate(rows) if rows else np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> Keys:
        return self.keys[self.starts[row] : self.starts[row + 1]]

    def rows(self, part: slice) -> KeyLists:
        """Some of the queries; the keys are shared, not copied."""
        begin, end, _ = part.indices(len(self))
        return KeyLists(self.starts[begin : end + 1], self.keys)

    def lengths(self) -> NDArray[np.int64]:
        """(q,) keys in each list."""
        return np.diff(self.starts)

    def pairs(self) -> tuple[NDArray[np.int64], Keys]:
        """(m,) query rows and (m,) keys, side by side."""
        rows = np.repeat(np.arange(len(self), dtype=np.int64), self.lengths())
        return rows, self.keys[self.starts[0] : self.starts[-1]]

    def contains(self, keys: Keys) -> NDArray[np.bool_]:
        """(q, k) keys -> (q, k): whether each is in its own row's list."""
        found = np.zeros(keys.shape, dtype=np.bool_)
        lengths = self.lengths()
        if lengths.max(initial=0) == 1:  # own items: no loop needed
            some = lengths == 1
            found[some] = keys[some] == self.keys[self.starts[:-1][some], None]
            return found
        for row in np.flatnonzero(lengths):
            found[row] = np.isin(keys[row], self[int(row)])
        return found


class Relevance(ABC):
    """Which gallery items are relevant to each of q queries."""

    own: Keys
    """(q,) each query's own key in the gallery; -1 where the query is not an item of the gallery."""

    @abstractmethod
    def relevant(self, keys: Keys) -> NDArray[np.bool_]:
        """(q, k) found keys -> (q, k); False for -1, for unknown keys and for the query's own."""

    @property
    @abstractmethod
    def counts(self) -> NDArray[np.int64]:
        """(q,) R: relevant items in the gallery, the query's own excluded."""

    @property
    @abstractmethod
    def sizes(self) -> NDArray[np.int64]:
        """(q,) N: gallery items that are ranked, without the query's own and without junk."""

    @abstractmethod
    def removed(self) -> KeyLists:
        """What is taken out of each query's ranking before it is measured: its own item, and junk."""

    @abstractmethod
    def rows(self, part: slice) -> Self:
        """The same relevance for some of the queries (blocks)."""

    def classes(self) -> Sequence[str | None]:
        """(q,) each query's class, for tables by class; () where queries have none."""
        return ()

    def __len__(self) -> int:
        return len(self.own)

    def strip(self, hits: Hits) -> Hits:
        """`hits` (q, k) without what is to be removed, by identity; the freed places move to the end, empty."""
        gone = self.removed().contains(hits.keys) & (hits.keys != NO_KEY)
        if not gone.any():
            return hits
        order = np.argsort(gone, axis=1, kind="stable")
        return Hits(
            np.take_along_axis(np.where(gone, NO_KEY, hits.keys), order, axis=1),
            np.take_along_axis(np.where(gone, np.float32(-np.inf), hits.scores), order, axis=1),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Grouped:
    """A gallery's keys with their groups, and how to look a group up by key. Made by ``Grouped.of``."""

    keys: Keys  # (n,) rising
    groups: NDArray[np.int64]  # (n,) in the order of keys
    members: NDArray[np.int64]  # (g,) items of each group
    table: NDArray[np.int64]  # (top key + 1,) group by key, or empty where keys are too sparse for a table

    @classmethod
    def of(cls, keys: Keys, groups: NDArray[np.int64]) -> Grouped:
        """Raises DatasetError for a repeated or negative key."""
        keys, order = require_keys(keys)
        groups = groups[order].astype(np.int64)
        members = np.bincount(groups[groups != NO_GROUP])
        table = np.empty(0, dtype=np.int64)
        if keys.size and keys[-1] < 8 * keys.size + 1024:  # a gather is many times faster than a binary search
            table = np.full(int(keys[-1]) + 1, NO_GROUP, dtype=np.int64)
            table[keys] = groups
        return cls(keys, groups, members, table)

    def group_of(self, keys: Keys) -> NDArray[np.int64]:
        """Keys of any shape -> their groups; NO_GROUP for -1 and for keys that are not in the gallery."""
        if self.table.size:
            known = (keys >= 0) & (keys < self.table.size)
            return np.where(known, self.table[np.where(known, keys, 0)], NO_GROUP)
        if not self.keys.size:
            return np.full(keys.shape, NO_GROUP, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.groups[at], NO_GROUP)

    def count(self, groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """(q,) groups -> (q,) items of that group in the gallery."""
        known = (groups >= 0) & (groups < len(self.members))
        return np.where(known, np.append(self.members, 0)[np.where(known, groups, -1)], 0).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ByGroup(Relevance):
    """Relevant: the gallery items of the query's group.

    groups  (q,) int64, NO_GROUP for a query without one
    own     (q,) int64, -1 where the query is not in the gallery
    names   what the groups are called, by number; may be empty
    """

    groups: NDArray[np.int64]
    own: Keys
    gallery: Grouped
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_own(self.own, self.gallery.keys, len(self.groups))

    def relevant(self, keys: Keys) -> NDArray[np.bool_]:
        found = self.gallery.group_of(keys)
        right: NDArray[np.bool_] = (found == self.groups[:, None]) & (found != NO_GROUP) & (keys != self.own[:, None])
        return right

    @property
    def counts(self) -> NDArray[np.int64]:
        mine = (self.own != NO_KEY) & (self.groups != NO_GROUP) & (self.gallery.group_of(self.own) == self.groups)
        counts: NDArray[np.int64] = self.gallery.count(self.groups) - mine
        return counts

    @property
    def sizes(self) -> NDArray[np.int64]:
        sizes: NDArray[np.int64] = len(self.gallery.keys) - (self.own != NO_KEY).astype(np.int64)
        return sizes

    def removed(self) -> KeyLists:
        return _own_lists(self.own)

    def rows(self, part: slice) -> ByGroup:
        return ByGroup(self.groups[part], self.own[part], self.gallery, self.names)

    def classes(self) -> Sequence[str | None]:
        if not self.names:
            return ()
        return [self.names[group] if group != NO_GROUP else None for group in self.groups]


@dataclass(frozen=True, slots=True, eq=False)
class Listed(Relevance):
    """Relevant: the keys listed for the query. Made by ``Listed.of``, which holds the lists to the gallery."""

    lists: KeyLists
    junk: KeyLists
    own: Keys
    gallery: Keys  # (n,) rising

    @classmethod
    def of(
        cls,
        lists: Iterable[Iterable[int]],
        gallery: Keys,
        *,
        junk: Iterable[Iterable[int]] | None = None,
        own: Keys | None = None,
    ) -> Listed:
        """One list of relevant keys a query, gallery keys (n,), optional junk lists, optional own keys (q,).

        The query's own key is taken out of both lists. Raises DatasetError (code ``dataset/relevance``) for listed keys
        that are not in the gallery, and for a key that is both relevant and junk.
        """
        keys, _ = require_keys(gallery)
        rows = [set(row) for row in lists]
        own = np.full(len(rows), NO_KEY, dtype=np.int64) if own is None else own
        _require_own(own, keys, len(rows))
        waste = [set(row) for row in junk] if junk is not None else [set[int]() for _ in rows]
        if len(waste) != len(rows):
            raise DatasetError(f"{len(rows)} lists of relevant keys but {len(waste)} of junk", code="dataset/relevance")
        known = set(keys.tolist())
        for number, (right, neither, mine) in enumerate(zip(rows, waste, own.tolist(), strict=True)):
            right.discard(mine)
            neither.discard(mine)
            if right & neither:
                raise DatasetError(
                    f"query {number}: key {min(right & neither)} is both relevant and junk", code="dataset/relevance"
                )
            if not right | neither <= known:
                missing = min((right | neither) - known)
                raise DatasetError(f"query {number}: key {missing} is not in the gallery", code="dataset/relevance")
        return cls(KeyLists.of(rows), KeyLists.of(waste), own, keys)

    def relevant(self, keys: Keys) -> NDArray[np.bool_]:
        return self.lists.contains(keys)

    @property
    def counts(self) -> NDArray[np.int64]:
        return self.lists.lengths()

    @property
    def sizes(self) -> NDArray[np.int64]:
        sizes: NDArray[np.int64] = len(self.gallery) - (self.own != NO_KEY) - self.junk.lengths()
        return sizes

    def removed(self) -> KeyLists:
        mine = _own_lists(self.own)
        if not self.junk.lengths().any():
            return mine
        return KeyLists.of([*mine[row], *self.junk[row]] for row in range(len(self)))

    def rows(self, part: slice) -> Listed:
        return Listed(self.lists.rows(part), self.junk.rows(part), self.own[part], self.gallery)


def relevance_of(benchmark: Benchmark) -> ByGroup:
    """The rule of a benchmark: the same label, the query itself excluded where it is in the gallery.

    Items without a label are relevant to nothing. Raises DatasetError for repeated keys, and where
    ``queries_in_gallery`` is said and a query is not there.
    """
    labels = sorted({item.label for item in (*benchmark.queries, *benchmark.gallery) if item.label is not None})
    number = {label: at for at, label in enumerate(labels)}

    def groups(items: Sequence[Item]) -> NDArray[np.int64]:
        found = (NO_GROUP if item.label is None else number[item.label] for item in items)
        return np.fromiter(found, dtype=np.int64, count=len(items))

    gallery = Grouped.of(keys_of(benchmark.gallery), groups(benchmark.gallery))
    own = keys_of(benchmark.queries)
    if not benchmark.queries_in_gallery:
        own = np.full(len(own), NO_KEY, dtype=np.int64)
    return ByGroup(groups(benchmark.queries), own, gallery, tuple(labels))


def keys_of(items: Sequence[Item]) -> Keys:
    """(n,) the items' keys."""
    return np.fromiter((item.key for item in items), dtype=np.int64, count=len(items))


def require_keys(keys: Keys) -> tuple[Keys, NDArray[np.int64]]:
    """(n,) keys -> (rising keys, the order that sorts them). Raises DatasetError for repeated or negative keys."""
    order = np.argsort(keys, kind="stable")
    rising = np.ascontiguousarray(keys[order], dtype=np.int64)
    if rising.size and rising[0] < 0:
        raise DatasetError(f"key {rising[0]} is negative; keys are 0 or more", code="dataset/keys")
    twice = np.flatnonzero(rising[1:] == rising[:-1])
    if twice.size:
        raise DatasetError(f"key {rising[twice[0]]} stands twice in the gallery", code="dataset/keys")
    return rising, order


def _own_lists(own: Keys) -> KeyLists:
    return KeyLists(np.append(0, np.cumsum(own != NO_KEY)).astype(np.int64), own[own != NO_KEY])


def _require_own(own: Keys, gallery: Keys, queries: int) -> None:
    if own.shape != (queries,):
        raise InputError(f"expected an own key for each of {queries} queries, got {own.shape}", code="relevance/own")
    strangers = own[(own != NO_KEY) & ~np.isin(own, gallery)]
    if strangers.size:
        raise DatasetError(
            f"query {strangers[0]} is said to be in the gallery and is not",
            code="dataset/keys",
            hint="queries_in_gallery=False is for queries outside the gallery",
        )
