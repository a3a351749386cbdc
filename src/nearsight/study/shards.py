"""Sets of vectors on disk by key: made once, kept in shards that are whole or absent, read through memory maps.

A folder holds one source's sets, float16, some hundreds a shard (an artefact: see `nearsight.core.artefact`), each
under the key of what it was made from, a hash of its content. So a process that is killed loses a shard at most, a
list in another order finds the same sets, and what is damaged is thrown away and made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearsight.core.artefact import MANIFEST, read_artefact, read_manifest, write_artefact
from nearsight.core.errors import Damaged, EncoderError, FormatError, NotACollection
from nearsight.study.pictures import npy

FORMAT, VERSION = "nearsight-features", 1
_VECTORS = "vectors.npy"
_LITTER_SECONDS = 3600


@dataclass(frozen=True, slots=True, eq=False)
class _Shard:
    keys: tuple[str, ...]
    counts: NDArray[np.int64]
    vectors: NDArray[np.float16]
    """(sum of counts, width)"""


class Sets:
    """n sets of vectors, one a row.

    counts  (n,) how many vectors each has, one at least
    width   numbers a vector
    digest  sha256 of what determines the content and its order
    """

    def __init__(self, fingerprint: str, width: int, keys: Sequence[str], shards: Sequence[_Shard]) -> None:
        """`keys`: of each row, every one of them in a shard."""
        places = {key: (number, at) for number, shard in enumerate(shards) for at, key in enumerate(shard.keys)}
        found = np.array([places[key] for key in keys], dtype=np.int64).reshape(-1, 2)
        ends = [np.cumsum(shard.counts) for shard in shards]
        self.counts = np.array([shards[s].counts[at] for s, at in found], dtype=np.int64)
        self.width = width
        self.digest = hashlib.sha256("\n".join([fingerprint, *keys]).encode()).hexdigest()
        self._shard = found[:, 0]
        self._starts = np.array([ends[s][at] for s, at in found], dtype=np.int64) - self.counts
        self._parts = [shard.vectors for shard in shards]

    def __len__(self) -> int:
        return len(self.counts)

    def rows(self, index: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Row numbers (n,) -> vectors (n, s, width), and (n, s) True where there is one; s is that of the largest set
        among them. What stands where there is none is 0."""
        counts, shard, starts = self.counts[index], self._shard[index], self._starts[index]
        longest = int(counts.max(initial=1))
        mask = np.arange(longest) < counts[:, None]
        vectors = np.zeros((len(counts), longest, self.width), dtype=np.float32)
        order = np.argsort(shard, kind="stable")
        for some in np.split(order, np.flatnonzero(np.diff(shard[order])) + 1) if len(order) else []:
            row, member = np.nonzero(mask[some])
            row = some[row]
            vectors[row, member] = self._parts[shard[some[0]]][starts[row] + member]
        return vectors, mask


class Store:
    """The shards of one source in `folder`: those with any of the `wanted` keys, proven."""

    def __init__(self, folder: Path, fingerprint: str, width: int, wanted: Sequence[str], *, threads: int = 2) -> None:
        """A folder that is not there is an empty one."""
        self.folder, self.fingerprint, self.width = folder, fingerprint, width
        self._sweep()
        asked = frozenset(wanted)
        with ThreadPoolExecutor(threads) as pool:  # hashing a large file leaves Python to others
            read = pool.map(lambda place: self._read(place, asked), sorted(folder.glob("shard-*")))
            self._shards = [shard for shard in read if shard is not None]
        self._known = {key for shard in self._shards for key in shard.keys}

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def add(self, sets: Mapping[str, NDArray[np.float32]]) -> None:
        """Write a shard: key -> (s, width), s >= 1. On return it survives a crash.

        Raises WriteFailed, and EncoderError (code ``features/range``) for numbers that float16 does not hold.
        """
        with np.errstate(over="ignore"):
            vectors = np.concatenate(list(sets.values())).astype(np.float16)
        if not np.isfinite(vectors).all():
            raise EncoderError(
                "some numbers of these vectors are not finite, or above 65504, which features are kept in",
                code="features/range",
                hint="is this a network for pictures, with the weights that belong to it?",
            )
        counts = [len(part) for part in sets.values()]
        meta = {"fingerprint": self.fingerprint, "keys": list(sets), "counts": counts}
        place = self.folder / f"shard-{uuid.uuid4().hex}"
        write_artefact(place, FORMAT, VERSION, meta, {_VECTORS: npy(vectors)})
        self._shards.append(_opened(place, tuple(sets), counts))
        self._known.update(sets)

    def sets(self, keys: Sequence[str]) -> Sets:
        """The sets under `keys`, all of them there, in their order."""
        return Sets(self.fingerprint, self.width, keys, self._shards)

    def _read(self, place: Path, wanted: frozenset[str]) -> _Shard | None:
        """A shard that holds something wanted. One that is damaged is thrown away: it is made again."""
        try:
            meta = read_manifest(place / MANIFEST, FORMAT, VERSION)["meta"]
            if meta["fingerprint"] != self.fingerprint or wanted.isdisjoint(meta["keys"]):
                return None
            read_artefact(place, FORMAT, VERSION)
            return _opened(place, tuple(meta["keys"]), meta["counts"])
        except (Damaged, NotACollection):
            shutil.rmtree(place, ignore_errors=True)
        except FormatError:
            pass  # a newer version's
        return None

    def _sweep(self) -> None:
        """Throw away what a killed process was writing; what is young may be somebody's at work."""
        for litter in self.folder.glob(".shard-*.tmp"):
            with contextlib.suppress(OSError):  # somebody else sweeps, or it has just become a shard
                if time.time() - litter.stat().st_mtime > _LITTER_SECONDS:
                    shutil.rmtree(litter)


def _opened(place: Path, keys: tuple[str, ...], counts: Sequence[int]) -> _Shard:
    mapped = np.load(place / _VECTORS, mmap_mode="r", allow_pickle=False)
    return _Shard(keys, np.array(counts, dtype=np.int64), np.asarray(mapped))  # indexing a memmap itself is slow
