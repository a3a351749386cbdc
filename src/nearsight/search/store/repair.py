"""Mend what can be mended, from copies, checksums and the pictures themselves; say what cannot."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearsight.core.artefact import MANIFEST, write_manifest
from nearsight.core.errors import Damaged, EncoderMismatch, NearsightError, PictureError
from nearsight.core.events import Done, Encoded, Event, Step, outcome
from nearsight.data.images import decode, picture_hash, read
from nearsight.encode import Encoder
from nearsight.encode.encoder import create
from nearsight.search import captions
from nearsight.search.calibration import scale as calibration
from nearsight.search.looks import Looks
from nearsight.search.store import generations
from nearsight.search.store.catalogue import Catalogue
from nearsight.search.store.check import (
    LEFTOVER,
    Finding,
    check,
    copy_of_manifest,
    encoder_problem,
    manifest,
    shape_of,
)
from nearsight.search.store.compact import compact, sweep
from nearsight.search.store.generations import FORMAT, VERSION
from nearsight.search.store.lock import WriterLock
from nearsight.search.store.salvage import keep_aside, salvage
from nearsight.search.store.segments import Segment
from nearsight.search.store.store import Record, Store

_BATCH = 64


def repair(folder: Path, *, encoder: Encoder | None = None, drop: bool = False) -> Iterator[Event | Finding]:
    """Bring a collection back to where `check` finds nothing that harms, under the writer's lock.

    Manifest and catalogue come back from their copies and what is whole of them (what was damaged is kept in
    ``damaged/``), the encoder from `encoder` or its address, damaged vectors from their pictures where these still
    have the content that was indexed, segments and the engine's index by writing them again. An item whose vector
    cannot come back is reported and stays (searching goes on refusing to answer); with `drop` it is forgotten.

    Yields Step, Encoded, a Finding for each thing that was lost or dropped, then one for each that still harms, and
    Done. Raises NotACollection, FormatError, Locked, ReadOnly, WriteFailed, EncoderMismatch, and Damaged where both
    manifest and catalogue are beyond reading.
    """
    started = time.monotonic()
    home = Path(folder)
    folder, problem = generations.answering(home)
    meta, findings = manifest(folder)
    if meta is None:
        raise Damaged(
            f"neither the manifest nor the catalogue of {folder} can be read", hint="restore a backup, or index again"
        )
    if encoder is not None and encoder.spec.fingerprint != meta["fingerprint"]:
        raise EncoderMismatch(f"{folder} was made by {meta['encoder']}; {encoder.spec.address} gives other vectors")
    counts = dict.fromkeys(("restored", "encoded", "lost", "dropped", "left"), 0)
    lock = WriterLock(folder)
    try:
        if problem:
            keep_aside(home, MANIFEST)
            generations.mend(home, folder, copy_of_manifest(home))
            counts["restored"] += 1
        elif findings:
            meta = copy_of_manifest(folder) or meta
            keep_aside(folder, MANIFEST)
            write_manifest(folder / MANIFEST, FORMAT, VERSION, meta, {})
            counts["restored"] += 1
        yield Step("repair manifest", 1, 1)
        counts["restored"] += _mend_encoder(folder, meta, encoder)
        yield Step("repair encoder", 1, 1)
        for finding in _mend_catalogue(folder, meta):
            counts["lost" if finding.code == "lost" else "restored"] += 1
            yield finding
        yield Step("repair catalogue", 1, 1)
        _mend_segments(folder, meta)
        store = Store(folder, write=True, lock=lock)
    except BaseException:
        lock.release()
        raise
    with closing(store):
        yield from _mend_rows(store, encoder, drop, counts)
        yield from _tidy(store)
        if captions.flaw(folder):
            shutil.rmtree(folder / captions.FOLDER)  # made again from the texts, which the catalogue has
        if calibration.flaw(folder):
            (folder / calibration.NAME).unlink()
        # what is lost may still be looked for in its segment: those stay as they are until somebody compacts
        if not counts["lost"] and not counts["left"]:
            compact(store, also=_shabby(store))
        if not counts["left"]:
            _mend_engine(store)
    yield Step("repair engine", 1, 1)
    for found in check(home):
        if isinstance(found, Finding) and not found.harmless:
            yield found
    yield Done("repair", counts, time.monotonic() - started)


def _mend_encoder(folder: Path, meta: dict[str, Any], given: Encoder | None) -> bool:
    """From the one given, else from its address, if that gives the same vectors; else `check` goes on naming it.

    True where it came back.
    """
    if not encoder_problem(folder, meta):
        return False
    if given is None:
        with suppress(NearsightError):
            given = create(meta["encoder"])
            if given.spec.fingerprint != meta["fingerprint"]:
                given = None
    if given is not None:
        keep_aside(folder, "encoder")
        given.save(folder / "encoder")
    return given is not None


def _mend_catalogue(folder: Path, meta: dict[str, Any]) -> Iterator[Finding]:
    try:
        catalogue = Catalogue(folder, write=True)  # finishes what a killed writer left
        try:
            with catalogue.view():
                catalogue.verify()
            if not catalogue.sealed:
                catalogue.seal()
            return
        finally:
            catalogue.close()
    except Damaged:
        yield from salvage(folder, meta)


def _mend_segments(folder: Path, meta: dict[str, Any]) -> None:
    (folder / "segments").mkdir(exist_ok=True)
    catalogue = Catalogue(folder, write=True)
    try:
        for number, rows in catalogue.all("SELECT id, rows FROM segment ORDER BY id"):
            segment = Segment(folder / "segments", number, shape_of(meta))
            if any(True for _ in segment.flaws(rows)):
                segment.mend(rows)
    finally:
        catalogue.close()


def _mend_rows(store: Store, encoder: Encoder | None, drop: bool, counts: dict[str, int]) -> Iterator[Event | Finding]:
    snapshot = store.snapshot()
    bad = [
        key
        for part, block in snapshot.damaged_blocks(set())
        for key, _ in snapshot.damaged_rows(part, block, store.catalogue)
    ]
    if not bad:
        return
    source = _Source(store, encoder, set(bad))
    for start in range(0, len(bad), _BATCH):
        mended: list[tuple[int, Record, NDArray[np.float32]]] = []
        for key in bad[start : start + _BATCH]:
            record, path = source.record(key)
            try:
                mended.append((key, record, source.vector(record, path)))
            except NearsightError as error:
                if drop:
                    store.delete([key])
                    counts["dropped"] += 1
                    yield Finding("dropped", f"{path}: {error.message}", key, str(path))
                else:
                    counts["left"] += 1
                    hint = "put the picture back as it was, or repair with drop"
                    yield Finding("row", f"{path}: {error.message}", key, str(path), repair=hint)
        if mended:
            vectors = np.stack([vector for _, _, vector in mended])
            store.append([r for _, r, _ in mended], vectors, replacing=[key for key, _, _ in mended])
            counts["encoded"] += len(mended)
            yield Encoded(len(mended))
        yield Step("repair vectors", start + len(bad[start : start + _BATCH]), len(bad))


class _Source:
    """Where a vector can come from again: an exact copy's vector, or the picture."""

    def __init__(self, store: Store, encoder: Encoder | None, bad: set[int]) -> None:
        self.store, self.bad = store, bad
        self._encoder = encoder

    def record(self, key: int) -> tuple[Record, Path]:
        names = "item.path, root, sha256, size, mtime_ns, ctime_ns, inode, label, captions, fields, root.path"
        with self.store.reading() as catalogue:
            sql = f"SELECT {names} FROM item LEFT JOIN root ON root.id=root WHERE key=?"
            row = catalogue.all(sql, key)[0]
        facts: tuple[Any, ...] = (*row[:8], tuple(json.loads(row[8])), json.loads(row[9]))
        record, root = Record(*facts), row[10]
        relative = Path(os.fsdecode(record.path))
        return record, self.store.home / os.fsdecode(root) / relative if root is not None else relative

    def vector(self, record: Record, path: Path) -> NDArray[np.float32]:
        """Raises PictureError and EncoderError where there is no way back."""
        if record.sha256 is None:
            raise PictureError("its vector came without a picture", code="picture/none")
        with self.store.reading() as catalogue:
            twins = [row[0] for row in catalogue.all("SELECT key FROM item WHERE sha256=?", record.sha256)]
        snapshot = self.store.snapshot()
        whole = np.array([key for key in twins if key not in self.bad], dtype=np.int64)
        if whole.size:
            return np.asarray(snapshot.vectors(snapshot.rows_of(whole[:1]))[0])
        content = read(path)
        if picture_hash(content) != record.sha256:
            raise PictureError("the picture has changed since it was indexed", code="picture/changed")
        if self._encoder is None:
            self._encoder = Encoder.load(self.store.folder / "encoder", expect=len(self.bad))
        if self._encoder.spec.fingerprint != self.store.manifest["fingerprint"]:
            raise EncoderMismatch("the encoder inside is another one")
        picture = decode(content, side=self._encoder.tower.side)
        return np.asarray(self._encoder.encode_images([picture])[0])


def _shabby(store: Store) -> frozenset[int]:
    """Segments with keys that were read from the catalogue, or blocks whose checksum nothing has."""
    found = set()
    snapshot = store.snapshot()
    for part, _ in snapshot.damaged_blocks(set()):
        found.add(part.number)
    for part in snapshot.parts:
        segment = Segment(store.folder / "segments", part.number, store.shape)
        if segment.damaged_keys(len(part.keys), snapshot.blocks):
            found.add(part.number)
    return frozenset(found)


def _tidy(store: Store) -> Iterator[Finding]:
    """Remove what a crash left under names that only we give, and say so."""
    for name in sweep(store):
        yield Finding("orphan", f"segments/{name} belonged to nothing and is removed", path=name, harmless=True)
    for folder in (store.folder, store.folder / "engine"):
        for path in sorted(folder.glob("*")) if folder.is_dir() else ():
            if LEFTOVER.match(path.name) and path.suffix != ".index":
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                yield Finding("orphan", f"{path.name}, left by a crash, is removed", path=path.name, harmless=True)


def _mend_engine(store: Store) -> None:
    looks = Looks(store)
    try:
        looks.searcher.verify()
    except (NearsightError, OSError):
        looks.searcher.forget()
    outcome(looks.build())
