"""Data sets: pictures on disk with labels, splits and captions.

To add one, write ``datasets/NAME.py`` with a docstring and ``build(variant=None, *, root: Path | None, option=default,
...) -> Dataset``. `root` is the folder to look in; a set that makes its own pictures writes them below it (default: the
user's cache folder) once, completely or not at all (see ``_made``). Keys are unique, and the same files get the same
keys. What cannot be used is an error that names and counts it, or stands in ``Dataset.skipped`` with its reason:
nothing is dropped silently. tests/contracts/test_datasets.py finds the file and judges it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from nearsight.core.errors import DatasetError
from nearsight.core.events import Skipped
from nearsight.core.items import Benchmark, Item
from nearsight.core.registry import Catalogue

DATASETS = Catalogue("nearsight.data.datasets", "data set")
ROOT_VARIABLE = "NEARSIGHT_DATA"
EMPTY_CAPTION = "dataset/empty-caption"
"""Code of the note on a caption that holds nothing but blanks."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pictures on disk, and what is known of them.

    items    at least one; keys and paths unique (else DatasetError, codes ``dataset/empty``, ``dataset/duplicate``)
    skipped  files and rows that were left out, each with its reason
    """

    name: str
    items: tuple[Item, ...]
    skipped: tuple[Skipped, ...] = ()

    def __post_init__(self) -> None:
        if not self.items:
            raise DatasetError(
                f"data set '{self.name}' has no usable pictures; {len(self.skipped)} were left out"
                + (f", the first ({self.skipped[0].path}) because: {self.skipped[0].why}" if self.skipped else ""),
                code="dataset/empty",
                hint="look at the folder or table it was read from",
            )
        for what, values in (("key", [i.key for i in self.items]), ("path", [i.path for i in self.items])):
            twice = [str(value) for value, count in Counter(values).items() if count > 1]
            if twice:
                raise DatasetError(
                    f"data set '{self.name}' has {len(twice)} {what}(s) more than once: {few(twice)}",
                    code="dataset/duplicate",
                    hint=f"give every picture one {what}",
                )

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        return tuple(sorted({item.label for item in self.items if item.label is not None}))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that occur, sorted."""
        return tuple(sorted({item.split for item in self.items if item.split is not None}))

    def split(self, name: str) -> tuple[Item, ...]:
        """The items of one split. Raises DatasetError (code ``dataset/split``) where there is none of that name."""
        if name not in self.splits:
            raise DatasetError(
                f"data set '{self.name}' has no split '{name}'",
                code="dataset/split",
                hint=f"its splits: {', '.join(self.splits)}"
                if self.splits
                else "it has none: a table's stand in its column `split`, a folder's are its folders train and test; "
                "protocol `loo` needs none",
            )
        return tuple(item for item in self.items if item.split == name)

    def benchmark(self, protocol: str) -> Benchmark:
        """Who queries whom. The same label is relevant.

        ``test->train``  every item of split ``test`` queries all of split ``train`` (any two splits)
        ``test-loo``     every item of split ``test`` queries the others of that split (any split)
        ``loo``          every item queries all others

        Raises DatasetError: ``dataset/protocol`` (not of these forms), ``dataset/split`` (no such split),
        ``dataset/unlabelled`` (an item in it has no label, so that nothing says what is relevant).
        """
        asking, arrow, answering = protocol.partition("->")
        if protocol == "loo":
            queries = gallery = self.items
        elif arrow and asking and answering and asking != answering:
            queries, gallery = self.split(asking), self.split(answering)
        elif not arrow and protocol.endswith("-loo"):
            queries = gallery = self.split(protocol.removesuffix("-loo"))
        else:
            raise DatasetError(
                f"'{protocol}' is not a protocol",
                code="dataset/protocol",
                hint="test->train (two splits), test-loo (one split, leave one out), loo (all, leave one out)",
            )
        involved = queries if queries is gallery else (*queries, *gallery)
        bare = [str(item.path) for item in involved if item.label is None]
        if bare:
            raise DatasetError(
                f"{len(bare)} picture(s) of '{self.name}' have no label: {few(bare)}",
                code="dataset/unlabelled",
                hint="label them, or take a protocol without them",
            )
        return Benchmark(self.name, protocol, queries, gallery, queries_in_gallery=queries is gallery)


def load(address: str, root: Path | None = None) -> Dataset:
    """The data set at a component address (``mit_split``, ``folder/my/pictures``, ``drawn?n=80``).

    `root` is where it lies (or is written); default: the environment variable NEARSIGHT_DATA for sets that are found,
    the user's cache folder for sets that are made. Raises UnknownName, DatasetError, MissingExtra, WriteFailed.
    """
    return cast(Dataset, DATASETS.build(address, root=root))


def home(root: Path | None, name: str) -> Path:
    """Where a set that must already be there is looked for. Raises DatasetError (``dataset/root``) if nobody said."""
    if root is not None:
        return root
    if os.environ.get(ROOT_VARIABLE):
        return Path(os.environ[ROOT_VARIABLE])
    raise DatasetError(
        f"nobody said where the data set '{name}' lies",
        code="dataset/root",
        hint=f"give its root folder, or set {ROOT_VARIABLE} to the folder that holds the data sets",
    )


def place(variant: str | None, root: Path | None, name: str) -> Path:
    """The folder or file that ``name/VARIANT`` means: VARIANT below `root` (or the working folder), or `root` itself.

    Raises DatasetError: ``dataset/root`` (neither given), ``dataset/missing`` (nothing there).
    """
    if variant is None and root is None:
        raise DatasetError(f"which {name}?", code="dataset/root", hint=f"write {name}/PATH, or give a root folder")
    path = (root or Path()) / Path(variant or "").expanduser()
    if not path.exists():
        raise DatasetError(f"there is no {path}", code="dataset/missing", hint="check the path and what is mounted")
    return path


def usable_captions(path: Path, given: Iterable[object]) -> tuple[tuple[str, ...], tuple[Skipped, ...]]:
    """(the captions of the picture at `path` without blanks around them, a note on each that is nothing but blanks).

    Anything else is a caption: punctuation, an emoji, ten thousand words.
    """
    texts = [str(one if one is not None else "").strip() for one in given]
    notes = [
        Skipped(str(path), EMPTY_CAPTION, f"its caption {number} of {len(texts)} is empty", "write it, or remove it")
        for number, text in enumerate(texts, start=1)
        if not text
    ]
    return tuple(filter(None, texts)), tuple(notes)


def few(names: Sequence[str], most: int = 3) -> str:
    """The first of many names, for a message."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
