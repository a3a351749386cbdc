"""Which engine suits so many vectors and so much memory.

The figures per vector are those of the engines' structures; how fast they are and what they overlook was measured on a
million real descriptors (docs/results/scale.md, rows ``ann_*``).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nearsight.core.errors import InputError

EXACT = "faiss/Flat"
_QUICK = 256 << 20
"""Bytes of vectors that are looked at in about ten milliseconds: where that is all, nothing need be built."""
_ITEM = 50
"""Bytes a vector of what knows its key and its place, whatever the engine."""
_LINKS = 280
"""Bytes a vector of a graph with 32 links a node, twice as many in the lowest layer."""
_PLACE = 16
"""Bytes a vector of lists: its number, and where it lies."""
_FEW = 156**2
"""Vectors up to which lists are not worth making."""
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


class Choice(NamedTuple):
    """An engine, what it takes in memory, and why it is that one."""

    engine: str
    bytes: int
    why: str


def choose(n: int, dim: int, itemsize: int, budget: int) -> Choice:
    """The fastest engine for n vectors of `dim` numbers, stored in `itemsize` bytes each, that searches within `budget`
    bytes of memory; a slower one that looks at everything on disk where none fits."""
    stored = n * dim * itemsize
    if n < _FEW or stored <= min(_QUICK, budget):
        return Choice(EXACT, stored, f"all {_size(stored)} of vectors are looked at within milliseconds")
    larger = list[str]()
    for engine, each, trait in _engines(dim):
        needed = n * (each + _ITEM)
        if needed <= budget:
            beside = f"; {', '.join(larger)} would take more" if larger else ""
            return Choice(engine, needed, f"{trait}, in {_size(needed)} of {_size(budget)}{beside}")
        larger.append(f"{engine.removeprefix('faiss/')} {_size(needed)}")
    why = f"no index of so many vectors fits into {_size(budget)} ({', '.join(larger)}): all are read each time"
    return Choice(EXACT, stored, f"{why}, from disk where they must")


def _engines(dim: int) -> list[tuple[str, int, str]]:
    """From the fastest to the smallest: address, bytes a vector, what it does.

    A graph of vectors in 32 bits was no faster than that in 8. Lists of one bit a number were as fast as those of 8,
    but score forty times k vectors again, each read from somewhere in a file that may not be in memory.
    """
    return [
        ("faiss/HNSW32,SQ8", dim + _LINKS, "a graph of vectors in 8 bits a number"),
        ("faiss/IVF,SQ8", dim + _PLACE, "lists of vectors in 8 bits a number"),
        ("faiss/IVF,RaBitQ", dim // 8 + 8 + _PLACE, "lists of vectors in a bit a number"),
    ]


def parse_size(text: str) -> int:
    """``2G``, ``500MB``, ``1.5 GiB`` -> bytes; units are powers of 1,024. Raises InputError (code ``memory/size``)."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", text, re.IGNORECASE)
    size = int(float(found[1]) * 2 ** _UNITS[found[2].lower()]) if found else 0
    if not found or size < 1 << 20:
        raise InputError(f"'{text}' is no amount of memory", code="memory/size", hint="for example 500M or 2G")
    return size


def _size(count: int) -> str:
    for unit, power in (("GB", 30), ("MB", 20)):
        if count >= 1 << power:
            return f"{count / 2**power:,.1f} {unit}".replace(".0 ", " ")
    return f"{count / 1024:,.0f} kB"
