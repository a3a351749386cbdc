"""Items as the catalogue has them: by key, page by page, and what they can be filtered by."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearsight.core.arrays import Keys
from nearsight.core.errors import QueryError
from nearsight.core.items import Item, Value
from nearsight.search.filters import COLUMNS, Filter, path_of
from nearsight.search.store.catalogue import Catalogue
from nearsight.search.store.store import Store

_ITEM = (
    "item.key, root.path, item.path, item.label, item.captions, item.fields FROM item LEFT JOIN root ON root.id=root"
)
ORDERS = {"key": "item.key", "-key": "item.key DESC", "label": "item.label IS NULL, item.label, item.key"}
"""Order of a page -> SQL; items without a label come last."""
_SOME = 500
"""Keys in one statement."""
_REMEMBERED = 4_000_000
"""Keys that are kept of the filters that were asked for last, 8 bytes each."""
_FIELDS = 200
"""Fields of a collection that `facets` tells of."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the items that meet a filter: how many do, and the generation in which all this is so."""

    items: tuple[Item, ...]
    total: int
    generation: int


@dataclass(frozen=True, slots=True)
class Facet:
    """A field that items have: the most frequent of its values with their counts, or its range where all are numbers.

    more  there are values that are not in `values`
    """

    name: str
    kind: str
    values: tuple[tuple[Value, int], ...] = ()
    more: bool = False
    least: float | None = None
    most: float | None = None


def by_key(store: Store, keys: Sequence[int]) -> Iterator[Item]:
    """Items in the order of `keys`, unknown ones left out."""
    for start in range(0, len(keys), _SOME):
        some = [int(key) for key in keys[start : start + _SOME]]
        with store.reading() as catalogue:
            found = _found(store, catalogue, some)
        yield from (found[key] for key in some if key in found)


def at_once(store: Store, keys: Sequence[int]) -> tuple[dict[int, Item], int]:
    """Key -> item, and the one generation that all of them are from; unknown keys are left out."""
    found: dict[int, Item] = {}
    with store.reading() as catalogue, catalogue.view():
        generation = catalogue.generation
        for start in range(0, len(keys), _SOME):
            found |= _found(store, catalogue, list(keys[start : start + _SOME]))
    return found, generation


def page(store: Store, where: Filter, *, offset: int = 0, limit: int = 100, order: str = "key") -> Page:
    """Items that meet a filter, `limit` of them from `offset` on, in one of ORDERS. Raises QueryError."""
    if order not in ORDERS:
        raise QueryError(f"items are ordered by {', '.join(ORDERS)}, not {order}", code="query/order")
    clause, values = where.sql()
    with store.reading() as catalogue, catalogue.view():
        total = int(catalogue.one(f"SELECT count(*) FROM item WHERE {clause}", *values))
        keys = catalogue.all(
            f"SELECT key FROM item WHERE {clause} ORDER BY {ORDERS[order]} LIMIT ? OFFSET ?", *values, limit, offset
        )
        generation = catalogue.generation
        found: dict[int, Item] = {}
        for start in range(0, len(keys), _SOME):
            found |= _found(store, catalogue, [key for (key,) in keys[start : start + _SOME]])
    return Page(tuple(found[key] for (key,) in keys), total, generation)


def facets(store: Store, most: int = 50) -> list[Facet]:
    """What can be filtered by: the label where items have one, then the collection's own fields by name."""
    with store.reading() as catalogue, catalogue.view():
        labels = catalogue.all(
            "SELECT label, count(*) FROM item WHERE label IS NOT NULL GROUP BY label ORDER BY 2 DESC, 1 LIMIT ?",
            most + 1,
        )
        found = [Facet("label", "text", tuple(labels[:most]), len(labels) > most)] if labels else []
        fields = catalogue.all(
            "SELECT j.key, count(*) = sum(j.type IN ('integer', 'real')), min(j.value), max(j.value)"
            " FROM item, json_each(item.fields) AS j GROUP BY j.key ORDER BY j.key LIMIT ?",
            _FIELDS,
        )
        for name, numbers, least, greatest in fields:
            if numbers:
                found.append(Facet(name, "number", least=least, most=greatest))
                continue
            if '"' in name:
                continue  # there is no filter by it
            values = catalogue.all(
                "SELECT json_extract(fields, ?1), json_type(fields, ?1), count(*) FROM item"
                " WHERE json_type(fields, ?1) IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC, 1 LIMIT ?2",
                path_of(name),
                most + 1,
            )
            told = tuple((bool(v) if kind in ("true", "false") else v, count) for v, kind, count in values[:most])
            found.append(Facet(name, "text", told, len(values) > most))
    return found


def hashes(store: Store, keys: Sequence[int]) -> dict[int, bytes]:
    """Key -> sha256 of the picture, of those items that came with one."""
    found: dict[int, bytes] = {}
    for start in range(0, len(keys), _SOME):
        some = keys[start : start + _SOME]
        with store.reading() as catalogue:
            rows = catalogue.all(
                f"SELECT key, sha256 FROM item WHERE sha256 IS NOT NULL AND key IN ({','.join('?' * len(some))})", *some
            )
        found |= {key: bytes(sha256) for key, sha256 in rows}
    return found


def _found(store: Store, catalogue: Catalogue, keys: list[int]) -> dict[int, Item]:
    rows = catalogue.all(f"SELECT {_ITEM} WHERE item.key IN ({','.join('?' * len(keys))})", *keys)
    return {row[0]: _item(store.home, row) for row in rows}


def _item(folder: Path, row: tuple[Any, ...]) -> Item:
    """A root that is no absolute path lies in the collection's own folder."""
    key, root, path, label, captions, fields = row
    relative = Path(os.fsdecode(bytes(path)))
    whole = folder / os.fsdecode(bytes(root)) / relative if root is not None else relative
    return Item(key, whole, label, None, tuple(json.loads(captions)), json.loads(fields))


def labels(store: Store) -> dict[str | None, int]:
    """Label -> how many items have it, sorted; None for those without."""
    with store.reading() as catalogue:
        return dict(catalogue.all("SELECT label, count(*) FROM item GROUP BY label ORDER BY label"))


def twins(store: Store, sha256: bytes) -> list[int]:
    """Keys of the items whose pictures have that hash, rising."""
    with store.reading() as catalogue:
        return [key for (key,) in catalogue.all("SELECT key FROM item WHERE sha256=? ORDER BY key", sha256)]


def roots(store: Store) -> list[Path]:
    """The folders that were synced into this collection."""
    with store.reading() as catalogue:
        paths = [Path(os.fsdecode(row[0])) for row in catalogue.all("SELECT path FROM root ORDER BY id")]
    return [path for path in paths if path.is_absolute()]  # the others lie in the collection itself


def fields(store: Store) -> list[str]:
    """What can be filtered by in this collection."""
    with store.reading() as catalogue:
        own = catalogue.all("SELECT DISTINCT j.key FROM item, json_each(item.fields) AS j")
    return [*COLUMNS, *sorted(row[0] for row in own)]


class Admitted:
    """Which items a filter admits, remembered while nothing is committed: a field of one's own stands in JSON, which
    takes a second for a million items."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._generation = -1
        self._known: dict[tuple[str, str], Keys] = {}

    def __call__(self, where: Filter) -> tuple[Keys, int]:
        """Keys (n,) of the items that meet a filter, sorted, not to be changed, and the generation in which they do.
        Raises QueryError for a field that no item has."""
        clause, values = where.sql()
        asked = clause, repr(values)
        with self._store.reading() as catalogue, catalogue.view():
            if catalogue.generation != self._generation:
                self._known.clear()
            self._generation = catalogue.generation
            keys = self._known.pop(asked, None)
            if keys is None:
                rows = catalogue.all(f"SELECT key FROM item WHERE {clause} ORDER BY key", *values)
                if where.conditions and (not rows or where.nested):  # an alternative may hide a field that is misspelt
                    require_fields(self._store, where)
                keys = np.array([row[0] for row in rows], dtype=np.int64)
                keys.flags.writeable = False
            self._known[asked] = keys  # the one that was asked for the longest ago stands first
            while len(self._known) > 1 and sum(map(len, self._known.values())) > _REMEMBERED:
                del self._known[next(iter(self._known))]
            return keys, self._generation


def require_fields(store: Store, where: Filter) -> None:
    """Raises QueryError (code ``query/field``) for a field of a filter that no item has."""
    with store.reading() as catalogue:
        for field in sorted({field for field, _, _ in where.leaves()} - COLUMNS.keys()):
            if not catalogue.all("SELECT 1 FROM item WHERE json_type(fields, ?) IS NOT NULL LIMIT 1", path_of(field)):
                hint = f"there are: {', '.join(sorted(fields(store)))}"
                raise QueryError(f"no item has a field '{field}'", code="query/field", hint=hint)
