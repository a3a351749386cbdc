"""FAISS's own indexes behind the engine contract: keys, replacing, forgetting, `among`, training, one checked file.

A position is FAISS's id. Replaced and removed rows stay in the index as tombstones, which a selector leaves out, or
fetching more where the index takes none; when the dead outnumber the living, the living are copied into a fresh index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Hits, Keys, Scores, Vectors, ranked
from nearsight.core.errors import EngineError
from nearsight.search.engines._blocks import Blocks
from nearsight.search.engines._kernels import ROWS, Chunk, multiply, nothing
from nearsight.search.engines._keys import KeyMap, Positions, require_queries, require_rows

faiss: Any = _faiss  # the stubs it ships know a part of it only

PER_CENTROID = 39
"""Vectors for each centroid below which FAISS calls a clustering badly founded (its ``min_points_per_centroid``)."""
_SAMPLE = 256  # and above which it finds more of no use
_PER_LIST = 50
"""Vectors to learn from for each list of an index that has as many lists as suit the number of vectors."""
_LEAST = 16_384
"""Vectors to learn from at least, where there are so many: ranges of numbers are learned, too."""
_READ = 1.5
"""Lists that are read unless told, times the root of their number: for .95 of the best of a million real vectors."""
_OUTGROWN = 1.5
"""Where it holds so many times as many vectors as it learned for, it should learn again."""
_AUTO = re.compile(r"IVF(?=[,_]|$)")
_MAGIC = b"nearsight faiss 1\n"


@dataclass(frozen=True, slots=True)
class Plan:
    """A factory string that FAISS accepted for this dimension, with its options."""

    factory: str
    dim: int
    nprobe: int | None
    ef: int | None
    sample: int
    """Vectors to learn from, if there are so many."""
    fixed: bool
    """Whether that was asked for."""
    seed: int
    needed: int
    """Vectors to wait for before training; 0 for an index that needs none."""
    oversample: float

    @classmethod
    def of(cls, factory: str, dim: int, options: Mapping[str, int]) -> Plan:
        """Raises EngineError, see `nearsight.search.engines.faiss.build`."""
        index = make(_AUTO.sub("IVF16", factory), dim)
        core = innermost(index)
        has = {"nprobe": isinstance(core, faiss.IndexIVF), "ef": isinstance(core, faiss.IndexHNSW)}
        for name, value in options.items():
            if not has.get(name, not index.is_trained):
                raise EngineError(f"faiss/{factory} has no option '{name}'", code="engine/option")
            if value < (0 if name == "seed" else 1) or value > 2**31 - 1:
                raise EngineError(f"{name}={value} is out of range", code="engine/option")
        centroids = _centroids(index, core)
        needed = 0 if index.is_trained else PER_CENTROID * centroids
        if _AUTO.search(factory):  # from here on 4 sqrt(n) lists have enough vectors each
            needed = max(needed, (4 * PER_CENTROID) ** 2)
        sample = options.get("train_size", max(_SAMPLE * centroids, needed, _LEAST))
        if sample < needed:
            raise EngineError(
                f"faiss/{factory} needs {needed} vectors to learn from, {PER_CENTROID} a centroid",
                code="engine/option",
                hint=f"train_size={needed} or more, or fewer lists or bits",
            )
        nprobe, ef = options.get("nprobe"), options.get("ef")
        seed, fixed = options.get("seed", 0), "train_size" in options
        return cls(factory, dim, nprobe, ef, sample, fixed, seed, needed, _oversample(index, core))

    def learns_from(self, n: int) -> int:
        """Of n vectors, how many to learn from."""
        if not self.needed:
            return 0
        lists = 0 if self.fixed or not _AUTO.search(self.factory) else _lists(n)
        return min(n, max(self.sample, _PER_LIST * lists))

    def index(self, n: int) -> Any:
        """A new index, untrained, for about n vectors."""
        lists = max(1, min(_lists(n), self.learns_from(n) // PER_CENTROID))
        index = make(_AUTO.sub(f"IVF{lists}", self.factory), self.dim)
        core = innermost(index)
        for clustering in (getattr(core, "cp", None), getattr(getattr(core, "pq", None), "cp", None)):
            if clustering is not None:
                clustering.seed = 1234 + self.seed  # FAISS's default, moved
                clustering.max_points_per_centroid = max(_SAMPLE, self.learns_from(n))  # the sample is cut by us
        return index


class FaissIndex:
    """An approximate engine. Before enough vectors for training have come, it answers exactly from those it has."""

    exact = False
    derived = True

    def __init__(self, address: str, plan: Plan) -> None:
        self.address = address
        self.oversample = plan.oversample
        self._plan = plan
        self._keys = KeyMap()
        self._expected = 0
        self._waiting: Blocks | None = Blocks(address, plan.dim) if plan.needed else None
        self._index: Any = None if plan.needed else plan.index(0)
        self._learned_for = 0

    def __len__(self) -> int:
        return self._keys.living if self._waiting is None else len(self._waiting)

    def expect(self, n: int) -> int:
        """See `nearsight.search.engines.Learns`."""
        self._expected = n
        suits = self._waiting is None and n <= _OUTGROWN * self._learned_for
        return 0 if suits or n < self._plan.needed else self._plan.learns_from(n)

    def learn(self, vectors: Vectors) -> None:
        """See `nearsight.search.engines.Learns`. Raises EngineError (code ``engine/rows``) where it holds some."""
        if len(self):
            raise EngineError(f"{self.address} holds vectors already", code="engine/rows")
        n = max(self._expected, len(vectors))
        index = self._plan.index(n)
        _guarded(index.train, np.ascontiguousarray(vectors, np.float32))
        if isinstance(core := innermost(index), faiss.IndexIVF):
            core.make_direct_map(True)  # 8 bytes a vector, to find a row again by its position
        self._index, self._keys, self._waiting, self._learned_for = index, KeyMap(), None, n

    def add(self, keys: Keys, vectors: NDArray[Any]) -> None:
        require_rows(keys, vectors, self._plan.dim)
        for i in range(0, len(keys), ROWS):  # before anything changes
            if not np.isfinite(vectors[i : i + ROWS]).all():
                raise EngineError("a vector is not finite", code="engine/rows")
        if self._waiting is None:
            self._append(self._index, vectors)
            self._keys.add(keys)
            if self._keys.dead > self._keys.living + ROWS:
                self._bury()
        else:
            self._waiting.add(keys, vectors)
            if len(self._waiting) >= self._plan.needed:
                self._learn_from(self._waiting)

    def remove(self, keys: Keys) -> int:
        return self._keys.remove(keys) if self._waiting is None else self._waiting.remove(keys)

    def search(self, queries: NDArray[Any], k: int, *, among: Keys | None = None) -> Hits:
        if self._waiting is not None:
            return self._waiting.search(queries, k, among=among)
        queries = require_queries(queries, k, self._plan.dim)
        allowed = None if among is None else self._keys.positions(among)
        count = len(self) if allowed is None else len(allowed)
        wanted = min(k, count)
        if not wanted or not len(queries):
            return Hits(*nothing(len(queries), k)[::-1])
        scores, where = self._candidates(queries, wanted, allowed, count)
        missing = where == NO_KEY
        if missing.any():
            short = np.flatnonzero(missing.any(axis=1))
            scores[short], where[short] = multiply(queries[short], self._decoded(self._positions(allowed)), wanted)
        return ranked(self._keys.keys[where], scores, wanted).first(k)

    def save(self, path: Path) -> None:
        waiting = self._waiting
        with open(path, "wb") as file:
            file.write(_MAGIC)
            head = {"factory": self._plan.factory, "dim": self._plan.dim, "trained": waiting is None}
            head["for"] = self._learned_for
            rows = len(self._keys) if waiting is None else len(waiting)
            file.write(json.dumps(head | {"rows": rows}).encode() + b"\n")
            if waiting is None:
                file.write(self._keys.keys.data)
                file.write(np.packbits(self._keys.alive).data)
                faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))
            else:
                for keys, _ in waiting.living():
                    file.write(np.ascontiguousarray(keys).data)
                for _, vectors in waiting.living():
                    file.write(vectors.data)

    def load(self, path: Path) -> None:
        with open(path, "rb") as file:
            try:
                self._load(file, path.stat().st_size)
            except (ValueError, KeyError, TypeError, RuntimeError, RecursionError, MemoryError) as error:
                raise EngineError(
                    f"{path} is not what {self.address} saved: {_told(error)}",
                    code="engine/file",
                    hint="build the engine again from the vectors",
                ) from None

    def _load(self, file: BinaryIO, size: int) -> None:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("another kind of file")
        head = json.loads(file.readline(4096))
        rows, trained, dim = int(head["rows"]), bool(head["trained"]), self._plan.dim
        learned_for = int(head.get("for", rows))  # not written by versions that learned from what came first
        if (head["factory"], head["dim"]) != (self._plan.factory, dim):
            raise ValueError(f"it holds faiss/{head['factory']} of dimension {head['dim']}")
        body = rows * 8 + (-(-rows // 8) if trained else rows * dim * 4)
        if rows < 0 or (size - file.tell() < body if trained else size - file.tell() != body):
            raise ValueError("its length does not fit")
        keys = np.frombuffer(file.read(rows * 8), np.int64)
        if NO_KEY in keys:
            raise ValueError("it names the key of empty places")
        if not trained:
            waiting = Blocks(self.address, dim)
            waiting.add(keys, np.frombuffer(file.read(), np.float32).reshape(rows, dim))
            self._waiting, self._index, self._keys = waiting, None, KeyMap()
            return
        alive = np.unpackbits(np.frombuffer(file.read(-(-rows // 8)), np.uint8), count=rows).astype(bool)
        index = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        like = self._plan.index(rows)
        if file.read(1) or index.ntotal != rows or index.d != dim or index.metric_type != like.metric_type:
            raise ValueError("its parts do not fit each other")
        if type(innermost(index)) is not type(innermost(like)) or not index.is_trained:
            raise ValueError(f"it holds a {type(index).__name__}")
        known = KeyMap()
        known.add(keys)
        if np.any(alive & ~known.alive):  # only the latest row of a key can live
            raise ValueError("a key lives twice")
        known.remove(keys[known.alive & ~alive])
        self._waiting, self._index, self._keys, self._learned_for = None, index, known, learned_for

    def _learn_from(self, waiting: Blocks) -> None:
        """Learn from a sample of what waits, then take all of it in."""
        positions = waiting.positions()
        sample = self._plan.learns_from(len(positions))
        if len(positions) > sample:
            chosen = np.random.default_rng(self._plan.seed).choice(len(positions), sample, replace=False)
            positions = positions[np.sort(chosen)]
        self._waiting, self._expected = Blocks(self.address, self._plan.dim), len(waiting)
        try:
            self.learn(waiting.rows(positions))
        except BaseException:
            self._waiting = waiting
            raise
        for keys, rows in waiting.living():
            self._append(self._index, rows)
            self._keys.add(keys)

    def _append(self, index: Any, vectors: NDArray[Any]) -> None:
        for i in range(0, len(vectors), 8 * ROWS):
            _guarded(index.add, np.ascontiguousarray(vectors[i : i + 8 * ROWS], np.float32))

    def _bury(self) -> None:
        """Copy the living into a fresh index. What was compressed stays so: decoding and encoding gives the same."""
        index = faiss.clone_index(self._index)
        index.reset()
        known, positions = KeyMap(), np.flatnonzero(self._keys.alive)
        for rows, at, _ in self._decoded(positions):
            self._append(index, rows)
            known.add(self._keys.keys[at])
        self._index, self._keys = index, known

    def _positions(self, allowed: Positions | None) -> Positions:
        return np.flatnonzero(self._keys.alive) if allowed is None else allowed

    def _decoded(self, positions: Positions) -> Iterator[Chunk]:
        for i in range(0, len(positions), ROWS):
            part = positions[i : i + ROWS]
            yield _guarded(self._index.reconstruct_batch, part), part, None

    def _candidates(
        self, queries: Vectors, wanted: int, allowed: Positions | None, count: int
    ) -> tuple[Scores, Positions]:
        """(q, wanted) allowed ones; a query gets empty places where even the widest search finds no more."""
        core, total = innermost(self._index), len(self._keys)
        clean = count == total
        selects = not isinstance(core, _NO_SELECTOR)
        if allowed is not None and not clean and (count <= ROWS or not selects):
            return multiply(queries, self._decoded(allowed), wanted)  # few enough to look at all of them
        selector, mask = None, self._keys.alive
        if not clean:
            if allowed is not None:
                mask = np.zeros(total, bool)
                mask[allowed] = True
            bits = np.packbits(mask, bitorder="little")  # must outlive the search
            selector = faiss.IDSelectorBitmap(bits) if selects else None
        fetch = wanted if clean or selects else wanted + self._keys.dead
        # a graph meets the allowed and all others alike: to meet as many allowed ones it has to go further; lists have
        # fewer of them each, so that the nearest lie in more lists
        width, widest = self._width(core, fetch, total / count)
        while True:
            parameters = self._parameters(core, selector, width) if widest or selector is not None else None
            scores, where = _guarded(self._index.search, queries, fetch, params=parameters)
            if not clean:
                where[where >= 0] = np.where(mask[where[where >= 0]], where[where >= 0], NO_KEY)
            scores[where == NO_KEY] = -np.inf
            if width >= widest or np.count_nonzero(where != NO_KEY, axis=1).min() >= wanted:
                break
            width = min(4 * width, widest)
        if fetch > wanted:
            best = np.argpartition(-scores, wanted - 1, axis=1)[:, :wanted]
            scores, where = np.take_along_axis(scores, best, axis=1), np.take_along_axis(where, best, axis=1)
        return scores, where

    def _width(self, core: Any, fetch: int, share: float) -> tuple[int, int]:
        """How widely to search at first and at most: lists, or candidates of a graph; (0, 0) where all is scanned."""
        if isinstance(core, faiss.IndexIVF):
            lists = self._plan.nprobe or _READ * core.nlist**0.5
            return min(core.nlist, round(lists * share**0.5)), core.nlist
        if isinstance(core, faiss.IndexHNSW):
            ef = max(self._plan.ef or 64, fetch)
            return min(int(ef * share), max(core.ntotal, 1)), 16 * ef
        return 0, 0

    def _parameters(self, core: Any, selector: Any, width: int) -> Any:
        if isinstance(core, faiss.IndexIVF):
            inner = faiss.SearchParametersIVF(sel=selector, nprobe=width)
        elif isinstance(core, faiss.IndexHNSW):
            inner = faiss.SearchParametersHNSW(sel=selector, efSearch=width)
        else:
            inner = faiss.SearchParameters(sel=selector)
        if isinstance(self._index, faiss.IndexPreTransform):
            return faiss.SearchParametersPreTransform(sel=selector, index_params=inner)
        return inner


_COARSE = (faiss.IndexIVFRaBitQ, faiss.IndexPQFastScan, faiss.IndexIVFPQFastScan)
"""Codes of one to four bits a number: on real descriptors ten times k held .84 to .91 of the best, forty .92 to .96."""
_NO_SELECTOR = (faiss.IndexPQ, faiss.IndexPQFastScan, faiss.IndexAdditiveQuantizer)
_SUPPORTED = (
    faiss.IndexFlat,
    faiss.IndexScalarQuantizer,
    faiss.IndexPQ,
    faiss.IndexPQFastScan,
    faiss.IndexAdditiveQuantizer,
    faiss.IndexHNSW,
    faiss.IndexIVF,
)
_HINT = "for example Flat, IVF256,Flat, HNSW32, SQ8, PQ16, IVF256,PQ16 (the number behind PQ must divide the dimension)"


def make(factory: str, dim: int) -> Any:
    """FAISS's index for a factory string, by inner product. Raises EngineError (code ``engine/factory``)."""
    if re.search(r"\d{7}|x\d{2}", factory):  # FAISS would allocate it, or try to
        raise EngineError(f"'{factory}' asks for too much", code="engine/factory", hint=_HINT)
    try:
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except (RuntimeError, MemoryError) as error:
        raise EngineError(
            f"FAISS has no index '{factory}' for {dim} dimensions: {_told(error)}", code="engine/factory", hint=_HINT
        ) from None
    if not isinstance(innermost(index), _SUPPORTED):
        raise EngineError(f"'{factory}' cannot grow by key", code="engine/factory", hint=_HINT)
    return index


def innermost(index: Any) -> Any:
    """The index behind its transformations."""
    while isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    return index


def _lists(n: int) -> int:
    return int(4 * n**0.5)


def _centroids(index: Any, core: Any) -> int:
    """The largest clustering that training runs."""
    codes = faiss.downcast_index(core.storage) if isinstance(core, faiss.IndexHNSW) else core
    sizes = [1, getattr(core, "nlist", 1), getattr(getattr(codes, "pq", None), "ksub", 1)]
    if isinstance(codes, faiss.IndexAdditiveQuantizer):
        sizes.append(256)
    if isinstance(index, faiss.IndexPreTransform):  # OPQ learns its rotation by a code of 8 bits, whatever follows
        chain = [faiss.downcast_VectorTransform(index.chain.at(i)) for i in range(index.chain.size())]
        sizes += [256 for step in chain if isinstance(step, faiss.OPQMatrix)]
    return max(sizes)


def _oversample(index: Any, core: Any) -> float:
    """Candidates for each wanted one, so that exact re-scoring finds what the codes confused."""
    codes = faiss.downcast_index(core.storage) if isinstance(core, faiss.IndexHNSW) else core
    if core.d == index.d and isinstance(codes, faiss.IndexFlat | faiss.IndexIVFFlat):
        return 1.0
    eight = isinstance(codes, faiss.IndexScalarQuantizer | faiss.IndexIVFScalarQuantizer) and codes.sq.bits >= 8
    if core.d == index.d and eight:
        return 2.0
    return 40.0 if isinstance(codes, _COARSE) else 10.0


def _guarded(call: Any, *arguments: Any, **named: Any) -> Any:
    try:
        return call(*arguments, **named)
    except (RuntimeError, MemoryError) as error:
        raise EngineError(f"FAISS failed: {_told(error)}", hint="build the engine again from the vectors") from None


def _told(error: BaseException) -> str:
    """What a C++ exception says, without the place in FAISS's source that says it."""
    return str(error).rsplit("failed: ", 1)[-1].rsplit("Error: ", 1)[-1].split("index_factory.cpp:")[-1].strip()
