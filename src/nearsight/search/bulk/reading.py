"""The bytes of a picture, wherever it lies: a file, or an address that fsspec knows."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nearsight.core.errors import InputError, MissingExtra, PictureError
from nearsight.data.images import Limits, read
from nearsight.data.images.identify import HEAD, identify
from nearsight.data.images.limits import refusal

PROTOCOLS = frozenset(("memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "http", "https", "hf", "oci"))
PROTOCOLS |= {"oss", "sftp", "ssh", "ftp", "hdfs", "webhdfs", "smb"}
"""Where pictures are fetched from. Not among them: what runs programs, or is made of other addresses."""
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


def is_address(path: str) -> bool:
    """Whether it is no path of this machine."""
    return "://" in path


def filesystem(address: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the path in it.

    Raises InputError (code ``bulk/address``) for a protocol that is not one of PROTOCOLS, and MissingExtra.
    """
    protocol = address.partition("://")[0]
    if protocol not in PROTOCOLS:
        hint = f"pictures are fetched from {', '.join(sorted(PROTOCOLS))}"
        raise InputError(f"'{address}' is no address of pictures", code="bulk/address", hint=hint)
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtra.of("fsspec", "remote", f"reading from {protocol}://") from error
    try:
        found, path = url_to_fs(address)
    except ImportError as error:  # fsspec names the package of the protocol
        raise MissingExtra(f"reading from {protocol}:// needs a package: {error}") from error
    return found, path


def fetch(root: Path, path: bytes, limits: Limits) -> tuple[bytes, int | None]:
    """The content of a picture within `limits`, and when its file changed last, where it is a file (ns).

    `path` is below `root`, or absolute, or an address. Raises PictureError.
    """
    text = os.fsdecode(path)
    if is_address(text):
        return _remote(text, limits), None
    place = root / text
    content = read(place, limits)
    try:
        return content, place.stat().st_mtime_ns
    except OSError as error:
        raise refusal("vanished", path=place) from error


def _remote(address: str, limits: Limits) -> bytes:
    try:
        found, path = filesystem(address)
        with found.open(path, "rb") as file:
            data = bytes(file.read(HEAD))
            if data and identify(data) is None:  # a video costs nothing
                raise refusal("not-a-picture")
            data += bytes(file.read(limits.max_bytes + 1 - len(data)))
    except (PictureError, MissingExtra):
        raise
    except InputError as error:
        raise refusal("unreadable", error.message) from error
    except FileNotFoundError as error:
        raise refusal("vanished", address) from error
    except Exception as error:  # stores raise whatever comes to their mind
        raise refusal("unreadable", f"{type(error).__name__}: {error}") from error
    if not data:
        raise refusal("empty")
    if len(data) > limits.max_bytes:
        raise refusal("too-many-bytes", f"at most {limits.max_bytes:,}")
    return data


def changed_ns(facts: Mapping[str, Any]) -> int | None:
    """When an object changed last, out of what a store tells of it; None where it does not say."""
    for name in _TIMES:
        value = facts.get(name)
        if isinstance(value, datetime.datetime):
            return int(value.timestamp() * 1e9)
        if isinstance(value, (int, float)):
            return int(value * 1e9)
    return None
