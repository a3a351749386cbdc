"""A copy of a collection that is in use: SQLite's backup, links to what never changes, copies of the rest."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

from nearsight.core.artefact import MANIFEST, replace_file, sync_file, sync_folder
from nearsight.core.errors import Damaged, StoreError, WriteFailed
from nearsight.core.events import Done, Event, Step
from nearsight.search.calibration import scale as calibration
from nearsight.search.store.catalogue import Catalogue, reading
from nearsight.search.store.check import UPLOADS, Finding, check
from nearsight.search.store.segments import Segment
from nearsight.search.store.store import Store

_ATTEMPTS = 5


def backup(store: Store, destination: Path, *, link: bool = True) -> Iterator[Event]:
    """Copy the collection's newest generation to `destination` (new, or an empty folder), which is whole or absent.

    With `link`, segments that will never be written again are hard links where the file system allows it: no bytes are
    copied, but a failing disk damages both. Every byte of the copy is checked before it gets its name. Writers and
    readers go on meanwhile. Raises StoreError (code ``store/exists``), Damaged (the collection is), WriteFailed.
    """
    started = time.monotonic()
    destination = Path(destination)
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise StoreError(f"{destination} exists already", code="store/exists", hint="name a new folder")
    temporary = None
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", suffix=".tmp", dir=destination.parent))
        linked, copied = yield from _copy(store, temporary, link)
        for event in check(temporary):
            if isinstance(event, Step):
                yield event
            elif isinstance(event, Finding) and not event.harmless:
                raise Damaged(f"{store.folder} was not backed up, because it is damaged: {event.what}")
        for path in [p for p in temporary.rglob("*") if p.is_file()]:
            sync_file(path)
        for path in [p for p in temporary.rglob("*") if p.is_dir()]:
            sync_folder(path)
        sync_folder(temporary)
        temporary.chmod(0o755)
        if destination.exists():
            destination.rmdir()  # os.replace does it on POSIX, not on Windows
        os.replace(temporary, destination)
        sync_folder(destination.parent)
        temporary = None
    except OSError as error:
        raise WriteFailed(f"could not back up to {destination}: {error}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    yield Done("backup", {"linked": linked, "copied": copied}, time.monotonic() - started)


def _copy(store: Store, target: Path, link: bool) -> Generator[Event, None, tuple[int, int]]:
    """Yields Step; returns how many files were linked and how many copied."""
    for attempt in range(_ATTEMPTS):
        (target / "segments").mkdir(exist_ok=True)
        segments = _copy_catalogue(store, target)
        linked = copied = 0
        try:
            for done, number in enumerate(segments, start=1):
                segment = Segment(store.folder / "segments", number, store.shape)
                for path in (segment.vec, segment.key):
                    # Rows are only ever appended to the last segment: linked, two collections would write into one file
                    last = number == segments[-1]
                    if _place(path, target / "segments" / path.name, link and not last):
                        linked += 1
                    else:
                        copied += 1
                yield Step("backup", done, len(segments))
            break
        except FileNotFoundError as error:  # a compaction replaced segments after the catalogue was copied
            if attempt == _ATTEMPTS - 1:
                raise Damaged(f"{error.filename} is missing") from error
            shutil.rmtree(target / "segments")
    for path in sorted((store.home / UPLOADS).rglob("*")):
        if path.is_file() and not path.name.endswith(".tmp"):
            copy = target / path.relative_to(store.home)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # its item was just deleted
                _place(path, copy, link)
    for folder in ("encoder", "engine", "captions"):  # files there are replaced, never changed
        source = store.folder / folder
        if source.is_dir():
            (target / folder).mkdir()
            for name in _names(source):
                with suppress(FileNotFoundError):  # what is derived comes and goes; it is made again
                    if (source / name).is_file() and not name.endswith(".tmp"):
                        _place(source / name, target / folder / name, link)
    with suppress(FileNotFoundError):
        _place(store.folder / calibration.NAME, target / calibration.NAME, link)
    replace_file(target / MANIFEST, (store.folder / MANIFEST).read_bytes())
    return linked, copied


def _names(folder: Path) -> list[str]:
    """What is in a folder; nothing where it is just being replaced."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def _copy_catalogue(store: Store, target: Path) -> list[int]:
    """One generation of the catalogue, and the numbers of its segments."""
    copy = target / "catalogue.sqlite"
    copy.unlink(missing_ok=True)
    with store.reading() as source:
        path = source.path
    # a connection of its own, so that searches go on; all pages in one step, so that a writer cannot make it start over
    source_db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)
    target_db = sqlite3.connect(copy)
    try:
        with reading(path):
            source_db.backup(target_db)
    finally:
        target_db.close()
        source_db.close()
    sealed = Catalogue(target, write=True)
    try:
        sealed.seal()
        return [row[0] for row in sealed.all("SELECT id FROM segment WHERE rows > 0 ORDER BY id")]
    finally:
        sealed.close()


def _place(source: Path, target: Path, link: bool) -> bool:
    """True where a link did."""
    target.unlink(missing_ok=True)
    if link:
        with suppress(OSError):
            os.link(source, target)
            return True
    shutil.copyfile(source, target)
    return False
