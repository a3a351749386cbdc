"""Before another generation answers, it is brought to say of every item what the one that answers says."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from nearsight.search.store.catalogue import COLUMNS, Catalogue, item_sum, pack_json
from nearsight.search.store.generations import TURN, turn_of
from nearsight.search.store.store import Store

LEARNED = "learned"
"""Under this name a collection remembers what its encoder learned from its own pictures: of one generation alone."""
_LEFT = "left"
"""Under this name a catalogue knows the keys that the generation before it has and it has not."""
_NOTES = f"name LIKE 'note/%' AND name != 'note/{LEARNED}'"
_NO_VECTOR = "picture/no-vector"
"""What could not be used because of its encoder may be used with another."""
_PAGE = 2000
_AT = {name: at for at, name in enumerate(COLUMNS.split(", "))}
_TOLD = [name for name in _AT if name not in ("key", "sha256", "segment", "row", "crc")]
"""What may differ: an item whose content differs is encoded again before."""
_PLACE = slice(_AT["segment"], _AT["crc"] + 1)


def take_over(source: Store, target: Store, left: Collection[int]) -> None:
    """Let `target` know the items, roots, notes and keys of `source` (which answers, and whose lock the caller has), in
    one transaction. Its vectors stay, and of an item it must have the vector already, but for those `left` behind.

    What `source` left behind when it came to answer stays in `target`, unless another picture has its place by now.
    Raises WriteFailed, Damaged; then nothing has changed.
    """
    with source.reading() as old, old.view(), target.changing() as new:
        before = set(json.loads(old.one("SELECT value FROM meta WHERE name=?", _LEFT) or "[]"))
        for keys in _pages(new, "SELECT key FROM item WHERE key>? ORDER BY key LIMIT ?"):
            between = keys[0][0], keys[-1][0]
            stay = before | {key for (key,) in old.all("SELECT key FROM item WHERE key BETWEEN ? AND ?", *between)}
            target.bury(new, [key for (key,) in keys if key in left or key not in stay])
        stays = [row for key in before for row in new.all(f"SELECT {COLUMNS} FROM item WHERE key=?", key)]
        new.db.execute("UPDATE item SET root=NULL")  # so that no path stands in the way of another on the way
        for table, where in (("root", ""), ("skipped", f"WHERE code != '{_NO_VECTOR}'")):
            rows = old.all(f"SELECT * FROM {table} {where}")
            new.db.execute(f"DELETE FROM {table}")
            if rows:
                new.db.executemany(f"INSERT INTO {table} VALUES({', '.join('?' * len(rows[0]))})", rows)
        for rows in _pages(old, f"SELECT {COLUMNS} FROM item WHERE key>? ORDER BY key LIMIT ?"):
            first, last = rows[0][0], rows[-1][0]
            places = {
                key: place
                for key, *place in new.all(
                    "SELECT key, segment, row, crc FROM item WHERE key BETWEEN ? AND ?", first, last
                )
            }
            _rewrite(
                new, [(*row[: _PLACE.start], *places[row[0]], *row[_PLACE.stop :]) for row in rows if row[0] in places]
            )
        for row in stays:
            if new.one("SELECT 1 FROM item WHERE root IS ? AND path=?", row[_AT["root"]], row[_AT["path"]]):
                target.bury(new, [row[0]])
            else:
                _rewrite(new, [row])
        _tell(old, new, left)


def _rewrite(catalogue: Catalogue, rows: list[tuple[Any, ...]]) -> None:
    """Items as these rows (in the order of COLUMNS) have them, with their checksums."""
    assignments = ", ".join(f"{name}=?" for name in _TOLD)
    changes = [(*(row[_AT[name]] for name in _TOLD), item_sum(row), row[0]) for row in rows]
    catalogue.db.executemany(f"UPDATE item SET {assignments}, sum=? WHERE key=?", changes)


def _tell(old: Catalogue, new: Catalogue, left: Collection[int]) -> None:
    """Notes, the last key and the generation's number: neither of both ever falls."""
    facts = old.all(f"SELECT name, value FROM meta WHERE {_NOTES}")
    facts += [(TURN, str(turn_of(old) + 1)), (_LEFT, pack_json(sorted(left)))]
    new.db.execute(f"DELETE FROM meta WHERE {_NOTES}")
    new.db.executemany("INSERT OR REPLACE INTO meta VALUES(?, ?)", facts)
    last = max(old.last_key, new.last_key)
    new.db.execute("DELETE FROM sqlite_sequence WHERE name='item'")
    new.db.execute("INSERT INTO sqlite_sequence VALUES('item', ?)", (last,))
    new.db.execute(f"PRAGMA user_version={max(old.generation, new.generation)}")


def _pages(catalogue: Catalogue, sql: str) -> Iterator[list[tuple[Any, ...]]]:
    """Rows that begin with their key, by rising key, some at a time."""
    last = -1
    while rows := catalogue.all(sql, last, _PAGE):
        yield rows
        last = rows[-1][0]
