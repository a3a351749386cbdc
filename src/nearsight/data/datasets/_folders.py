"""Reading folders of class folders, shared by the sets that are laid out so."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nearsight.core.errors import DatasetError
from nearsight.core.events import Skipped
from nearsight.core.items import Item
from nearsight.data.datasets import few

SPLITS = ("train", "val", "valid", "validation", "test")


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in a tree of class folders: items in the order of their paths, with keys from 0."""

    items: tuple[Item, ...]
    skipped: tuple[Skipped, ...]


def read_classes(folder: Path) -> Found:
    """``folder[/SPLIT]/CLASS/**/FILE``: every regular file that is not hidden is an item; decoding judges its content.

    A level of split folders is taken where a folder named as a split holds folders and no files: a class may be called
    "train", but its pictures lie in it. Symbolic links are followed to files and to class folders, not below them.
    Raises DatasetError: ``dataset/missing``, ``dataset/layout`` (split folders beside others; no class folders),
    ``dataset/empty-class``.
    """
    if not folder.is_dir():
        raise DatasetError(f"there is no folder {folder}", code="dataset/missing", hint="check the path")
    skipped: list[Skipped] = []
    tops = _folders(folder, skipped)
    splits = [top for top in tops if top.name.lower() in SPLITS and _holds_only_folders(top)]
    if splits and len(splits) < len(tops):
        others = [top.name for top in tops if top not in splits]
        raise DatasetError(
            f"{folder} has split folders ({few([s.name for s in splits])}) beside others: {few(others)}",
            code="dataset/layout",
            hint="put class folders into split folders, or have no split folders",
        )
    classes = (
        [(split.name.lower(), c) for split in splits for c in _folders(split, skipped)]
        if splits
        else [(None, top) for top in tops]
    )
    if not classes:
        raise DatasetError(
            f"{folder} holds no class folders",
            code="dataset/layout",
            hint="expected FOLDER/CLASS/picture or FOLDER/train/CLASS/picture",
        )
    found: list[tuple[Path, str, str | None]] = []
    empty = []
    for split, class_folder in classes:
        files = _files(class_folder, skipped)
        if not files:
            empty.append(str(class_folder.relative_to(folder)))
        found += [(file, class_folder.name, split) for file in files]
    if empty:
        raise DatasetError(
            f"{len(empty)} class folder(s) without pictures in {folder}: {few(empty)}",
            code="dataset/empty-class",
            hint="remove the folder, or put its pictures there",
        )
    found.sort(key=lambda one: os.fsencode(one[0]))
    items = tuple(Item(key, path, label, split) for key, (path, label, split) in enumerate(found))
    return Found(items, tuple(skipped))


def _folders(folder: Path, skipped: list[Skipped]) -> list[Path]:
    """Visible folders in `folder`; files beside them belong to no class."""
    inside = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    for path in inside:
        if not path.is_dir():
            skipped.append(Skipped(str(path), "dataset/no-class", "lies outside the class folders"))
    return [p for p in inside if p.is_dir()]


def _holds_only_folders(folder: Path) -> bool:
    inside = [p for p in folder.iterdir() if not p.name.startswith(".")]
    return bool(inside) and all(p.is_dir() for p in inside)


def _files(folder: Path, skipped: list[Skipped]) -> list[Path]:
    def unreadable(error: OSError) -> None:
        skipped.append(Skipped(str(error.filename), "dataset/unreadable", str(error)))

    files = []
    for where, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            link = Path(where, name)
            if link.is_symlink():
                skipped.append(Skipped(str(link), "dataset/link", "a link to a folder inside a class"))
        for name in names:
            path = Path(where, name)
            if name.startswith("."):
                continue
            if path.is_file():
                files.append(path)
            else:
                skipped.append(Skipped(str(path), "dataset/not-a-file", "a broken link or not a regular file"))
    return files
