"""Pictures that a data set makes: written once, whole or not at all, and left alone ever after.

A folder is built beside its place under a lock and renamed into it; ``manifest.json`` comes last. A folder without a
sound manifest, of other parameters, or with a picture missing or of another size is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from nearsight.core.artefact import MANIFEST, read_manifest, sync_file, sync_folder, write_manifest
from nearsight.core.errors import StoreError, WriteFailed
from nearsight.core.items import Item, Value

FORMAT = "nearsight-pictures"
VERSION = 1
LISTING = "items.jsonl"


@dataclass(frozen=True, slots=True)
class Made:
    """One picture to write: its place below the folder, its bytes, and what is known of it."""

    path: str
    content: bytes
    label: str
    split: str
    captions: tuple[str, ...] = ()
    fields: Mapping[str, Value] = field(default_factory=dict)


def made(root: Path | None, name: str, parameters: Mapping[str, Any], pictures: Iterable[Made]) -> tuple[Item, ...]:
    """The items of ROOT/NAME, where `pictures` (lazy) is only drawn from if they are not there already.

    `parameters` (JSON-able, with the maker's version) are what the pictures depend on. Raises WriteFailed.
    """
    folder = (root if root is not None else user_cache_path("nearsight", appauthor=False) / "datasets") / name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        items = _read(folder, parameters)
        if items is None:
            with FileLock(folder.parent / f".{folder.name}.lock"):
                items = _read(folder, parameters)  # another process may have made it meanwhile
                if items is None:
                    _write(folder, parameters, pictures)
                    items = _read(folder, parameters)
    except OSError as error:
        raise WriteFailed(f"could not write the pictures of {folder}: {error}") from error
    if items is None:
        raise WriteFailed(f"{folder} was written and does not read back as written")
    return items


def _read(folder: Path, parameters: Mapping[str, Any]) -> tuple[Item, ...] | None:
    """The items, or None where the folder is not whole."""
    try:
        meta = read_manifest(folder / MANIFEST, FORMAT, VERSION)["meta"]
        listing = (folder / LISTING).read_bytes()
    except (StoreError, FileNotFoundError):
        return None
    if meta["parameters"] != dict(parameters) or meta["listing"] != hashlib.sha256(listing).hexdigest():
        return None
    items = []
    for key, line in enumerate(listing.splitlines()):
        entry = json.loads(line)
        path = folder / entry["path"]
        try:
            if path.stat().st_size != entry["bytes"]:
                return None
        except FileNotFoundError:
            return None
        items.append(Item(key, path, entry["label"], entry["split"], tuple(entry["captions"]), entry["fields"]))
    return tuple(items)


def _write(folder: Path, parameters: Mapping[str, Any], pictures: Iterable[Made]) -> None:
    for stale in folder.parent.glob(f".{folder.name}.*.tmp"):  # of a process that was killed: the lock is ours
        shutil.rmtree(stale)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        lines = []
        for picture in pictures:
            target = temporary / picture.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(picture.content)
            lines.append(
                json.dumps(
                    {
                        "path": picture.path,
                        "bytes": len(picture.content),
                        "label": picture.label,
                        "split": picture.split,
                        "captions": list(picture.captions),
                        "fields": dict(picture.fields),
                    }
                )
            )
        listing = ("\n".join(lines) + "\n").encode()
        (temporary / LISTING).write_bytes(listing)
        sync_file(temporary / LISTING)
        meta = {"parameters": dict(parameters), "listing": hashlib.sha256(listing).hexdigest()}
        write_manifest(temporary / MANIFEST, FORMAT, VERSION, meta, {})
        if folder.exists():
            shutil.rmtree(folder)  # not whole, or of other parameters: `_read` said so
        os.replace(temporary, folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
