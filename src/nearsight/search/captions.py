"""The captions of a collection, found by their vectors.

A caption's vector follows from the encoder and its text alone. So what is kept, in ``captions/`` inside the collection,
is a table text -> vector, and the catalogue says which texts stand on which items just now: a vector never meets a
caption but its own, no text is encoded twice, and a table that is lost, damaged or of another encoder is made again.
"""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import NO_KEY, Keys
from nearsight.core.artefact import read_artefact, read_contents, write_artefact
from nearsight.core.errors import Damaged, EncoderError, FormatError, NotACollection, QueryError, WriteFailed
from nearsight.core.events import Event, Skipped, Step
from nearsight.core.items import CaptionMatch
from nearsight.search.engines import ENGINES, Engine
from nearsight.search.query import Query, Text

if TYPE_CHECKING:
    from nearsight.encode import Encoder
    from nearsight.search.collection import Collection

FOLDER = "captions"
FORMAT = "nearsight-captions"
VERSION = 1
_TEXTS, _VECTORS = "texts.json", "vectors.npy"
_BATCH = 64
_KEEP = 4096
"""Texts encoded before the table is first written; from then on as often as it has doubled."""
_LOOKS = 3
"""A table may just be replaced while it is read, and an item deleted between two looks."""
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class _Table:
    """What is known of texts: the row of each in ``vectors`` (n, dim), or why it has none."""

    vectors: NDArray[np.floating]
    rows: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, text: object) -> bool:
        return text in self.rows or text in self.refused

    def only(self, texts: Sequence[str]) -> _Table:
        """What it knows of these texts, each named once."""
        kept = [text for text in texts if text in self.rows]
        refused = {text: self.refused[text] for text in texts if text in self.refused}
        rows = {text: row for row, text in enumerate(kept)}
        return _Table(self.vectors[[self.rows[text] for text in kept]], rows, refused)


@dataclass(frozen=True, slots=True)
class _Listed:
    """All captions of one generation of the catalogue, by rising key of their items: owners (m,), and texts."""

    generation: int
    owners: Keys
    texts: tuple[str, ...]


class Captions:
    """Those of one collection. Where it is open for reading only, what is missing is encoded into memory."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._store = collection.store
        self._folder = collection.store.folder / FOLDER
        self._lock = threading.RLock()
        shape = self._store.shape
        self._table = _Table(np.empty((0, shape.dim), dtype=shape.dtype))
        self._listed = _Listed(-1, np.empty(0, dtype=np.int64), ())
        self._complete: _Listed | None = None
        self._engine: tuple[_Listed, _Table, Engine] | None = None

    def missing(self) -> list[str]:
        """Texts that stand on items and are not encoded yet, each once."""
        with self._lock:
            listed = self._now()
            if listed is self._complete:
                return []
            texts = list(dict.fromkeys(listed.texts))
            if any(text not in self._table for text in texts):
                kept = _read(self._folder, self._collection.fingerprint, like=self._table.vectors)
                known = [*self._table.rows, *self._table.refused]
                self._table = _joined([kept, self._table.only([text for text in known if text not in kept])])
            missing = [text for text in texts if text not in self._table]
            self._complete = None if missing else listed
            return missing

    def known(self, texts: Sequence[str]) -> dict[str, NDArray[np.floating]]:
        """Those of some texts that have a vector (dim,) already."""
        with self._lock:
            self.missing()  # looks at what is kept
            return {text: self._table.vectors[self._table.rows[text]] for text in texts if text in self._table.rows}

    def encode(self) -> Generator[Event, None, int]:
        """Encode what is missing, and keep it where the collection is open for writing. Returns how many texts.

        Yields Step, and Skipped for every caption in which the encoder knows nothing (code ``caption/empty``). Closed
        early, it keeps what it has. Raises EncoderError, WriteFailed.
        """
        missing = self.missing()
        fresh: list[_Table] = []
        kept = 0
        try:
            for start in range(0, len(missing), _BATCH):
                some = missing[start : start + _BATCH]
                fresh.append(_encoded(self._collection.encoder, some, self._store.shape.dtype))
                yield Step("captions", start + len(some), len(missing))
                if start - kept >= max(_KEEP, len(self._table.rows)):
                    self._take(fresh)
                    kept, fresh = start, []
        finally:
            self._take(fresh)
        yield from self._refused()
        return len(missing)

    def search(self, query: Query, k: int) -> list[CaptionMatch]:
        """The k captions nearest to a query, best first; ties by the item's key, then in the order of its captions."""
        if k < 1:
            raise QueryError(f"k must be at least 1, not {k}")
        if query.fold is not None:
            raise QueryError("captions are not folded: fold is for pictures", code="query/fold", hint="leave it out")
        if query.method is not None:
            raise QueryError("pictures are judged, not captions", code="query/judged", hint="leave --captions out")
        if query.verdict is not None:
            raise QueryError(
                "a verdict is said of pictures, not of captions", code="query/verdict", hint="leave it out"
            )
        if not self._now().texts:
            raise QueryError(
                "no item of this collection has a caption",
                code="query/captions",
                hint="index it with --labels TABLE, a table with captions",
            )
        vector = self._collection.vector(query)
        if self.missing():
            with contextlib.suppress(WriteFailed):  # they are in memory, and the next sync tries again
                for _ in self.encode():
                    pass
        for _ in range(_LOOKS):
            among = self._collection.keys(query.where) if query.where.conditions else None
            listed, engine = self._searchable()
            places = None if among is None else np.flatnonzero(np.isin(listed.owners, among))
            hits = engine.search(vector[None], min(k, max(1, len(listed.texts))), among=places)
            found = [place for place in hits.keys[0].tolist() if place != NO_KEY]
            owners = listed.owners[found].tolist()
            items = {item.key: item for item in self._collection.items(owners)}
            pairs = [(items.get(key), listed.texts[place]) for key, place in zip(owners, found, strict=True)]
            whole = [(item, text) for item, text in pairs if item is not None and text in item.captions]
            if len(whole) == len(pairs):
                break  # else a writer changed a caption between the two looks: look again
        scores = {(key, listed.texts[p]): float(s) for key, p, s in zip(owners, found, hits.scores[0], strict=False)}
        least = -1.0 if query.min_score is None else query.min_score
        good = [(item, text, scores[item.key, text]) for item, text in whole if scores[item.key, text] >= least]
        return [CaptionMatch(item, text, score, rank) for rank, (item, text, score) in enumerate(good, start=1)]

    def _searchable(self) -> tuple[_Listed, Engine]:
        """The captions there are now and, keyed by their places in that list, an engine of those with a vector."""
        with self._lock:
            listed, table = self._now(), self._table
            if self._engine is None or self._engine[0] is not listed or self._engine[1] is not table:
                places = [place for place, text in enumerate(listed.texts) if text in table.rows]
                engine: Engine = ENGINES.build("exact", dim=self._store.shape.dim)
                rows = [table.rows[listed.texts[place]] for place in places]
                engine.add(np.array(places, dtype=np.int64), table.vectors[rows])
                self._engine = (listed, table, engine)
            return listed, self._engine[2]

    def _now(self) -> _Listed:
        with self._lock:
            if self._listed.generation != self._store.snapshot().generation:
                with self._store.reading() as catalogue, catalogue.view():
                    generation = catalogue.generation
                    rows = catalogue.all("SELECT key, captions FROM item WHERE captions != '[]' ORDER BY key")
                pairs = [(key, text) for key, captions in rows for text in json.loads(captions)]
                owners = np.array([key for key, _ in pairs], dtype=np.int64)
                self._listed = _Listed(generation, owners, tuple(text for _, text in pairs))
            return self._listed

    def _take(self, fresh: list[_Table]) -> None:
        """Add what was encoded to what is known; a writer keeps it, without texts that stand on no item any more."""
        if not fresh:
            return
        with self._lock:
            self._table = _joined([self._table, *fresh])
            if self._store.write:
                self._table = self._table.only(list(dict.fromkeys(self._now().texts)))
                _write(self._folder, self._collection.fingerprint, self._table)

    def _refused(self) -> Generator[Event, None, None]:
        with self._lock:
            listed, refused = self._now(), self._table.refused
        places = [place for place, text in enumerate(listed.texts) if text in refused]
        paths = {item.key: item.path for item in self._collection.items(listed.owners[places].tolist())}
        for place in places:
            text, key = listed.texts[place], int(listed.owners[place])
            shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
            why = f"its caption {shown!r} has no vector: {refused[text]}"
            yield Skipped(str(paths.get(key, key)), "caption/empty", why, "the picture itself is found all the same")


def flaw(folder: Path) -> str:
    """What is wrong with the table in a collection's folder, or an empty text."""
    if (folder / FOLDER).exists():
        try:
            read_artefact(folder / FOLDER, FORMAT, VERSION)
        except (NotACollection, FormatError, Damaged) as error:
            return error.message
    return ""


def _encoded(encoder: Encoder, texts: Sequence[str], dtype: np.dtype[Any]) -> _Table:
    """Each text's vector: in one batch where all of them have one, else one by one."""
    try:
        vectors = encoder.encode_texts([Text(text).words for text in texts])
        return _Table(vectors.astype(dtype), {text: row for row, text in enumerate(texts)})
    except (EncoderError, QueryError) as error:
        if error.code not in ("text/empty", "query/words"):
            raise
        if len(texts) == 1:
            return _Table(np.empty((0, encoder.spec.dim), dtype), refused={texts[0]: error.message})
    return _joined([_encoded(encoder, [text], dtype) for text in texts])


def _joined(tables: Sequence[_Table]) -> _Table:
    """All that several tables know."""
    rows: dict[str, int] = {}
    refused: dict[str, str] = {}
    start = 0
    for table in tables:
        rows |= {text: start + row for text, row in table.rows.items()}
        refused |= table.refused
        start += len(table.vectors)
    return _Table(np.concatenate([table.vectors for table in tables]), rows, refused)


def _read(folder: Path, fingerprint: str, *, like: NDArray[np.floating]) -> _Table:
    """The table that is kept, of vectors `like` these; nothing where there is none that can be trusted and used."""
    for _ in range(_LOOKS):
        try:
            found, contents = read_contents(folder, FORMAT, VERSION)
            if found.meta.get("fingerprint") != fingerprint:
                break
            told = json.loads(contents[_TEXTS])
            vectors = np.load(io.BytesIO(contents[_VECTORS]), allow_pickle=False)
            table = _Table(vectors, {text: row for row, text in enumerate(told["texts"])}, dict(told["refused"]))
        except NotACollection:
            break
        except (FormatError, Damaged, OSError, ValueError, KeyError, TypeError):
            continue
        if vectors.shape == (len(table.rows), like.shape[1]) and vectors.dtype == like.dtype:
            return table
    return _Table(like[:0])


def _write(folder: Path, fingerprint: str, table: _Table) -> None:
    vectors = io.BytesIO()
    np.save(vectors, table.vectors, allow_pickle=False)
    told = json.dumps({"texts": list(table.rows), "refused": dict(table.refused)})
    files = {_TEXTS: told.encode(), _VECTORS: vectors.getvalue()}
    write_artefact(folder, FORMAT, VERSION, {"fingerprint": fingerprint}, files)
