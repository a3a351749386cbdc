"""What is searched, what is found, what counts as right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Value: TypeAlias = str | int | float | bool
"""A metadata value. Columns are free; missing is absent, not None."""


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a data set or a collection."""

    key: int
    path: Path
    label: str | None = None
    split: str | None = None
    captions: tuple[str, ...] = ()
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """One answer of a collection: the item, its score (a true cosine) and its place from 1.

    folded   keys of the items that are nearly the same and stand under it, best first, where the query asked for that
    verdict  what the score says: ``chance`` (so good an answer is found to what has nothing to do with the collection),
             ``likely`` or ``sure``; None where the collection is not calibrated, or its scores cannot tell
    """

    item: Item
    score: float
    rank: int
    folded: tuple[int, ...] = ()
    verdict: str | None = None


@dataclass(frozen=True, slots=True)
class CaptionMatch:
    """One caption that was found: the item that has it, its text, its score (a true cosine) and its place from 1."""

    item: Item
    caption: str
    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Queries, a gallery, and the rule by which an item is relevant to a query: the same label.

    ``queries_in_gallery``: the queries are items of the gallery too, and each is removed from its own answer by
    identity (its key).
    """

    name: str
    protocol: str
    queries: tuple[Item, ...]
    gallery: tuple[Item, ...]
    queries_in_gallery: bool
