"""Folders of files that are whole or absent: written beside, fsynced, renamed, and read back only as written.

``manifest.json`` holds {format, version, made_by, meta, files: {name: {bytes, sha256}}, sum}; ``sum`` is the sha256 of
the rest, so that the manifest itself is checked too.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nearsight.core.errors import Damaged, FormatError, NotACollection, WriteFailed

MANIFEST = "manifest.json"
_WAS = "was"


@dataclass(frozen=True, slots=True)
class Artefact:
    """A folder that was read: its manifest's ``meta`` and the names of its files."""

    folder: Path
    version: int
    meta: Mapping[str, Any]
    files: tuple[str, ...]


def made_by() -> str:
    """``nearsight VERSION``, as written into every manifest."""
    try:
        return f"nearsight {version('nearsight')}"
    except PackageNotFoundError:  # run from a source tree without installing
        return "nearsight (source)"


def write_artefact(
    folder: Path, format: str, version: int, meta: Mapping[str, Any], files: Mapping[str, bytes | Path]
) -> None:
    """Write `folder` with `files` (name -> content, or a file to copy) and its manifest, all or nothing.

    An existing artefact in `folder` is replaced. Raises WriteFailed; the old one is then still there. A process that
    dies between the two renames leaves it beside, whence `read_artefact` fetches it back.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    except OSError as error:
        raise WriteFailed(f"could not write beside {folder}: {error}") from error
    try:
        listed = {}
        for name, content in sorted(files.items()):
            target = temporary / name
            if isinstance(content, Path):
                shutil.copyfile(content, target)
            else:
                target.write_bytes(content)
            sync_file(target)
            listed[name] = {"bytes": target.stat().st_size, "sha256": sha256_of(target)}
        write_manifest(temporary / MANIFEST, format, version, meta, listed)
        temporary.chmod(0o755)  # what tempfile makes is for its maker alone
        sync_folder(temporary)
        while not _placed(temporary, folder):
            pass
        sync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise WriteFailed(f"could not write {folder}: {error}") from error


def _placed(temporary: Path, folder: Path) -> bool:
    """Let `temporary` take the place of `folder`; False where a reader has just fetched the old one back, who could not
    know that somebody is still at it."""
    if not folder.exists():
        os.replace(temporary, folder)
        return True
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
    os.replace(folder, old / _WAS)
    try:
        os.replace(temporary, folder)
    except OSError:
        if not (old / _WAS).exists():
            return False
        os.replace(old / _WAS, folder)
        old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)  # the new one stands: what stays of the old is litter
    return True


def read_artefact(folder: Path, format: str, newest: int) -> Artefact:
    """The artefact in `folder`, after every file's size and sha256 agreed with the manifest.

    Raises NotACollection (no manifest), FormatError (another format, a newer version), Damaged (which file).
    """
    found, files = _listed(folder, format, newest)
    for name, facts in files.items():
        path = folder / name
        if path.stat().st_size != facts.get("bytes") or sha256_of(path) != facts.get("sha256"):
            raise Damaged(f"{path} is not the file that was written")
    return found


def read_contents(folder: Path, format: str, newest: int) -> tuple[Artefact, dict[str, bytes]]:
    """As `read_artefact`, with what is in the files: of one artefact, even where another process just replaces it, so
    that files which are read afterwards could be of the next one. Raises OSError, too, for one that is going."""
    found, files = _listed(folder, format, newest)
    contents = {name: (folder / name).read_bytes() for name in files}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != files[name].get("sha256"):
            raise Damaged(f"{folder / name} is not the file that was written")
    return found, contents


def _listed(folder: Path, format: str, newest: int) -> tuple[Artefact, Mapping[str, Any]]:
    """What the manifest says of the files that are there."""
    if not folder.exists():
        _fetch_back(folder)
    manifest = read_manifest(folder / MANIFEST, format, newest)
    for name in manifest["files"]:
        if Path(name).name != name:
            raise Damaged(f"{folder / MANIFEST} names a file outside its folder: {name!r}")
        if not (folder / name).is_file():
            raise Damaged(f"{folder / name} is missing")
    found = Artefact(folder, manifest["version"], manifest["meta"], tuple(manifest["files"]))
    return found, manifest["files"]


def _fetch_back(folder: Path) -> None:
    """Undo a replacement that died half-way: the folder was moved aside and nothing came in its place."""
    for was in folder.parent.glob(f".{glob.escape(folder.name)}.*.old/{_WAS}"):
        try:
            os.replace(was, folder)
        except OSError:
            continue  # a medium that only reads, or somebody was faster
        was.parent.rmdir()
        return


def write_manifest(path: Path, format: str, version: int, meta: Mapping[str, Any], files: Mapping[str, Any]) -> None:
    """Write one manifest durably: beside, fsync, rename, fsync of the folder."""
    body: dict[str, Any] = {
        "format": format,
        "version": version,
        "made_by": made_by(),
        "meta": dict(meta),
        "files": dict(files),
    }
    body["sum"] = _sum(body)
    replace_file(path, (json.dumps(body, indent=1, sort_keys=True) + "\n").encode())


def read_manifest(path: Path, format: str, newest: int) -> dict[str, Any]:
    """The manifest at `path`, checked. Raises as `read_artefact`."""
    try:
        body = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotACollection(f"there is no {format} in {path.parent}") from error
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is not readable as JSON: {error}") from error
    if not isinstance(body, dict) or body.get("format") != format:
        raise FormatError(f"{path} is not the manifest of a {format}", hint="point at the folder that nearsight wrote")
    if body.get("sum") != _sum({k: v for k, v in body.items() if k != "sum"}):
        raise Damaged(f"{path} is not as it was written")
    if not (
        isinstance(body.get("version"), int)
        and isinstance(body.get("meta"), dict)
        and isinstance(body.get("files"), dict)
        and all(isinstance(facts, dict) for facts in body["files"].values())
    ):
        raise Damaged(f"{path} lacks what a manifest holds")
    if body["version"] > newest:
        raise FormatError(f"{path} is of version {body['version']}; this nearsight reads up to {newest}")
    return body


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path` durably and at once: readers see the old file or the new one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)  # what tempfile makes is for its maker alone
        os.replace(name, path)
        sync_folder(path.parent)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise WriteFailed(f"could not write {path}: {error}") from error


@contextmanager
def replaced_whole(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to be written inside; afterwards it takes its place, durably, or is gone.

    Raises WriteFailed, for what is written inside too.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        sync_file(temporary)
        temporary.chmod(0o644)  # what tempfile makes is for its maker alone
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise WriteFailed(f"could not write {path}: {error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """fsync one file that was written by somebody else."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """fsync a folder, so that a rename in it survives power loss. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
