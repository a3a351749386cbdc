"""One generation of a collection as a reader sees it: mapped vectors, their keys, which of them live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Keys, Vectors
from nearsight.core.errors import Damaged
from nearsight.search.store.catalogue import Catalogue
from nearsight.search.store.segments import BLOCK, Mapped, Segment, Shape, checksum, row_sums


@dataclass(frozen=True, slots=True)
class Part:
    """The committed rows of one segment: where they start among all rows, their keys and their mapped vectors."""

    number: int
    start: int
    keys: Keys
    mapped: Mapped

    @property
    def rows(self) -> NDArray[np.floating]:
        """(n, dim) as stored."""
        return self.mapped.rows


@dataclass(frozen=True)
class Snapshot:
    """Immutable; segments only grow and are never changed, so it stays valid while the writer goes on."""

    generation: int
    epoch: int
    """Rises when compaction moves rows; between equal epochs, rows are only appended."""
    parts: tuple[Part, ...]
    alive: NDArray[np.bool_]
    """(n,) which of all committed rows are current."""
    blocks: Mapping[tuple[int, int], tuple[int, int, int]] = field(repr=False)
    """(segment, block) -> rows, checksum of the vectors, checksum of the keys."""

    @classmethod
    def take(cls, folder: Path, catalogue: Catalogue, shape: Shape, *, trusted: bool = False) -> Snapshot:
        """Read one generation. Raises Damaged, and FileNotFoundError where a compaction just removed a segment.

        `trusted` leaves out the catalogue's checksum: for the writer, looking at what it wrote itself.
        """
        with catalogue.view():
            if not trusted:
                catalogue.verify()
            generation = catalogue.generation
            epoch = int(catalogue.one("SELECT value FROM meta WHERE name='epoch'") or 0)
            segments = catalogue.all("SELECT id, rows FROM segment ORDER BY id")
            dead = catalogue.all("SELECT segment, row FROM dead")
            blocks = {(s, b): (n, v, k) for s, b, n, v, k in catalogue.all("SELECT * FROM block")}
            parts, start, starts = [], 0, {}
            for number, rows in segments:
                if rows:
                    segment = Segment(folder / "segments", number, shape)
                    keys = segment.keys(rows)
                    _verify_keys(segment, keys, blocks, catalogue)
                    parts.append(Part(number, start, keys, segment.map(rows)))
                starts[number] = start
                start += rows
        alive = np.ones(start, dtype=np.bool_)
        if dead:
            where = np.array([starts[s] + r for s, r in dead], dtype=np.int64)
            alive[where] = False
        return cls(generation, epoch, tuple(parts), alive, blocks)

    def __len__(self) -> int:
        return self._living

    @cached_property
    def _living(self) -> int:
        return int(self.alive.sum())

    @cached_property
    def keys(self) -> Keys:
        """(n,) the key of every committed row, dead ones too."""
        return np.concatenate([p.keys for p in self.parts]) if self.parts else np.empty(0, dtype=np.int64)

    @cached_property
    def _order(self) -> tuple[Keys, NDArray[np.int64]]:
        """Living keys, sorted, and their rows."""
        rows = np.flatnonzero(self.alive)
        keys = self.keys[rows]
        if keys.size and bool(np.any(np.diff(keys) <= 0)):
            order = np.argsort(keys, kind="stable")
            keys, rows = keys[order], rows[order]
        return keys, rows

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.array([p.start for p in self.parts], dtype=np.int64)

    def living(self) -> Keys:
        """All living keys, sorted."""
        return self._order[0]

    def rows_of(self, keys: Keys) -> NDArray[np.int64]:
        """Row of each key among all rows, any shape; -1 where the key does not live."""
        known, rows = self._order
        if not known.size:
            return np.full(keys.shape, -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(known, keys), known.size - 1)
        return np.where(known[at] == keys, rows[at], -1)  # no item has NO_KEY

    def vectors(self, rows: NDArray[np.int64]) -> Vectors:
        """Copies of the vectors at `rows` (m,): (m, d) float32."""
        if len(self.parts) == 1:
            return np.asarray(self.parts[0].rows[rows], np.float32)
        dim = self.parts[0].rows.shape[1] if self.parts else 0
        out = np.empty((rows.size, dim), dtype=np.float32)
        which = np.searchsorted(self._starts, rows, side="right") - 1
        for index in np.unique(which):
            mine = which == index
            part = self.parts[index]
            out[mine] = part.rows[rows[mine] - part.start]
        return out

    def damaged_blocks(self, checked: set[tuple[int, int, int, int]]) -> list[tuple[Part, int]]:
        """The blocks whose vectors are not as written: (part, block). `checked` remembers the good ones.

        Two threads, because one core's CRC-32C is slower than memory; crc32c releases the GIL for large blocks.
        """
        todo = []
        for part in self.parts:
            for block in range(-(-len(part.keys) // BLOCK)):
                rows, vec, _ = self.blocks.get((part.number, block), (-1, -1, -1))
                mark = (part.number, block, rows, vec)
                if mark not in checked:
                    todo.append((part, block, mark))

        def good(job: tuple[Part, int, tuple[int, int, int, int]]) -> bool:
            part, block, (_, _, rows, vec) = job
            part.mapped.touch(block * BLOCK, (block + 1) * BLOCK)
            there = part.rows[block * BLOCK : (block + 1) * BLOCK]
            return len(there) == rows and checksum(there) == vec

        if len(todo) < 8:
            results = [good(job) for job in todo]
        else:
            with ThreadPoolExecutor(2) as pool:
                results = list(pool.map(good, todo))
        checked.update(mark for (_, _, mark), fine in zip(todo, results, strict=True) if fine)
        return [(part, block) for (part, block, _), fine in zip(todo, results, strict=True) if not fine]

    def damaged_rows(self, part: Part, block: int, catalogue: Catalogue) -> Iterator[tuple[int, int]]:
        """(key, row in its segment) of each living row of a block whose bytes are not those of its item's CRC."""
        first, last = block * BLOCK, min((block + 1) * BLOCK, len(part.keys))
        stored = catalogue.all(
            "SELECT row, key, crc FROM item WHERE segment=? AND row>=? AND row<? ORDER BY row", part.number, first, last
        )
        if stored:
            rows = np.array([r for r, _, _ in stored])
            keys = np.array([k for _, k, _ in stored], dtype=np.int64)
            sums = row_sums(keys, np.asarray(part.rows[rows]))
            for (row, key, crc), found in zip(stored, sums, strict=True):
                if crc != found:
                    yield key, row


def _verify_keys(
    segment: Segment, keys: Keys, blocks: Mapping[tuple[int, int], tuple[int, int, int]], catalogue: Catalogue
) -> None:
    """Compare the key file with its checksums; a damaged block is read from the catalogue instead, in place."""
    for block in range(-(-len(keys) // BLOCK)):
        there = keys[block * BLOCK : (block + 1) * BLOCK]
        rows, _, stored = blocks.get((segment.number, block), (-1, -1, -1))
        if rows != len(there):
            raise Damaged(f"the catalogue says {rows} rows for block {block} of {segment.key}, which has {len(there)}")
        if checksum(there) != stored:
            there[:] = NO_KEY  # dead rows stay nameless: nobody asks for them
            first = block * BLOCK
            for row, key in catalogue.all(
                "SELECT row, key FROM item WHERE segment=? AND row>=? AND row<?",
                segment.number, first, first + len(there),
            ):  # fmt: skip
                there[row - first] = key
