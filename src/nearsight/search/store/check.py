"""Look at every byte that answers depend on, and name everything that is not as it was written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearsight.core.artefact import MANIFEST, read_artefact
from nearsight.core.errors import Damaged, FormatError, NearsightError, NotACollection
from nearsight.core.events import Step
from nearsight.data.images import picture_hash
from nearsight.encode import encoder as encoders
from nearsight.search import captions
from nearsight.search.calibration import scale as calibration
from nearsight.search.candidates import Searcher
from nearsight.search.store import generations
from nearsight.search.store.catalogue import Catalogue, shown
from nearsight.search.store.compact import SEGMENT_FILE
from nearsight.search.store.segments import BLOCK, Segment, Shape, checksum, row_sums

ASIDE = "damaged"
"""The folder where `repair` keeps what it replaced."""
_OWN = {
    MANIFEST, "encoder", "catalogue.sqlite", "catalogue.sqlite-journal", "catalogue.seal", "segments", "engine",
    "captions", "thumbnails", "uploads", "signatures", "progress.json", calibration.NAME, "LOCK", "LOCK.pid", ASIDE,
    generations.FOLDER,
}  # fmt: skip
UPLOADS = "uploads"
"""The folder in a collection for pictures that were given to it, and the root that it is."""
_UPLOADED = "SELECT key, item.path, sha256 FROM item JOIN root ON root.id=root WHERE root.path=? AND sha256 IS NOT NULL"
LEFTOVER = re.compile(r"^\..*\.(tmp|old)$|^\d{12}\.(tmp|index)$")
"""Names that only we give, to files that a crash may leave."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written."""

    code: str
    """``manifest``, ``encoder``, ``catalogue``, ``item``, ``seal``, ``segment``, ``keys``, ``row``, ``dead-row``,
    ``engine``, ``captions``, ``calibration``, ``upload``, ``orphan``, ``aside``; `repair` adds ``lost``, ``restored``
    and ``dropped``."""
    what: str
    key: int | None = None
    path: str = ""
    harmless: bool = False
    """True where answers are right nevertheless, and stay so."""
    repair: str = ""


_REPAIR = "nearsight repair"


def check(folder: Path) -> Iterator[Step | Finding]:
    """Go through everything, whatever is found on the way; nothing is written.

    Of several generations it looks at the one that answers. Raises NotACollection where there is nothing to check and
    FormatError for a newer format. Memory is bounded by a block of vectors; other processes may read and write
    meanwhile.
    """
    home = Path(folder)
    folder, problem = generations.answering(home)
    if problem:
        yield Finding("manifest", problem, path=MANIFEST, repair=_REPAIR)
    meta, findings = manifest(folder)
    yield from findings
    yield Step("check manifest", 1, 1)
    if meta is not None:
        yield from _encoder(folder, meta)
    try:
        catalogue = Catalogue(folder, write=False)
    except NearsightError as error:
        yield Finding("catalogue", error.message, repair=_REPAIR, path="catalogue.sqlite")
        catalogue = None
    try:
        yield from _catalogue(folder, catalogue, meta)
        yield from _uploads(home, catalogue)
    finally:
        if catalogue is not None:
            catalogue.close()
    if meta is not None:
        yield from _engine(folder, meta)
    yield from _captions(folder)
    yield from _calibration(folder)
    yield from _foreign(home)
    if folder != home:
        yield from _foreign(folder)
        with suppress(NearsightError):  # the manifest's damage was found above
            yield from (_orphan(str(path.relative_to(home))) for path in generations.litter(home))


def manifest(folder: Path) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The manifest's facts (from the copy in the catalogue where the file is damaged; None where both are), and what
    is wrong with it."""
    problem = ""
    try:
        meta: dict[str, Any] | None = generations.facts(folder)
    except FormatError as error:
        if generations.is_newer(error):
            raise
        meta, problem = None, error.message
    except NotACollection as error:
        if not (folder / "catalogue.sqlite").exists():
            raise
        meta, problem = None, error.message
    except (Damaged, OSError) as error:
        meta, problem = None, str(error)
    copy = copy_of_manifest(folder)
    if problem:
        return copy, [Finding("manifest", problem, path=MANIFEST, repair=_REPAIR)]
    if copy is not None and copy != meta:
        return meta, [Finding("manifest", f"{MANIFEST} belongs to another collection", path=MANIFEST, repair=_REPAIR)]
    return meta, []


def copy_of_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest's facts as the catalogue keeps them, if it can be read."""
    with suppress(NearsightError, ValueError):
        catalogue = Catalogue(folder, write=False)
        try:
            found = json.loads(catalogue.one("SELECT value FROM meta WHERE name='manifest'") or "null")
            return found if isinstance(found, dict) else None
        finally:
            catalogue.close()
    return None


def shape_of(meta: dict[str, Any]) -> Shape:
    """What the segments of a collection with this manifest look like."""
    return Shape(bytes.fromhex(meta["id"]), bytes.fromhex(meta["fingerprint"]), meta["dim"], np.dtype(meta["dtype"]))


def encoder_problem(folder: Path, meta: dict[str, Any]) -> str:
    """Why the encoder inside is not the one that made the vectors, or an empty text."""
    inside = folder / "encoder"
    if not inside.exists() and not meta["encodes"]:
        return ""
    try:
        found = read_artefact(inside, encoders.FORMAT, encoders.VERSION).meta
    except (NearsightError, OSError) as error:
        return getattr(error, "message", str(error))
    if found["fingerprint"] != meta["fingerprint"]:
        return f"{inside} holds another encoder ({found['address']})"
    return ""


def _encoder(folder: Path, meta: dict[str, Any]) -> Iterator[Finding | Step]:
    if problem := encoder_problem(folder, meta):
        yield Finding("encoder", problem, path="encoder", repair=f"{_REPAIR} (with the same encoder)")
    yield Step("check encoder", 1, 1)


def _catalogue(folder: Path, catalogue: Catalogue | None, meta: dict[str, Any] | None) -> Iterator[Finding | Step]:
    segments: list[tuple[int, int]] = []
    blocks: dict[tuple[int, int], tuple[int, int, int]] = {}
    if catalogue is not None:
        try:
            with catalogue.view():
                yield from _entries(catalogue)
                segments = catalogue.all("SELECT id, rows FROM segment ORDER BY id")
                blocks = {(s, b): (n, v, k) for s, b, n, v, k in catalogue.all("SELECT * FROM block")}
        except NearsightError as error:
            yield Finding("catalogue", error.message, path="catalogue.sqlite", repair=_REPAIR)
    yield Step("check catalogue", 1, 1)
    if meta is not None and catalogue is not None:
        total, done = sum(rows for _, rows in segments), 0
        for number, rows in segments:
            segment = Segment(folder / "segments", number, shape_of(meta))
            yield from (
                Finding("segment", f"{path.name}: {what}", path=f"segments/{path.name}", repair=_REPAIR)
                for path, what in segment.flaws(rows)
            )
            for block in range(-(-rows // BLOCK)):
                with suppress(NearsightError):  # the catalogue's damage was found above
                    yield from _block(segment, block, rows, blocks.get((number, block), (-1, -1, -1)), catalogue)
                done += min(BLOCK, rows - block * BLOCK)
                yield Step("check vectors", done, total)
    known = {number for number, _ in segments}
    for path in sorted((folder / "segments").glob("*")):
        match = SEGMENT_FILE.match(path.name)
        if catalogue is not None and (not match or int(match[1]) not in known):
            yield _orphan(f"segments/{path.name}")


def _entries(catalogue: Catalogue) -> Iterator[Finding]:
    try:
        catalogue.verify()
        sealed = catalogue.sealed
    except Damaged as error:
        sealed = True
        yield Finding("catalogue", error.message, path="catalogue.sqlite", repair=_REPAIR)
    flaw = False
    for what, key in catalogue.flaws():
        flaw = True
        yield Finding("item" if key is not None else "catalogue", what, key, "catalogue.sqlite", repair=_REPAIR)
    if not sealed and not flaw:
        what = "the catalogue's seal is missing, damaged or of an earlier commit; every entry was checked instead"
        yield Finding("seal", what, path="catalogue.seal", harmless=True, repair="the next write makes a new one")


def _block(
    segment: Segment, block: int, rows: int, stored: tuple[int, int, int], catalogue: Catalogue
) -> Iterator[Finding]:
    first = block * BLOCK
    count = min(BLOCK, rows - first)
    try:
        keys, there = segment.read_keys(first, count), segment.read(first, count)
    except OSError:
        keys, there = np.empty(0, np.int64), np.empty((0, segment.shape.dim), segment.shape.dtype)
    whole = stored[0] == count
    if not (whole and len(keys) == count and checksum(keys) == stored[2]):
        what = f"keys {first} to {first + count} of {segment.key.name} are not as written; the catalogue has them too"
        yield Finding("keys", what, path=f"segments/{segment.key.name}", harmless=True, repair=_REPAIR)
    if whole and len(there) == count and checksum(there) == stored[1]:
        return
    name, bad = f"segments/{segment.vec.name}", 0
    for row, key, crc, path in catalogue.all(
        "SELECT row, key, crc, path FROM item WHERE segment=? AND row>=? AND row<?",
        segment.number,
        first,
        first + count,
    ):
        at = row - first
        if at >= len(there) or row_sums(np.array([key], np.int64), there[at : at + 1])[0] != crc:
            bad += 1
            what = f"the vector of item {key} ({shown(path)}) is not as written"
            yield Finding("row", what, key, shown(path), repair=f"{_REPAIR} (encodes it again from its picture)")
    if not bad:
        what = f"{name}, rows {first} to {first + count}: only vectors of deleted items are not as written"
        yield Finding("dead-row", what, path=name, harmless=True, repair=_REPAIR)


def _uploads(folder: Path, catalogue: Catalogue | None) -> Iterator[Finding | Step]:
    """Pictures that were given to the collection itself: there may be no other copy of them."""
    rows: list[tuple[Any, ...]] = []
    with suppress(NearsightError):  # the catalogue's damage was found above
        rows = [] if catalogue is None else catalogue.all(_UPLOADED, UPLOADS.encode())
    for done, (key, path, sha256) in enumerate(rows, start=1):
        try:
            whole = picture_hash((folder / UPLOADS / os.fsdecode(path)).read_bytes()) == bytes(sha256)
        except OSError:
            whole = False
        if not whole:
            what = f"the uploaded picture of item {key} ({shown(path)}) is missing, or not as it was given"
            repair = "upload it again; searches do not need it"
            yield Finding("upload", what, key, f"{UPLOADS}/{shown(path)}", harmless=True, repair=repair)
        yield Step("check uploads", done, len(rows))


def _engine(folder: Path, meta: dict[str, Any]) -> Iterator[Finding | Step]:
    if any((folder / "engine").glob("*")):
        try:
            Searcher(folder, meta["engine"], meta["dim"], meta["fingerprint"], meta["id"]).verify()
        except (NearsightError, OSError) as error:
            what = getattr(error, "message", str(error))
            yield Finding("engine", what, path="engine", harmless=True, repair="the next sync builds it again")
    yield Step("check engine", 1, 1)


def _captions(folder: Path) -> Iterator[Finding | Step]:
    if problem := captions.flaw(folder):
        yield Finding("captions", problem, path="captions", harmless=True, repair="the next sync makes them again")
    yield Step("check captions", 1, 1)


def _calibration(folder: Path) -> Iterator[Finding]:
    if problem := calibration.flaw(folder):
        yield Finding("calibration", problem, path=calibration.NAME, harmless=True, repair="nearsight calibrate")


def _orphan(name: str) -> Finding:
    return Finding("orphan", f"{name} belongs to nothing", path=name, harmless=True, repair="compact, or remove it")


def _foreign(folder: Path) -> Iterator[Finding]:
    with suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            if entry.name == ASIDE:
                what = "what was damaged when it was repaired"
                yield Finding("aside", what, path=ASIDE, harmless=True, repair="remove it when you have looked at it")
            elif entry.name not in _OWN:
                yield _orphan(entry.name)
    for path in sorted((folder / "engine").glob("*.tmp")):
        yield _orphan(f"engine/{path.name}")
