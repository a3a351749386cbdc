"""The few ways in which the store touches the disk, each of them a place where a fault can be injected."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nearsight.core.artefact import sync_folder
from nearsight.core.errors import WriteFailed

fault: Callable[[str], None] | None = None
"""Called before and after each call that writes, with its name (``write:before``); tests make it kill or raise."""


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announce a write to `fault`, and turn the system's errors into WriteFailed."""
    try:
        if fault is not None:
            fault(name + ":before")
        yield
        if fault is not None:
            fault(name + ":after")
    except OSError as error:
        raise WriteFailed(f"{name} failed: {error}") from error


def write_at(handle: int, content: bytes | memoryview, offset: int) -> None:
    """Write all of `content` at `offset`."""
    with step("write"):
        rest = memoryview(content)
        if os.name == "nt":  # no pwrite there; the store is the handle's only user
            os.lseek(handle, offset, os.SEEK_SET)
        while rest:
            written = os.write(handle, rest) if os.name == "nt" else os.pwrite(handle, rest, offset)
            rest, offset = rest[written:], offset + written


def sync(handle: int) -> None:
    """Content to the medium. An error here is final: the kernel may have dropped the pages, so never retry."""
    with step("sync"):
        getattr(os, "fdatasync", os.fsync)(handle)


def sync_parent(path: Path) -> None:
    """The folder's entry for `path` to the medium."""
    with step("sync-folder"):
        sync_folder(path.parent)


def remove(path: Path) -> bool:
    """Unlink; False where the system holds the file open and refuses (Windows): a later compaction tries again."""
    with step("unlink"):
        try:
            path.unlink(missing_ok=True)
        except PermissionError:
            return False
    return True
