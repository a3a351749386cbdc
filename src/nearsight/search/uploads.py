"""Pictures that were given to the collection itself: they lie in its own folder, and move and are backed up with it.

``uploads/ab/abcd.../name.jpg``, by the hash of their content, under a root that is no absolute path. A file is whole
before the commit that names it; one that no item names any more is removed after the commit that forgot it.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from nearsight.core.arrays import Keys, Vectors
from nearsight.core.artefact import replace_file, sync_folder
from nearsight.core.errors import WriteFailed
from nearsight.core.items import Value
from nearsight.data.images import picture_hash
from nearsight.data.images.identify import HEAD, identify
from nearsight.search.store import disk
from nearsight.search.store.check import UPLOADS as FOLDER
from nearsight.search.store.store import Record

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

_SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif", "HEIF": ".heic"}
_LONGEST = 100
"""Bytes of a name without its suffix."""
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))}
"""What Windows takes for devices, whatever stands behind the dot."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture's file with its vector (dim,), and what is known about it."""

    content: bytes
    vector: Vectors
    name: str = ""
    label: str | None = None
    captions: tuple[str, ...] = ()
    fields: Mapping[str, Value] = field(default_factory=dict)


def keep(collection: Collection, uploads: Sequence[Upload]) -> Keys:
    """Keep the pictures durably and make them items, in one commit: their keys (n,).

    Raises as `Collection.add`, WriteFailed.
    """
    records = []
    root = _root(collection)
    for upload in uploads:
        sha256 = picture_hash(upload.content)
        path = PurePosixPath(sha256.hex()[:2], sha256.hex(), plain_name(upload.name, upload.content))
        status = _write(collection.folder / FOLDER / path, upload.content)
        records.append(
            Record(
                os.fsencode(path), root, sha256, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
                _signed(status.st_ino), upload.label, upload.captions, upload.fields,
            )
        )  # fmt: skip
    return collection.add(np.stack([upload.vector for upload in uploads]), records)


def forget(collection: Collection, keys: Sequence[int]) -> int:
    """Delete items, and those of their pictures that were uploaded. Returns how many items there were."""
    marks = ",".join("?" * len(keys))
    with collection.store.reading() as catalogue:
        own = catalogue.all(
            f"SELECT item.path FROM item JOIN root ON root.id=root WHERE key IN ({marks}) AND root.path=?",
            *map(int, keys),
            FOLDER.encode(),
        )
    count = collection.delete(keys)
    for (path,) in own:
        file = collection.folder / FOLDER / os.fsdecode(path)
        disk.remove(file)
        for folder in (file.parent, file.parent.parent):
            try:
                folder.rmdir()
            except OSError:  # another picture lies in it
                break
    return count


def plain_name(name: str, content: bytes) -> str:
    """What a picture's file may be called: of a sender's name its last part, without signs that mean something to a
    system, and with the suffix of what it holds."""
    form = identify(content[:HEAD]) or "picture"
    stem = PurePosixPath(unicodedata.normalize("NFC", name.replace("\\", "/"))).stem
    stem = "".join(c if c.isalnum() or c in " ._-()" else "_" for c in stem).strip(" .")
    stem = stem.encode()[:_LONGEST].decode(errors="ignore").strip(" .")
    if not stem or stem.partition(".")[0].strip().upper() in _DEVICES:
        stem = f"picture {stem}".strip()
    return stem + _SUFFIXES.get(form, f".{form.lower()}")


def _root(collection: Collection) -> int:
    with collection.store.reading() as catalogue:
        known = catalogue.one("SELECT id FROM root WHERE path=?", FOLDER.encode())
    if known is not None:
        return int(known)
    with collection.store.changing() as catalogue:
        added = catalogue.db.execute("INSERT INTO root(path, device) VALUES(?, 0) RETURNING id", (FOLDER.encode(),))
        return int(added.fetchone()[0])


def _write(path: Path, content: bytes) -> os.stat_result:
    """Durably: the file, and every folder on the way to it."""
    try:
        for folder in (path.parent.parent.parent, path.parent.parent, path.parent):
            if not folder.is_dir():
                folder.mkdir()
                sync_folder(folder.parent)
        with disk.step("upload"):
            replace_file(path, content)
        return path.stat()
    except OSError as error:
        raise WriteFailed(f"could not keep {path.name}: {error}") from error


def _signed(number: int) -> int:
    """SQLite's integers are signed."""
    return number & ((1 << 63) - 1)
