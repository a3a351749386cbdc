"""What is in a folder: every file in a fixed order, and every file that is left out, named."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nearsight.core.errors import InputError
from nearsight.core.events import Skipped
from nearsight.data.images.files import kind
from nearsight.data.images.limits import REASONS, hint, shown


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file, by what the file system says of it; whether it is a picture shows when it is read."""

    path: Path
    size: int
    """bytes"""
    mtime_ns: int
    ctime_ns: int
    """when the content or the entry last changed; the file's birth on Windows"""
    device: int
    inode: int


def walk(root: Path, *, follow_links: bool = False) -> Iterator[Found | Skipped]:
    """All regular files below ``root``, depth first, each folder in the order of the bytes of its names.

    Nothing is opened but folders: pipes, sockets and devices are named (``picture/not-a-file``). Names that begin with
    a dot (``.git``, ``.thumbnails``, ``.DS_Store``) are left out, a hidden folder as one. Symbolic links are left out;
    with ``follow_links`` they are followed inside ``root``, to each folder once, and refused where they lead outside
    or back to a folder that they are in. A folder that cannot be listed is ``picture/unreadable-folder``: nothing is
    known of its pictures, so they must not be taken for gone. Memory grows with the largest folder, not with the tree.

    ``Skipped.path`` is the path as the system gave it (``os.fsencode`` returns its bytes).

    Raises InputError at once where ``root`` is no folder or cannot be listed.
    """
    try:
        status = Path(root).stat()
        entries = _entries(root)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(
            f"{shown(root)}: the folder cannot be listed ({reason})",
            code="folder/unreadable",
            hint="check the path, its permissions, and whether its disk is mounted",
        ) from error
    return _Walk(os.path.realpath(root), follow_links).folder(entries, ((status.st_dev, status.st_ino),))


_Entry = os.DirEntry[str]


def _entries(folder: Path | _Entry) -> list[_Entry]:
    """What is in a folder, the last first (they are taken from the end)."""
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: os.fsencode(entry.name), reverse=True)


def _skipped(path: str, reason: str, detail: str = "") -> Skipped:
    return Skipped(
        str(Path(path)), f"picture/{reason}", REASONS[reason] + (f" ({detail})" if detail else ""), hint(reason)
    )


_Identity = tuple[int, int]


class _Walk:
    def __init__(self, root: str, follow_links: bool) -> None:
        self.root = root
        self.follow_links = follow_links
        self.linked: set[_Identity] = set()  # folders that were reached through a link

    def folder(self, entries: list[_Entry], above: tuple[_Identity, ...]) -> Iterator[Found | Skipped]:
        # A stack of its own: trees are deeper than Python's.
        stack: list[tuple[list[_Entry], tuple[_Identity, ...], bool]] = [(entries, above, False)]
        while stack:
            entries, above, linked = stack[-1]
            if not entries:
                stack.pop()
                continue
            entry = entries.pop()
            path = entry.path
            if entry.name.startswith("."):
                yield _skipped(path, "hidden")
                continue
            try:
                status = os.lstat(path)  # on Windows, entry.stat() knows no inode
                through_link = stat.S_ISLNK(status.st_mode)
                if through_link:
                    if refused := self._link(path):
                        yield refused
                        continue
                    status = entry.stat()
            except OSError as error:
                yield _missing(path, error)
                continue
            if stat.S_ISREG(status.st_mode):
                yield Found(
                    Path(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino
                )
            elif stat.S_ISDIR(status.st_mode):
                identity = (status.st_dev, status.st_ino)
                if identity in above:
                    yield _skipped(path, "link-loop")
                    continue
                inside_link = linked or through_link
                if inside_link:
                    # Links to links to links multiply: below a link, no folder is visited twice.
                    if identity in self.linked:
                        yield _skipped(path, "link-again")
                        continue
                    self.linked.add(identity)
                try:
                    stack.append((_entries(entry), (*above, identity), inside_link))
                except OSError as error:
                    yield _skipped(path, "unreadable-folder", error.strerror or str(error))
            else:
                yield _skipped(path, "not-a-file", kind(status.st_mode))

    def _link(self, path: str) -> Skipped | None:
        """Why a link is not followed, if it is not."""
        if not self.follow_links:
            return _skipped(path, "link")
        try:
            target = os.path.realpath(path, strict=True)
        except FileNotFoundError:
            return _skipped(path, "vanished", "a symbolic link to nothing")
        except OSError:  # ELOOP: links that only lead to each other
            return _skipped(path, "link-loop")
        return None if Path(target).is_relative_to(self.root) else _skipped(path, "link-outside")


def _missing(path: str, error: OSError) -> Skipped:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return _skipped(path, "vanished")
    return _skipped(path, "unreadable", error.strerror or str(error))
