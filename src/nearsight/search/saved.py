"""An engine's index on disk: which rows of the store it covers, and whether it is still theirs.

The file holds what an engine saved, the stamp beside it says of which rows. Rows beyond those are the engine's news;
those that died since are worked out when it is loaded. A build that was broken off has left a file that covers less.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import faiss
import numpy as np
from crc32c import crc32c
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Keys
from nearsight.core.artefact import read_manifest, sync_file, write_manifest
from nearsight.core.errors import Damaged, FormatError
from nearsight.search.engines import Engine
from nearsight.search.store import disk
from nearsight.search.store.segments import BLOCK, checksum
from nearsight.search.store.snapshot import Snapshot

Covered = Mapping[int, int]
"""Segment -> its first rows, so many."""
TABLE = "table"
"""The folder beside it, for a database that is files."""
_STAMP, _FORMAT = "stamp.json", "nearsight-engine"
_RUNS = 256
"""More runs of living rows than this in a segment are copied instead of viewed."""
_COPY = 8192
"""Rows copied at once."""


class SavedIndex:
    """The index of one collection's engine in `folder`, of an engine with this address and dimension over vectors of
    the encoder with this fingerprint."""

    def __init__(self, folder: Path, address: str, dim: int, fingerprint: str) -> None:
        self.folder = folder
        self._made: dict[str, str | int] = {
            "address": address, "dim": dim, "fingerprint": fingerprint, "faiss": faiss.__version__,
        }  # fmt: skip

    def exists(self) -> bool:
        """Whether something was saved."""
        return (self.folder / _STAMP).exists()

    def version(self) -> tuple[int, int]:
        """Changes whenever something is saved."""
        try:
            found = (self.folder / _STAMP).stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino

    def path(self) -> Path:
        """The file, checked. Raises NotACollection where nothing was saved, FormatError, Damaged, OSError."""
        stamp = read_manifest(self.folder / _STAMP, _FORMAT, 1)["meta"]
        path = self.folder / str(stamp["file"])
        if not path.is_file() or _file_sum(path) != stamp["crc"]:
            raise Damaged(f"{path} is not the index that was written", hint="it is rebuilt by the next sync")
        return path

    def covered(self, snapshot: Snapshot) -> Covered:
        """Which of the snapshot's rows it covers. Raises as `path` does, FormatError where it is of others."""
        stamp = read_manifest(self.folder / _STAMP, _FORMAT, 1)["meta"]
        for name, wanted in self._made.items():
            if stamp[name] != wanted:
                raise FormatError(f"the saved index was made with {name} {stamp[name]}, not {wanted}")
        if stamp["epoch"] != snapshot.epoch or stamp["generation"] > snapshot.generation:
            raise FormatError("the saved index is of another arrangement of the rows")
        covered = {int(number): rows for number, rows in stamp["covered"].items()}
        if stamp["sum"] != _covered_sum(snapshot, covered):
            raise FormatError("the saved index is of other vectors")
        return covered

    def load(self, engine: Engine, snapshot: Snapshot) -> Covered:
        """Let `engine`, just built, take it back, less what died since. Raises as `covered` does, and EngineError."""
        covered = self.covered(snapshot)
        path = self.path()
        if NO_KEY in snapshot.keys[~snapshot.alive]:
            raise Damaged("dead rows have lost their keys, so the saved index cannot be told to forget them")
        engine.load(path)
        engine.remove(_dead_keys(snapshot, covered))
        if len(engine) != int(snapshot.alive[_inside(snapshot, covered)].sum()):
            raise FormatError("the saved index lacks items, or knows others")
        return covered

    def write(self, engine: Engine, snapshot: Snapshot, covered: Covered) -> None:
        """Keep what `engine` holds: the living of the `covered` rows. Raises WriteFailed, EngineAway."""
        self.folder.mkdir(exist_ok=True)
        rows = sum(covered.values())  # a build that is kept half-way must not write over what the stamp still names
        target = self.folder / f"{snapshot.generation:012d}-{rows}.index"
        temporary = target.with_suffix(".tmp")
        with disk.step("engine"):
            engine.save(temporary)
            sync_file(temporary)
        with disk.step("engine-rename"):
            temporary.replace(target)
        meta = {
            "file": target.name,
            "crc": _file_sum(target),
            "generation": snapshot.generation,
            "epoch": snapshot.epoch,
            "covered": {str(number): rows for number, rows in covered.items()},
            "sum": _covered_sum(snapshot, covered),
            **self._made,
        }
        write_manifest(self.folder / _STAMP, _FORMAT, 1, meta, {})
        self._remove_but(target.name, _STAMP)

    def forget(self) -> None:
        """Remove it; a database's table stays."""
        self._remove_but()

    def _remove_but(self, *kept: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if path.name not in (TABLE, *kept):
                    disk.remove(path)


def extent(snapshot: Snapshot) -> Covered:
    """All of it."""
    return {part.number: len(part.keys) for part in snapshot.parts}


def beyond(snapshot: Snapshot, covered: Covered) -> int:
    """How many living rows are not covered."""
    return int(snapshot.alive[~_inside(snapshot, covered)].sum())


def living_runs(snapshot: Snapshot, covered: Covered) -> Iterator[tuple[Keys, NDArray[np.floating]]]:
    """Keys and vectors of the living rows beyond `covered`: views of the mapped files, or copies where the living lie
    so scattered that views would be confetti."""
    for part in snapshot.parts:
        first = covered.get(part.number, 0)
        alive = snapshot.alive[part.start + first : part.start + len(part.keys)]
        edges = np.flatnonzero(np.diff(np.concatenate(([False], alive, [False])).astype(np.int8))) + first
        if edges.size <= 2 * _RUNS:
            for start, stop in edges.reshape(-1, 2):
                yield part.keys[start:stop], part.rows[start:stop]
        else:
            rows = np.flatnonzero(alive) + first
            for some in np.array_split(rows, -(-rows.size // _COPY)):
                yield part.keys[some], np.asarray(part.rows[some])


def _dead_keys(snapshot: Snapshot, covered: Covered) -> Keys:
    """Keys that a saved index holds although the row it saw is dead (deleted, or replaced by a later row)."""
    inside = _inside(snapshot, covered)
    dead = snapshot.keys[inside & ~snapshot.alive]
    rows = snapshot.rows_of(dead)
    return dead[(rows < 0) | ~inside[rows]]


def _inside(snapshot: Snapshot, covered: Covered) -> NDArray[np.bool_]:
    inside = np.zeros(snapshot.alive.size, dtype=np.bool_)
    for part in snapshot.parts:
        inside[part.start : part.start + covered.get(part.number, 0)] = True
    return inside


def _covered_sum(snapshot: Snapshot, covered: Covered) -> int:
    """A checksum of the covered rows and their keys, so that the index of a copy that went its own way, or of another
    collection, is never taken for this one's. Whole blocks count by the checksums that the catalogue has of them."""
    total = 0
    for part in snapshot.parts:
        whole, rest = divmod(covered.get(part.number, 0), BLOCK)
        for block in range(whole):
            total = crc32c(repr((part.number, snapshot.blocks.get((part.number, block)))).encode(), total)
        if rest:
            some = slice(whole * BLOCK, whole * BLOCK + rest)
            total = checksum(part.rows[some], checksum(part.keys[some], total))
    return total


def _file_sum(path: Path) -> int:
    total = 0
    with open(path, "rb") as file:
        while part := file.read(1 << 22):
            total = crc32c(part, total)
    return total
