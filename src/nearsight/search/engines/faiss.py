"""FAISS (Johnson, Douze, Jegou, IEEE Big Data 2019; Douze et al., arXiv 2401.08281), any index its factory can build.

``faiss/Flat`` is exact and copies nothing: FAISS's brute force kernel over the rows where they are. All other factory
strings make an index that learns from the first vectors and is worth saving::

    faiss/HNSW32?ef=64              a graph; ef: how many candidates a search keeps (default 64)
    faiss/IVF256,Flat?nprobe=16     lists; nprobe: how many are read (default: 1.5 times the root of their number)
    faiss/IVF,SQ8                   as many lists as suit the number of vectors: 4 sqrt(n)
    faiss/PQ16, faiss/IVF256,PQ16, faiss/OPQ16_64,IVF256,PQ16, faiss/SQ8, ...
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import faiss as _faiss
import numpy as np

from nearsight.core.arrays import NO_KEY, Scores, Vectors
from nearsight.search.engines._blocks import Blocks
from nearsight.search.engines._faiss_index import FaissIndex, Plan
from nearsight.search.engines._kernels import Chunk, keep_best, nothing, widened
from nearsight.search.engines._keys import Positions

faiss: Any = _faiss  # the stubs it ships know a part of it only


def brute_force(queries: Vectors, chunks: Iterable[Chunk], m: int) -> tuple[Scores, Positions]:
    """FAISS's kernel over each chunk (see `Kernel`)."""
    best, where = nothing(len(queries), m)
    for given, at, counts in chunks:
        rows = widened(given)
        n = min(m, len(rows))
        scores, found = np.empty((len(queries), n), np.float32), np.empty((len(queries), n), np.int64)
        selector = None if counts is None else faiss.IDSelectorBitmap(np.packbits(counts, bitorder="little"))
        faiss.knn_inner_product(
            faiss.swig_ptr(queries),
            faiss.swig_ptr(rows),
            rows.shape[1],
            len(queries),
            len(rows),
            n,
            faiss.swig_ptr(scores),
            faiss.swig_ptr(found),
            selector,
        )
        scores[found < 0] = -np.inf
        positions = found + at if isinstance(at, int) else at[found]
        positions[found < 0] = NO_KEY
        best, where = keep_best(best, where, scores, positions, m)
    return best, where


def build(
    variant: str | None = None,
    *,
    dim: int,
    nprobe: int | None = None,
    ef: int | None = None,
    train_size: int | None = None,
    seed: int = 0,
) -> Blocks | FaissIndex:
    """`variant` is a factory string. `train_size`: learn from at most so many vectors (default 256 a centroid).

    Raises EngineError (code ``engine/factory``) for a string that FAISS or `dim` refuses, (``engine/option``) for an
    option that this index does not have or a value out of range.
    """
    factory = variant or "Flat"
    options = {"nprobe": nprobe, "ef": ef, "train_size": train_size, "seed": seed or None}
    given = {name: value for name, value in options.items() if value is not None}
    address = f"faiss/{factory}" + ("?" + "&".join(f"{n}={v}" for n, v in given.items()) if given else "")
    plan = Plan.of(factory, dim, given)
    return Blocks(address, dim, brute_force) if factory == "Flat" else FaissIndex(address, plan)
