"""Judgements that are kept: what was asked, and which items were good and bad answers to it.

Each is a note in the catalogue, in a transaction of its own, so that it lives and is checked as the items are. They
become a table that a training takes (`write_table`): what was good for one query has one label.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nearsight.core.artefact import replaced_whole
from nearsight.core.errors import InputError
from nearsight.core.events import Done, Event, Step
from nearsight.search.export import cell, path_text
from nearsight.search.query import Query, Text
from nearsight.search.store.catalogue import Catalogue, pack_json
from nearsight.search.store.store import Store

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

_NOTE = "note/feedback/"
_ROWS = 500


@dataclass(frozen=True, slots=True)
class Judgement:
    """number from 1, by time; the query's written form (its examples alone), its words where it is nothing else."""

    number: int
    query: str
    words: str
    up: tuple[int, ...]
    down: tuple[int, ...]

    @property
    def label(self) -> str:
        """What its good answers are called. A picture that lay in memory has no name: each such query is another."""
        return self.query if "<" not in self.query else f"{self.query} {self.number}"


def keep(store: Store, query: Query) -> None:
    """Keep what was judged, durably. Items that the query names as examples are judged too, by their sign.

    Raises InputError: ``feedback/none`` where nothing was judged, ``item/unknown``; ReadOnly, WriteFailed.
    """
    named = [(int(source), weight) for source, weight in query.examples if isinstance(source, (int, np.integer))]
    up = list(dict.fromkeys([*query.up, *(key for key, weight in named if weight > 0 and key not in query.down)]))
    down = list(dict.fromkeys([*query.down, *(key for key, weight in named if weight < 0 and key not in up)]))
    if not query.up and not query.down:
        raise InputError("no answer was judged", code="feedback/none", hint="say which are good (up) or bad (down)")
    only = query.examples[0][0] if len(query.examples) == 1 else None
    told = {
        "query": str(Query(query.examples)) if query.examples else "<nothing>",
        "words": only.words if isinstance(only, Text) else "",
        "up": up,
        "down": down,
    }
    with store.changing() as catalogue:
        for key in [*up, *down]:
            if catalogue.one("SELECT 1 FROM item WHERE key=?", key) is None:
                raise InputError(f"there is no item {key}", code="item/unknown")
        number = max((judgement.number for judgement in _all(catalogue)), default=0) + 1
        catalogue.db.execute("INSERT INTO meta VALUES(?, ?)", (f"{_NOTE}{number:09d}", pack_json(told)))


def kept(store: Store) -> list[Judgement]:
    """All that were kept, in their order."""
    with store.reading() as catalogue:
        return _all(catalogue)


def _all(catalogue: Catalogue) -> list[Judgement]:
    rows = catalogue.all("SELECT name, value FROM meta WHERE name LIKE ? ORDER BY name", f"{_NOTE}%")
    told = [(int(name.removeprefix(_NOTE)), json.loads(value)) for name, value in rows]
    return [Judgement(n, one["query"], one["words"], tuple(one["up"]), tuple(one["down"])) for n, one in told]


def labels(judgements: Sequence[Judgement]) -> dict[int, str]:
    """Key -> label. What was good for a query is called as the query. What was only ever bad is its own kind, of which
    nothing is known but that it is not the query's: it has a label that nothing else has. The last word counts."""
    found: dict[int, str] = {}
    for judgement in judgements:
        found |= dict.fromkeys(judgement.up, judgement.label)
        for key in judgement.down:
            if found.get(key, judgement.label) == judgement.label:
                found[key] = f"not {judgement.label}: {key}"
    return found


def write_table(collection: Collection, path: Path) -> Iterator[Event]:
    """Write what was judged as a table for ``nearsight train --data``, whole or absent: path, label, caption.

    A caption is what was asked for in words, beside every picture that was good for it; a picture with several has
    several rows. Yields Step and Done. Raises InputError: ``export/format``, ``feedback/none``; WriteFailed.
    """
    path = Path(path)
    if path.suffix != ".csv":
        raise InputError(f"{path.name} is no .csv", code="export/format", hint="judgements are written as CSV")
    judgements = kept(collection.store)
    if not judgements:
        hint = "nearsight search ... --up KEY --down KEY --keep"
        raise InputError("no judgement was kept in this collection", code="feedback/none", hint=hint)
    return _write(collection, path, labels(judgements), _captions(judgements))


def _write(
    collection: Collection, path: Path, named: Mapping[int, str], captions: Mapping[int, Sequence[str]]
) -> Iterator[Event]:
    keys, done = sorted(named), 0
    with replaced_whole(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "caption"])
        for start in range(0, len(keys), _ROWS):
            for item in collection.items(keys[start : start + _ROWS]):  # without those that were deleted since
                done += 1
                for caption in captions.get(item.key) or [""]:
                    table.writerow([path_text(item.path), cell(named[item.key]), cell(caption)])
            yield Step("export", min(start + _ROWS, len(keys)), len(keys))
    yield Done("export", {"items": done})


def _captions(judgements: Sequence[Judgement]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for judgement in judgements:
        for key in judgement.up if judgement.words else ():
            if judgement.words not in found.setdefault(key, []):
                found[key].append(judgement.words)
    return found
