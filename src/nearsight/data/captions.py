"""Which caption is of which picture: one relation, which the sampler, the loss's mask and the evaluator share.

Captions of one picture are never each other's negatives, and that is held in one place: `Captioned.of`. The relation
stands in an order of its own (pictures by key, the captions of a picture by their text), so that neither the order of a
listing nor that of a picture's captions changes a number that is made of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Keys
from nearsight.core.errors import DatasetError
from nearsight.core.events import Skipped
from nearsight.core.items import Item
from nearsight.core.relevance import keys_of
from nearsight.data.datasets import EMPTY_CAPTION, Dataset, few, usable_captions

NO_CAPTIONS = "dataset/no-captions"
"""Code of the note on a picture that nobody described, and of the error where that is true of all of them."""


@dataclass(frozen=True, eq=False)
class Captioned:
    """n pictures and their m captions. Made by `captioned`.

    name      of the data set
    split     which part of it; None: all
    pictures  n items, by rising key
    texts     m captions: those of the first picture, then those of the second, each picture's sorted
    of        (m,) int64, each caption's picture as a row of `pictures`; rising, and every row occurs
    skipped   pictures without captions and captions that are empty, each with its reason
    """

    name: str
    split: str | None
    pictures: tuple[Item, ...]
    texts: tuple[str, ...]
    of: NDArray[np.int64]
    skipped: tuple[Skipped, ...] = ()

    def __post_init__(self) -> None:
        order = [(row, text) for row, text in zip(self.of.tolist(), self.texts, strict=True)]
        whole = np.array_equal(np.unique(self.of), np.arange(len(self.pictures)))
        if not whole or order != sorted(order) or bool(np.any(np.diff(self.ids) <= 0)):
            raise DatasetError(
                f"captions of {self.name}: every picture has one or more, pictures stand by key and captions by text",
                code="dataset/relation",
                hint="let nearsight.data.captions.captioned make it",
            )

    @cached_property
    def ids(self) -> Keys:
        """(n,) the pictures' keys, rising."""
        return keys_of(self.pictures)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """(n + 1,) the captions of picture i are those from ``starts[i]`` up to, not including, ``starts[i + 1]``."""
        return np.searchsorted(self.of, np.arange(len(self.pictures) + 1)).astype(np.int64)

    @cached_property
    def shared(self) -> int:
        """How many captions stand, letter by letter, under more than one picture: all of them are kept, and only the
        picture's own is right."""
        owners: dict[str, set[int]] = {}
        for row, text in zip(self.of.tolist(), self.texts, strict=True):
            owners.setdefault(text, set()).add(row)
        return sum(len(owners[text]) > 1 for text in self.texts)

    @cached_property
    def digest(self) -> str:
        """sha256 of keys, file names and captions; the same in whatever order they were given."""
        rows = [
            [item.key, item.path.name, self.texts[begin:end]]
            for item, begin, end in zip(self.pictures, self.starts[:-1], self.starts[1:], strict=True)
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def matches(self, pictures: NDArray[np.int64], texts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Rows of pictures (p,) and of texts (t,) -> (p, t): which text is of which picture."""
        own: NDArray[np.bool_] = self.of[texts][None, :] == pictures[:, None]
        return own

    def without(self, pictures: Iterable[int], texts: Iterable[int], notes: Iterable[Skipped] = ()) -> Captioned:
        """The relation without some rows; `notes` say why. A picture that has no caption left goes too, and is named.

        Raises DatasetError (code ``dataset/no-captions``) where nothing is left.
        """
        lost = np.fromiter(pictures, dtype=np.int64)
        gone = np.isin(self.of, lost)
        gone[np.fromiter(texts, dtype=np.int64)] = True
        rows, of = np.unique(self.of[~gone], return_inverse=True)
        bare = np.setdiff1d(np.arange(len(self.pictures)), [*rows, *lost])
        skipped = (*self.skipped, *notes, *(_bare(self.pictures[row]) for row in bare))
        if not rows.size:
            raise _nothing(f"no caption of {self.name} can be used", skipped)
        left = tuple(text for text, away in zip(self.texts, gone, strict=True) if not away)
        return replace(
            self, pictures=tuple(self.pictures[row] for row in rows), texts=left, of=of.astype(np.int64),
            skipped=skipped,
        )  # fmt: skip


def captioned(dataset: Dataset, split: str | None = None) -> Captioned:
    """The pictures of a split (None: all) with their captions.

    Pictures without captions and captions that are empty stand in ``skipped``; nothing else is left out. Raises
    DatasetError: ``dataset/split`` where there is no such split, ``dataset/no-captions`` where no picture has one.
    """
    items = dataset.items if split is None else dataset.split(split)
    paths = {str(item.path) for item in items}
    skipped = [event for event in dataset.skipped if event.code == EMPTY_CAPTION and event.path in paths]
    pictures: list[Item] = []
    texts: list[str] = []
    of: list[int] = []
    for item in sorted(items, key=lambda item: item.key):
        own, empty = usable_captions(item.path, item.captions)
        skipped += empty
        if own:
            of += [len(pictures)] * len(own)
            texts += sorted(own)
            pictures.append(item)
        else:
            skipped.append(_bare(item))
    if not pictures:
        raise _nothing(f"none of the {len(items)} pictures of {dataset.name} has a caption", skipped)
    return Captioned(dataset.name, split, tuple(pictures), tuple(texts), np.array(of, dtype=np.int64), tuple(skipped))


def _bare(item: Item) -> Skipped:
    return Skipped(str(item.path), NO_CAPTIONS, "has no captions that can be used", "describe it, or leave it out")


def _nothing(message: str, skipped: Iterable[Skipped]) -> DatasetError:
    names = [f"{event.path}: {event.why}" for event in skipped]
    return DatasetError(
        f"{message} ({few(names, 1)})" if names else message,
        code=NO_CAPTIONS,
        hint="captions come with karpathy/FILE.json, a table with a column 'caption' (nearsight show datasets table), "
        "or drawn",
    )
