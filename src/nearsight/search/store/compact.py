"""Give dead rows' space back: living rows move to new segments, one commit, then the old files go."""

from __future__ import annotations

import re

import numpy as np

from nearsight.core.errors import Damaged, Locked
from nearsight.search.store import disk
from nearsight.search.store.catalogue import COLUMNS, item_sum
from nearsight.search.store.segments import Segment, row_sums
from nearsight.search.store.store import Store

_CHUNK = 8192
SEGMENT_FILE = re.compile(r"^(\d{6})\.(vec|key)$")


def compact(store: Store, *, also: frozenset[int] = frozenset()) -> int:
    """Rewrite every segment with dead rows (and those in `also`); returns how many dead rows are gone.

    All or nothing. Each moved row is compared with its checksum first: damage is never copied under a new one.
    """
    snapshot = store.snapshot()
    dirty = [
        part
        for part in snapshot.parts
        if part.number in also or not snapshot.alive[part.start : part.start + len(part.keys)].all()
    ]
    if not dirty:
        sweep(store)
        return 0
    freed = 0
    with store.changing() as catalogue:
        if catalogue.generation != snapshot.generation:  # only where somebody removed the lock of a living writer
            raise Locked(f"another process is writing to {store.folder}; nothing was compacted")
        # A fresh segment first: its number stays the highest, so that no number is ever used twice.
        number = catalogue.one("SELECT max(id) FROM segment") + 1
        Segment(store.folder / "segments", number, store.shape).create()
        catalogue.db.execute("INSERT INTO segment VALUES(?, 0)", (number,))
        place_at, sum_at = COLUMNS.split(", ").index("segment"), COLUMNS.split(", ").index("crc")
        for part in dirty:
            living = np.flatnonzero(snapshot.alive[part.start : part.start + len(part.keys)])
            freed += len(part.keys) - living.size
            for start in range(0, living.size, _CHUNK):
                rows = living[start : start + _CHUNK]
                keys, vectors = part.keys[rows], np.ascontiguousarray(part.rows[rows])
                found = {
                    row[0]: row
                    for row in catalogue.all(
                        f"SELECT {COLUMNS} FROM item WHERE segment=? AND row>=? AND row<=?",
                        part.number,
                        int(rows[0]),
                        int(rows[-1]),
                    )
                }
                places = store.place(catalogue, keys, vectors)
                moved = []
                for key, crc, place in zip(keys.tolist(), row_sums(keys, vectors), places, strict=True):
                    old = found[key]
                    if old[sum_at] != crc:
                        raise Damaged(f"the vector of item {key} is damaged; nothing was compacted")
                    new = (*old[:place_at], *place, *old[place_at + 2 :])
                    moved.append((*place, item_sum(new), key))
                catalogue.db.executemany("UPDATE item SET segment=?, row=?, sum=? WHERE key=?", moved)
            for table, column in (("dead", "segment"), ("block", "segment"), ("segment", "id")):
                catalogue.db.execute(f"DELETE FROM {table} WHERE {column}=?", (part.number,))
        catalogue.db.execute(
            "INSERT INTO meta VALUES('epoch', '1') ON CONFLICT(name) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
        )
    sweep(store)
    return freed


def sweep(store: Store) -> list[str]:
    """Unlink segment files that the catalogue does not know: left by a crash, or by a compaction. Their names."""
    known = {row[0] for row in store.catalogue.all("SELECT id FROM segment")}
    gone = []
    for path in sorted((store.folder / "segments").iterdir()):
        match = SEGMENT_FILE.match(path.name)
        if match and int(match[1]) not in known and disk.remove(path):
            gone.append(path.name)
    return gone
