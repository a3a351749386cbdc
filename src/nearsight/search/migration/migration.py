"""Another encoder for a collection, while it goes on answering: a second generation of vectors beside the first.

`encode` makes the vectors of the second generation from the pictures, under the keys that they have, and commits about
once a second: what was stopped or killed goes on from there, and nothing is encoded twice. Searches, uploads and
``nearsight index`` go on with the generation that answers. `switch` takes the writer's lock, encodes what has come
meanwhile, hands labels, captions, fields, roots and notes over in one transaction, and lets the second generation
answer by one rename (`nearsight.search.store.generations`). The first one stays as it is, and the way back is the same.

A picture that is gone, was changed since it was indexed, or cannot be decoded any more has no vector in the second
generation. It is named, and nothing is switched before somebody says that such items are to be left behind; then they
are in the first generation until that is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

from nearsight.core.errors import EngineError, InputError, Locked, MissingExtra, PictureError, StoreError, UnknownName
from nearsight.core.events import Done, Encoded, Event, Skipped, Step
from nearsight.data.images import Limits, decode, read
from nearsight.encode import Encoder
from nearsight.encode.encoder import TOWERS
from nearsight.search.candidates import Searcher
from nearsight.search.collection import Collection
from nearsight.search.migration.recode import Recoding
from nearsight.search.store import generations
from nearsight.search.store.lock import WriterLock
from nearsight.search.store.store import Store
from nearsight.search.store.takeover import LEARNED, take_over
from nearsight.search.sync.options import DEFAULT_LIMITS
from nearsight.search.sync.progress import noted

_PATIENCE = 10.0
"""Seconds that a switch waits for a writer: a server lets go of the lock when nothing was changed for two."""
_LEARN_FROM = 1000
"""Pictures that an encoder learns from which learns from a collection."""


class Migration:
    """A collection's second generation, open for writing; the collection itself is only read, but for the `switch`.

    Use it as a context manager, or `close` it.
    """

    def __init__(
        self,
        folder: Path,
        encoder: Encoder | None = None,
        *,
        limits: Limits = DEFAULT_LIMITS,
        workers: int | None = None,
    ) -> None:
        """Begin a second generation with `encoder`, or go on with the one that is there: begun, or the one that
        answered before. An encoder that learns does so from a sample of the collection's pictures.

        Raises StoreError: ``migrate/none`` (no encoder given, and no second generation), ``migrate/other`` (there is
        one already, of another encoder); InputError ``migrate/same``; NotACollection, Damaged, Locked, WriteFailed.
        """
        self.folder = generations.home_of(Path(folder))
        self.limits = limits
        self.old = Collection.open(self.folder, read_only=True)
        try:
            self.new = self._second(encoder)
        except BaseException:
            self.old.close()
            raise
        self._recoding = Recoding(self.old, self.new, limits, workers)

    @property
    def missing(self) -> dict[int, Skipped]:
        """Items that have no vector in the second generation, by key, and why."""
        return self._recoding.missing

    def _second(self, encoder: Encoder | None) -> Collection:
        place = generations.beside(self.folder)
        if encoder is not None and made_by(encoder, self.old.store.manifest):
            raise InputError(
                f"{self.folder} answers with {self.old.store.manifest['encoder']} already",
                code="migrate/same",
                hint="choose another one (nearsight show encoders), or none: that goes on with what was begun",
            )
        if place is None:
            if encoder is None:
                raise StoreError(
                    f"{self.folder} has no second generation",
                    code="migrate/none",
                    hint=f"name an encoder: nearsight migrate {self.folder} --encoder ADDRESS",
                )
            return self._begin(encoder)
        kept = generations.facts(place)
        if encoder is not None and not made_by(encoder, kept):
            raise StoreError(
                f"{self.folder} has a second generation already, of {kept['encoder']}",
                code="migrate/other",
                hint=f"go on with it (nearsight migrate {self.folder}), or give it up first: --forget-old",
            )
        return Collection(Store(self.folder, write=True, generation=place))

    def _begin(self, encoder: Encoder) -> Collection:
        learns = not encoder.tower.fitted
        if learns:
            encoder.fit(self._pictures(encoder.tower.side))
        like = self.old.store
        place = generations.vacant(self.folder)
        new = Collection.create(place, encoder, engine=self.old.engine, dtype=like.shape.dtype.name)
        if learns:
            told = f"{TOWERS.brief(encoder.spec.address)} learned from these pictures (not from their labels)"
            new.remember(LEARNED, told)
        return new

    def _pictures(self, side: int) -> Iterator[Image.Image]:
        """A sample of the collection's, in random order (seed 0)."""
        keys = np.random.default_rng(0).permutation(self.old.keys())[:_LEARN_FROM]
        for item in self.old.items(keys.tolist()):
            try:
                yield decode(read(item.path, self.limits), limits=self.limits, side=side)
            except PictureError:  # `encode` names it with its reason
                continue

    def close(self) -> None:
        """Let go of files and locks; what was encoded stays."""
        self.new.close()
        self.old.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def answered(self) -> bool:
        """Whether the second generation is one that has answered before."""
        with self.new.store.reading() as catalogue:
            return self.new.store.folder == self.folder or generations.turn_of(catalogue) > 0

    # encoding

    def encode(self) -> Iterator[Event]:
        """Make every vector that is lacking, then the engine's index, captions and, where the collection is calibrated,
        the calibration.

        Yields Step, Encoded, a Skipped for each item in `missing`, and Done with counts: encoded, missing, items. What
        Encoded announced is committed; closed early, it commits what is encoded. Raises EncoderError, WriteFailed.
        """
        return noted(self.new.store.folder, self._encode())

    def _encode(self) -> Iterator[Event]:
        started, encoded = time.monotonic(), 0
        seen = -1
        while seen != (seen := self.old.store.snapshot().generation):  # whoever writes meanwhile is followed
            for event in self._recoding.run():
                encoded += event.count if isinstance(event, Encoded) else 0
                yield event
        self.new.store.verified()
        yield Step("engine", 0, None)
        yield from self.new.building()
        if "text" in self.new.modalities:
            yield from self.new.encode_captions()
        if self.old.calibration is not None and self.new.calibration is None:
            yield from self._calibrate()
        counts = {"encoded": encoded, "missing": len(self.missing), "items": len(self.new)}
        yield Done("migrate", counts, time.monotonic() - started)

    def _calibrate(self) -> Iterator[Event]:
        try:
            for event in self.new.calibrate():
                if isinstance(event, Step):
                    yield event
        except InputError as error:  # too few, say: then it has no verdicts, as a new collection has none
            yield Skipped(str(self.folder), error.code, f"it is not calibrated: {error.message}", error.hint)

    # switching

    def switch(self, *, drop_missing: bool = False) -> Generator[Event, None, None]:
        """Let the second generation answer, with everything that has come meanwhile, and keep the first one.

        With `drop_missing`, items in `missing` are left behind in the first one. Yields as `encode`, without Done.
        Raises Locked (after waiting for whoever writes), WriteFailed, Damaged, StoreError (code ``migrate/missing``):
        whatever is raised, the first one goes on answering.
        """
        self.new.store.verified()
        with closing((yield from self._alone())) as answering:
            yield from self._recoding.run()
            left = [job.key for job in self._recoding.lacking(again=True)]
            if left and not drop_missing:
                raise StoreError(
                    f"{len(left):,} of {len(self.old):,} pictures cannot be encoded again",
                    code="migrate/missing",
                    hint="bring them back and go on, forget them (index their folders again), or leave them behind: "
                    "--drop-missing",
                )
            take_over(answering, self.new.store, frozenset(left))
            generations.switch(self.folder, self.new.store.folder)

    def _alone(self) -> Generator[Event, None, Store]:
        """The generation that answers, with the writer's lock."""
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                return Store(self.folder, write=True)
            except Locked:
                if time.monotonic() > end:
                    raise
            yield Step("waiting for the writer", 0, None)


def made_by(encoder: Encoder, manifest: dict[str, Any]) -> bool:
    """Whether a generation with that manifest is this encoder's.

    What learns from pictures has no fingerprint before: the same address means the one that learned.
    """
    if not encoder.tower.fitted:
        return bool(encoder.tower.address == manifest["encoder"])
    return bool(encoder.spec.fingerprint == manifest["fingerprint"])


def forget(folder: Path) -> str:
    """Remove the generation that does not answer, for good, and what its engine keeps on a server, if that answers; its
    encoder's address.

    Raises StoreError (code ``migrate/none``) where there is none, Locked, WriteFailed.
    """
    folder = Path(folder)
    with closing(Store(folder, write=True)) as answering:
        place = generations.beside(answering.home)
        if place is None:
            generations.sweep(answering.home)  # what a removal that was killed left
            raise StoreError(
                f"{folder} has no second generation", code="migrate/none", hint="there is nothing to forget"
            )
        kept = generations.facts(place)
        lock = WriterLock(place)
        try:
            with suppress(EngineError, MissingExtra, UnknownName):  # what cannot be reached stays where it is
                Searcher(place, kept["engine"], kept["dim"], kept["fingerprint"], kept["id"]).forget(drop=True)
            generations.forget(answering.home)
        finally:
            lock.release()
        return str(kept["encoder"])
