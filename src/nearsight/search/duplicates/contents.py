"""The items of a collection by their content: files that are equal byte for byte are one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nearsight.core.arrays import Keys

if TYPE_CHECKING:
    from nearsight.search.collection import Collection


@dataclass(frozen=True, slots=True)
class File:
    """The file of an item: bytes, time of its last change in nanoseconds (0 where nobody knows), whole path."""

    key: int
    size: int
    mtime_ns: int
    path: bytes

    @property
    def place(self) -> Path:
        """Its path."""
        return Path(os.fsdecode(self.path))


@dataclass(frozen=True, slots=True)
class Content:
    """A picture's content and the items that have it, by rising key. A vector without a picture has no hash."""

    sha256: bytes
    files: tuple[File, ...]


def contents_of(collection: Collection, living: Keys) -> list[Content]:
    """The contents of the items with these keys, by their smallest key."""
    with collection.store.reading() as catalogue:
        rows = catalogue.all(
            "SELECT key, coalesce(sha256, x''), coalesce(size, 0), coalesce(mtime_ns, 0), root.path, item.path "
            "FROM item LEFT JOIN root ON root.id=root ORDER BY key"
        )
    wanted = set(living.tolist())
    found: dict[bytes | int, list[File]] = {}
    hashes: dict[bytes | int, bytes] = {}
    for key, sha256, size, mtime_ns, root, path in rows:
        if key in wanted:
            whole = path if root is None else os.fsencode(collection.folder / os.fsdecode(root) / os.fsdecode(path))
            found.setdefault(sha256 or key, []).append(File(key, size, mtime_ns, whole))
            hashes[sha256 or key] = sha256
    return [Content(hashes[name], tuple(files)) for name, files in found.items()]
