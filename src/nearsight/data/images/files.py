"""One file -> its bytes, whole and unchanged, or a named refusal."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from nearsight.core.errors import PictureError
from nearsight.data.images.identify import HEAD, identify
from nearsight.data.images.limits import Limits, refusal

_PIECE = 64 << 20
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# Non-blocking: should the file turn into a pipe between looking and opening, opening it must not wait for a writer.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def read(path: Path, limits: Limits = Limits(), *, follow_links: bool = True) -> bytes:  # noqa: B008 (frozen)
    """The content of a picture file.

    Only regular files are opened. What does not begin like a picture is refused after its first bytes, so that a video
    in a folder of pictures costs nothing. With ``follow_links=False`` a path that is a symbolic link is refused.

    Raises PictureError: vanished, unreadable, not-a-file, link, empty, too-many-bytes, not-a-picture, changed.
    """
    try:
        # A device is never opened: opening alone can have effects.
        _regular(Path(path).stat(follow_symlinks=follow_links), path)
        descriptor = os.open(path, _FLAGS if follow_links else _FLAGS | _NOFOLLOW)
        try:
            return _whole(descriptor, path, limits)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _refused(error, path) from error
    except ValueError as error:  # a NUL in the name
        raise refusal("vanished", str(error), path=path) from error


def _regular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise refusal("link", path=path)
    if not stat.S_ISREG(status.st_mode):
        raise refusal("not-a-file", kind(status.st_mode), path=path)


def _whole(descriptor: int, path: Path, limits: Limits) -> bytes:
    before = os.fstat(descriptor)
    _regular(before, path)
    size = before.st_size
    if size > limits.max_bytes:
        raise refusal("too-many-bytes", f"{size:,}; at most {limits.max_bytes:,}", path=path)
    data = os.read(descriptor, min(size + 1, _PIECE))  # one more than there should be: it may be growing
    if not data:
        raise refusal("changed" if size else "empty", path=path)
    if identify(data[:HEAD]) is None:
        raise refusal("not-a-picture", path=path)
    if len(data) < size:
        pieces = [data]
        missing = size + 1 - len(data)
        while missing and (piece := os.read(descriptor, min(missing, _PIECE))):
            pieces.append(piece)
            missing -= len(piece)
        data = b"".join(pieces)
    after = os.fstat(descriptor)
    if len(data) != size or (after.st_size, after.st_mtime_ns) != (size, before.st_mtime_ns):
        raise refusal("changed", path=path)
    if not after.st_nlink:
        raise refusal("vanished", "deleted while it was read", path=path)
    return data


def _refused(error: OSError, path: Path) -> PictureError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
        return refusal("vanished", path=path)
    if error.errno == errno.ELOOP:
        return refusal("link-loop", path=path)
    return refusal("unreadable", error.strerror or str(error), path=path)


def kind(mode: int) -> str:
    """What a file that is not regular is, in words."""
    for test, name in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return name
    return "something else"


def picture_hash(data: bytes) -> bytes:
    """SHA-256 (32 bytes) of a file's content: equal for exact copies, whatever they are called."""
    return hashlib.sha256(data).digest()
