"""A folder of class folders: ``folder/PATH``, laid out PATH/CLASS/picture or PATH/train/CLASS/picture."""

from __future__ import annotations

from pathlib import Path

from nearsight.data.datasets import Dataset, place
from nearsight.data.datasets._folders import read_classes


def build(variant: str | None = None, *, root: Path | None) -> Dataset:
    """`variant` is the folder, below `root` if that is given; without a variant, `root` itself is the folder.

    Raises DatasetError (see ``_folders.read_classes``).
    """
    folder = place(variant, root, "folder")
    found = read_classes(folder)
    return Dataset(folder.resolve().name or "folder", found.items, found.skipped)
