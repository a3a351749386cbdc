"""The one object that users hold: a store, an encoder and an engine under one name."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import EllipsisType, TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Hits, Keys, Vectors, require_unit
from nearsight.core.errors import EncoderError, EncoderMismatch, InputError
from nearsight.core.events import Event, Step, outcome
from nearsight.core.items import CaptionMatch, Item, Match, Value
from nearsight.data.images import Limits, picture_hash
from nearsight.encode import Encoder, EncoderSpec
from nearsight.search import judgements
from nearsight.search import sync as syncing
from nearsight.search.aim import Aim, aim
from nearsight.search.budget import Choice
from nearsight.search.bulk.imports import take_in
from nearsight.search.calibration.fit import calibrate
from nearsight.search.calibration.scale import Calibration, Kept
from nearsight.search.captions import Captions
from nearsight.search.duplicates import Group, duplicates
from nearsight.search.engines import ENGINES
from nearsight.search.examples import Eyes
from nearsight.search.export import export
from nearsight.search.finding import Found, find
from nearsight.search.listing import Admitted, by_key, fields, hashes, labels, roots, twins
from nearsight.search.looks import Looks
from nearsight.search.query import Filter, Query, Source
from nearsight.search.stats import stats
from nearsight.search.store import check as checking
from nearsight.search.store.backup import backup
from nearsight.search.store.check import Finding
from nearsight.search.store.compact import compact
from nearsight.search.store.repair import repair
from nearsight.search.store.snapshot import Snapshot
from nearsight.search.store.store import Record, Store, require_vacant
from nearsight.search.sync.progress import noted
from nearsight.search.together import Together


class Collection:
    """Pictures, their vectors and what is known about them, in one folder, searched by picture and by words.

    One process may write, any number may read meanwhile. Use it as a context manager, or `close` it.
    """

    def __init__(self, store: Store, encoder: Encoder | None = None) -> None:
        self.store, self.folder = store, store.home
        self._encoder = encoder
        self._looks = Looks(store)
        self._together = Together(self._search, at_once=os.cpu_count() or 1)
        self._admitted = Admitted(store)
        self._captions = Captions(self)
        self._calibration = Kept(store.folder, self.fingerprint)

    @classmethod
    def create(
        cls,
        folder: Path,
        encoder: Encoder | EncoderSpec,
        *,
        engine: str = "faiss/Flat",
        dtype: str = "float32",
    ) -> Collection:
        """A new collection in `folder`, open for writing, with a copy of the encoder inside.

        A network that is still a module, and runs on a processor, is read back from there: its graph is faster.
        With an EncoderSpec alone the vectors come from elsewhere: `add` and search by vector or key work, pictures
        do not. `dtype` is how vectors are stored: float32 (as encoded) or float16 (half the bytes).
        Raises StoreError (code ``store/exists``), Damaged, EncoderError (not fitted), UnknownName (no such engine),
        WriteFailed.
        """
        spec = encoder.spec if isinstance(encoder, Encoder) else encoder
        ENGINES.build(engine, dim=spec.dim)  # one that does not exist must not leave a folder
        require_vacant(folder)  # before the encoder in it is replaced
        if isinstance(encoder, Encoder):
            encoder.save(folder / "encoder")
        store = Store.create(
            folder,
            fingerprint=spec.fingerprint,
            dim=spec.dim,
            dtype=dtype,
            extra={"engine": engine, "encoder": spec.address, "modalities": list(spec.modalities)},
        )
        return cls(store, encoder if isinstance(encoder, Encoder) and not encoder.faster_saved else None)

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False, encoder: Encoder | None = None) -> Collection:
        """An existing collection. With `encoder`, that one encodes instead of the copy inside, if it is the same.

        Raises NotACollection, FormatError, Damaged, Locked (another writer; it names the pid), EncoderMismatch.
        """
        store = Store(Path(folder), write=not read_only)
        if encoder is not None and encoder.spec.fingerprint != store.manifest["fingerprint"]:
            made_by = store.manifest["encoder"]
            store.close()
            raise EncoderMismatch(f"{folder} was made by {made_by}; {encoder.spec.address} gives other vectors")
        return cls(store, encoder)

    def close(self) -> None:
        """Let go of files and lock."""
        self.store.close()
        self._looks.searcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.store.snapshot())

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.store.shape.dim

    @property
    def fingerprint(self) -> str:
        """Of the encoder that made the vectors."""
        return str(self.store.manifest["fingerprint"])

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the encoder takes (`EncoderSpec.modalities`): with ``text`` in it, words find pictures."""
        return tuple(self.store.manifest.get("modalities", ["image"]))  # before encoders had words, none was noted

    @property
    def engine(self) -> str:
        """The address of what searches the vectors."""
        return self._looks.searcher.address

    @property
    def engine_state(self) -> str:
        """``ready``, or why an exact scan answers instead of the engine."""
        return self._looks.searcher.state

    @property
    def engine_choice(self) -> Choice | None:
        """The engine that suits the memory allowed (`choose_engine`) and the vectors there are; None unless told."""
        return self._looks.choice

    @property
    def unindexed(self) -> int:
        """Items that came after the engine's index was built: searches look at each of them. 0 where it needs none."""
        return self._looks.unindexed

    @property
    def encoder(self) -> Encoder:
        """The encoder inside, loaded when it is first needed. Raises EncoderError where there is none."""
        return self.encoder_for(1)

    def encoder_for(self, expect: int, runtime: str = "auto") -> Encoder:
        """The encoder, on a runtime that suits the number of pictures to come, unless it has encoded already.

        Raises EncoderError (code ``encoder/none``) where the vectors came from elsewhere, EncoderMismatch, Damaged.
        """
        if self._encoder is None:
            if not (self.store.folder / "encoder").is_dir():
                raise EncoderError(
                    f"the vectors of {self.folder} came from elsewhere ({self.store.manifest['encoder']})",
                    code="encoder/none",
                    hint="search it by vector or by key, or open it with encoder=",
                )
            loaded = Encoder.load(self.store.folder / "encoder", expect=expect, runtime=runtime)
            if loaded.spec.fingerprint != self.fingerprint:
                raise EncoderMismatch(f"the encoder in {self.folder} is not the one that made its vectors")
            self._encoder = loaded
        return self._encoder.expecting(expect)

    # filling

    def sync(
        self,
        root: Path,
        *,
        annotate: Callable[[Path], syncing.Annotation | None] | None = None,
        only: Callable[[Path], bool] | None = None,
        drop: str = "safe",
        limits: Limits = syncing.DEFAULT_LIMITS,
        workers: int | None = None,
        isolate: bool = False,
        follow_links: bool = False,
        profile: bool = False,
    ) -> Iterator[Event]:
        """Make the collection mirror the folder `root`: add what is new, update what changed, follow what moved, drop
        what is gone; nothing is decoded or encoded twice. See `nearsight.search.sync.sync`."""
        options = syncing.Options(annotate, only, drop, limits, workers, isolate, follow_links, profile)
        return noted(self.store.folder, syncing.sync(self, Path(root), options))

    def take_in(self, folder: Path, *, pictures: Path | None = None) -> Generator[Event, None, dict[str, int]]:
        """Take in what `nearsight.search.bulk.encode` wrote; see `nearsight.search.bulk.take_in`."""
        return take_in(self, Path(folder), pictures=pictures)

    def add(self, vectors: NDArray[np.floating], records: Sequence[Record]) -> Keys:
        """Commit n unit vectors (n, dim) with their records, durably. Returns their keys (n,)."""
        return self.store.append(records, vectors)

    def annotate(
        self,
        key: int | Sequence[int],
        *,
        label: str | EllipsisType | None = ...,
        captions: Sequence[str] | None = None,
        fields: Mapping[str, Value] | None = None,
    ) -> None:
        """Change what is known about an item, or several in one transaction; what is not given stays. ``label=None``
        takes the label away. Raises InputError (code ``item/unknown``): then nothing has changed."""
        change = syncing.columns(label=label, captions=captions, fields=fields)
        self.store.amend(dict.fromkeys([int(key)] if isinstance(key, (int, np.integer)) else key, change))

    def keep_feedback(self, query: Query | Source, up: Sequence[int] = (), down: Sequence[int] = ()) -> None:
        """Keep which answers to a query were good and bad; see `nearsight.search.judgements`, which makes a table."""
        asked = query if isinstance(query, Query) else Query.like(query)
        judgements.keep(self.store, replace(asked, up=(*asked.up, *up), down=(*asked.down, *down)))

    def delete(self, keys: Sequence[int]) -> int:
        """Forget items (the pictures stay where they are). Returns how many there were."""
        return self.store.delete(list(keys))

    def compact(self) -> int:
        """Give the space of deleted and replaced vectors back; returns how many there were."""
        freed = compact(self.store)
        self.build_engine()
        return freed

    def build_engine(self) -> bool:
        """Bring the engine's saved index up to date; True where there was something to do. One that stands elsewhere
        and is away is told the next time: False, and `engine_state` says why."""
        return outcome(self.building())

    def building(self) -> Generator[Event, None, bool]:
        """As `build_engine`, with its progress; closed early, it keeps what is built. Searches go on meanwhile."""
        return self._looks.build()

    def change_engine(self, address: str) -> None:
        """Let another engine search from now on; the vectors stay, what the old one kept is removed. Until the next
        `sync` or `build_engine` has built its index, all vectors are looked at. Who has the collection open elsewhere
        has to open it again.

        Raises UnknownName, EngineError, MissingExtra (then nothing has changed), ReadOnly, WriteFailed."""
        self._looks.change(address)

    def choose_engine(self, memory: int) -> None:
        """From the next `sync` or `build_engine` on, let the fastest engine search that takes up to so many bytes of
        memory; it is chosen anew as the collection grows, until `change_engine`. Raises ReadOnly, WriteFailed."""
        self._looks.allow(memory)

    # finding

    def search(self, query: Query | Source, k: int = 10, *, offset: int = 0) -> list[Match]:
        """The k items most similar to the query, best first, behind the first `offset`; ties by smaller key.

        Fewer than k only where fewer items exist, meet the filter, score `min_score`, are so `verdict`, differ (`fold`)
        or were not judged (`down`). All of them are from one generation, whatever is written meanwhile. Where the
        collection is calibrated, each says whether it is chance, likely or sure. Raises QueryError, PictureError,
        Damaged, and EncoderError for words: code ``encoder/no-text``, ``text/empty``.
        """
        return list(self.find(query, k, offset=offset).matches)

    def find(self, query: Query | Source, k: int = 10, *, offset: int = 0, aim: Aim | None = None) -> Found:
        """As `search`, with the generation that the answer is from. `aim`: that of the query, if it is known."""
        asked = query if isinstance(query, Query) else Query.like(query)
        return find(self, asked, self.aim(asked) if aim is None else aim, k, offset)

    def search_captions(self, query: Query | Source, k: int = 10) -> list[CaptionMatch]:
        """The k captions of items that say best what the query shows, best first; ties by smaller key.

        A filter is held against the items. Captions are encoded once: by `sync` and `encode_captions`, the rest now.
        Raises as `search`, and QueryError (code ``query/captions``) where no item has a caption.
        """
        return self._captions.search(query if isinstance(query, Query) else Query.like(query), k)

    def encode_captions(self) -> Generator[Event, None, int]:
        """Make captions searchable; `sync` does it too. See `nearsight.search.captions.Captions.encode`."""
        return self._captions.encode()

    @property
    def captions_missing(self) -> int:
        """Texts of captions that are not encoded yet."""
        return len(self._captions.missing())

    def search_vectors(self, queries: Vectors, k: int, *, where: Filter | None = None) -> Hits:
        """(q, dim) unit queries -> Hits (q, k) with true cosines. Raises InputError, QueryError, Damaged."""
        among = self.keys(where) if where and where.conditions else None
        return self._looks.search(require_unit(queries, self.dim), k, among)[0].first(k)

    def candidates(self, vector: Vectors, k: int, among: Keys | None, *, alone: bool = False) -> tuple[Hits, Snapshot]:
        """One unit query (dim,) -> Hits (1, k), no wider than there are items, and the snapshot they are from.

        What threads ask at the same time without `among` is one call of the engine, except `alone`.
        """
        if alone or among is not None:
            return self._looks.search(require_unit(vector[None], self.dim), k, among)
        return self._together((vector, k))

    def _search(self, asked: list[tuple[Vectors, int]]) -> list[tuple[Hits, Snapshot]]:
        most = max(k for _, k in asked)
        hits, snapshot = self._looks.search(require_unit(np.stack([v for v, _ in asked]), self.dim), most, None)
        rows = [Hits(hits.keys[i : i + 1], hits.scores[i : i + 1]) for i in range(len(asked))]
        return [(row.first(min(k, row.k)), snapshot) for row, (_, k) in zip(rows, asked, strict=True)]

    def aim(self, query: Query, eyes: Eyes | None = None) -> Aim:
        """What a query looks for; see `nearsight.search.aim.aim`. `eyes`: what decodes and encodes its examples."""
        return aim(self, query, eyes)

    def vector(self, query: Query) -> Vectors:
        """The query as one unit vector (dim,)."""
        return self.aim(query).vector

    def calibrate(self, *, by: str = "auto", seed: int = 0) -> Generator[Event, None, Calibration]:
        """Fit which score is chance, likely or sure, and keep it; see `nearsight.search.calibration.fit.calibrate`."""
        return calibrate(self, by=by, seed=seed)

    @property
    def calibration(self) -> Calibration | None:
        """What `calibrate` found; None where nobody did, or with another encoder."""
        return self._calibration.now()

    def duplicates(
        self, at_least: float | None = None, *, keep: str = "largest", look: bool = True
    ) -> Generator[Event, None, list[Group]]:
        """Groups of items that are one picture; see `nearsight.search.duplicates.duplicates`."""
        return duplicates(self, at_least, keep=keep, look=look)

    # looking

    def keys(self, where: Filter | None = None) -> Keys:
        """Keys (n,) of the items that meet a filter, sorted. Raises QueryError for a field that no item has."""
        return self.admitted(where or Filter())[0]

    def admitted(self, where: Filter) -> tuple[Keys, int]:
        """As `keys`, with the generation in which they meet the filter."""
        return self._admitted(where)

    def fields(self) -> list[str]:
        """What can be filtered by in this collection."""
        return fields(self.store)

    def items(self, keys: Sequence[int] | None = None, where: Filter | None = None) -> Iterator[Item]:
        """Items by key (in that order, unknown ones left out), or all that meet a filter, by rising key."""
        if keys is None:
            keys = self.keys(where).tolist()
        yield from by_key(self.store, keys)

    def item(self, key: int) -> Item:
        """One item. Raises InputError (code ``item/unknown``)."""
        for item in self.items([key]):
            return item
        raise InputError(f"there is no item {key}", code="item/unknown")

    def labels(self) -> dict[str | None, int]:
        """Label -> how many items have it, sorted; None for those without."""
        return labels(self.store)

    def twins(self, content: bytes = b"", *, sha256: bytes = b"") -> list[int]:
        """Keys of the items whose pictures are these bytes exactly (or have that hash), whatever they are called."""
        return twins(self.store, sha256 or picture_hash(content))

    def vectors(self, keys: Keys) -> Vectors:
        """Stored vectors of items (n,) -> (n, dim) float32. Raises InputError (code ``item/unknown``), Damaged."""
        snapshot = self.store.verified()
        rows = snapshot.rows_of(keys)
        if (rows < 0).any():
            raise InputError(f"there is no item {keys[rows < 0][0]}", code="item/unknown")
        return snapshot.vectors(rows)

    def hashes(self, keys: Keys) -> tuple[str, ...]:
        """Hex sha256 of the pictures of items (n,); empty for items that came without a picture."""
        known = hashes(self.store, keys.tolist())
        return tuple(known.get(key, b"").hex() for key in keys.tolist())

    def recall(self, name: str) -> str | None:
        """What `remember` noted under that name."""
        with self.store.reading() as catalogue:
            value = catalogue.one("SELECT value FROM meta WHERE name=?", f"note/{name}")
        return None if value is None else str(value)

    def remember(self, name: str, value: str) -> None:
        """Keep a note in the collection, durably: how it was filled, say."""
        with self.store.changing() as catalogue:
            catalogue.db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (f"note/{name}", value))

    def roots(self) -> list[Path]:
        """The folders that were synced into this collection."""
        return roots(self.store)

    def stats(self) -> dict[str, Any]:
        """Counts and sizes, for people and programs."""
        return stats(self)

    # keeping

    def check(self) -> Iterator[Step | Finding]:
        """Every byte that answers depend on, looked at; see `nearsight.search.store.check.check`."""
        return checking.check(self.folder)

    def backup(self, destination: Path, *, link: bool = True) -> Iterator[Event]:
        """A checked copy, taken while the collection is in use; see `nearsight.search.store.backup.backup`."""
        return backup(self.store, destination, link=link)

    def export(self, path: Path) -> Iterator[Event]:
        """One table: Parquet with the vectors, CSV or JSON lines without; see `nearsight.search.export.export`."""
        return export(self, path)

    @staticmethod
    def repair(folder: Path, *, encoder: Encoder | None = None, drop: bool = False) -> Iterator[Event | Finding]:
        """Mend a collection that may be too damaged to open; see `nearsight.search.store.repair.repair`."""
        return repair(folder, encoder=encoder, drop=drop)
