"""Which vectors of a collection answer: a second generation, of another encoder, may lie beside those that do.

The first generation lies in the collection's own folder, each later one, a whole store, in ``generations/N``. Which of
them answers is said by one file, the manifest of the collection's folder, under ``current``. It is replaced in one
rename: before it the one generation answers, after it the other, and there is nothing in between. At most two are
there. A manifest that names another generation is of version 2, so that an older nearsight refuses it instead of
answering from the wrong one.

Whoever writes holds the lock of the generation that answers, and looks again which that is once the lock is held.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from nearsight.core.artefact import MANIFEST, read_manifest, sync_folder, write_manifest
from nearsight.core.errors import Damaged, FormatError, NearsightError, NotACollection, WriteFailed
from nearsight.search.store import disk
from nearsight.search.store.catalogue import Catalogue

FORMAT = "nearsight-collection"
VERSION, POINTING = 1, 2
"""Of a manifest, and of one that says that another generation answers."""
FOLDER = "generations"
TURN = "turn"
"""Under this name a catalogue knows how many times the collection had changed its generation when it came to answer."""
_CURRENT = "current"
_OF_THE_FIRST = (
    "catalogue.sqlite", "catalogue.sqlite-journal", "catalogue.seal", "segments", "encoder", "engine", "captions",
    "calibration.json",
)  # fmt: skip
"""What a generation is made of, in the folder that it may share with what belongs to all of them."""


def home_of(folder: Path) -> Path:
    """The collection that a generation's folder belongs to."""
    inside = folder.parent.name == FOLDER and (folder.parent.parent / MANIFEST).is_file()
    return folder.parent.parent if inside else folder


def current(home: Path) -> Path:
    """The folder of the generation that answers. Raises NotACollection, FormatError, Damaged."""
    named = _facts(home).get(_CURRENT)
    if named is None:
        return home
    if not isinstance(named, str) or Path(named).parts != (FOLDER, Path(named).name):
        raise Damaged(f"{home / MANIFEST} names a generation that cannot be: {named!r}")
    return home / named


def facts(folder: Path) -> dict[str, Any]:
    """What a manifest says of the generation in its own folder. Raises as `current`."""
    return {name: value for name, value in _facts(folder).items() if name != _CURRENT}


def beside(home: Path) -> Path | None:
    """The generation that does not answer, if there is one: begun, or the one that answered before."""
    answers = current(home)
    others = [place for place in _all(home) if place != answers]
    return others[-1] if others else None


def vacant(home: Path) -> Path:
    """Where the next generation goes; what was begun there and has no manifest is written over. Raises WriteFailed."""
    numbers = [int(place.name) for place in _all(home) if place != home]
    place = home / FOLDER / str(max(numbers, default=1) + 1)
    try:
        place.mkdir(parents=True, exist_ok=True)
        sync_folder(home)
        sync_folder(place.parent)
    except OSError as error:
        raise WriteFailed(f"could not create {place}: {error}") from error
    return place


def switch(home: Path, to: Path) -> None:
    """From now on this generation answers: one rename. Call it under the lock of the one that does. Raises WriteFailed.

    What is there of the first generation is still told, so that the way back is the same rename.
    """
    with disk.step("switch"):
        _write(home, facts(home), to)


def forget(home: Path) -> Path | None:
    """Remove the generation that does not answer, and what an earlier removal that was killed left of one. Returns its
    folder, None where there was none. Call it under the locks of both. Raises WriteFailed."""
    answers, gone = current(home), beside(home)
    if gone == home:
        with disk.step("forget"):
            _write(home, {}, answers)
    elif gone is not None:
        with disk.step("forget"):
            os.replace(gone, gone.with_name(f".{gone.name}.old"))
    sweep(home)
    return gone


def litter(home: Path) -> list[Path]:
    """What no manifest tells of: the files of a first generation that was forgotten, and folders set aside."""
    found = list((home / FOLDER).glob(".*.old"))
    if current(home) != home and "fingerprint" not in facts(home):
        found += [home / name for name in _OF_THE_FIRST if (home / name).exists()]
    return found


def sweep(home: Path) -> None:
    """Remove `litter`."""
    with disk.step("sweep"):
        for path in litter(home):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        with suppress(OSError):  # another generation is in it
            (home / FOLDER).rmdir()


def turn_of(catalogue: Catalogue) -> int:
    """How many times the collection had changed its generation when this one came to answer; 0 before the first."""
    return int(catalogue.one("SELECT value FROM meta WHERE name=?", TURN) or 0)


def answering(home: Path) -> tuple[Path, str]:
    """As `current`, for whoever looks at damage: where the manifest does not say it, the generation that came last, and
    what is wrong with the manifest. Raises NotACollection, and FormatError for a newer format."""
    try:
        return current(home), ""
    except (NotACollection, Damaged, FormatError) as error:
        if is_newer(error):
            raise
        last = max([*_all(home), home], key=lambda place: (_turn(place), place == home))
        return last, "" if last == home else error.message  # its own manifest is looked at with its store


def is_newer(error: NearsightError) -> bool:
    """Whether a manifest was written by a newer nearsight, and is whole; any other FormatError is damage."""
    return isinstance(error, FormatError) and error.hint == FormatError.default_hint


def mend(home: Path, answers: Path, first: dict[str, Any] | None) -> None:
    """Write a manifest that was lost; `first`: what is known of the generation beside it. Raises WriteFailed."""
    _write(home, first or {}, answers)


def _facts(folder: Path) -> dict[str, Any]:
    meta: dict[str, Any] = read_manifest(folder / MANIFEST, FORMAT, POINTING)["meta"]
    return meta


def _write(home: Path, first: dict[str, Any], answers: Path) -> None:
    if answers == home:
        write_manifest(home / MANIFEST, FORMAT, VERSION, first, {})
    else:
        pointing = {**first, _CURRENT: answers.relative_to(home).as_posix()}
        write_manifest(home / MANIFEST, FORMAT, POINTING, pointing, {})


def _all(home: Path) -> list[Path]:
    """Every generation that is whole enough to have a manifest, the first one first, then by number."""
    numbered = [path.parent for path in (home / FOLDER).glob(f"*/{MANIFEST}") if path.parent.name.isdecimal()]
    try:
        there = "fingerprint" in facts(home)
    except (NotACollection, Damaged, FormatError) as error:
        if is_newer(error):
            raise
        there = (home / "catalogue.sqlite").is_file()
    return [home] * there + sorted(numbered, key=lambda path: int(path.name))


def _turn(place: Path) -> int:
    with suppress(NearsightError):
        catalogue = Catalogue(place, write=False)
        try:
            return turn_of(catalogue)
        finally:
            catalogue.close()
    return 0
