"""What two heads are trained on: the features of captioned pictures, split by split, and which caption is of which."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import unit
from nearsight.core.errors import InputError
from nearsight.core.events import Event
from nearsight.data.captions import NO_CAPTIONS, Captioned, captioned
from nearsight.data.datasets import Dataset, load
from nearsight.encode.features import PictureSets, picture_sets
from nearsight.encode.texts import TEXTS, Words
from nearsight.learn.from_pairs import FromPairs
from nearsight.learn.recipe import Captioned as Wanted
from nearsight.learn.recipe import PairRecipe
from nearsight.study.crossmodal.judge import Bank
from nearsight.study.features import picture_features, text_features
from nearsight.study.shards import Sets


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some rows of Sets, in another order."""

    sets: Sets
    index: NDArray[np.int64]

    @property
    def digest(self) -> str:
        """Of their content and order."""
        return hashlib.sha256(self.sets.digest.encode() + self.index.tobytes()).hexdigest()

    @property
    def width(self) -> int:
        """Numbers a vector."""
        return self.sets.width

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """See Sets."""
        return self.sets.rows(self.index[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """One split: the relation of those pictures and captions that could be used, and their features."""

    relation: Captioned
    source: FromPairs

    def bank(self, vectors: NDArray[np.float32]) -> Bank:
        """Raw vectors (n + m, dim) of pictures and texts as what a hubness correction looks at."""
        n = len(self.relation.pictures)
        return Bank(self.relation, unit(vectors[:n]), unit(vectors[n:]))


@dataclass(frozen=True, slots=True, eq=False)
class Featured:
    """All of a recipe's data. ``validation`` and ``test`` are None where the recipe names no such split."""

    train: Split
    validation: Split | None
    test: Split | None
    pictures: PictureSets
    words: Words


def dataset_of(data: Wanted) -> Dataset:
    """The captioned pictures that a recipe names. Raises DatasetError, UnknownName, InputError (``recipe/data``)."""
    if not data.source:
        raise InputError(
            "the recipe names no captioned pictures",
            code="recipe/data",
            hint="--data TABLE with columns path and caption, or [data] source = 'karpathy/flickr8k'",
        )
    return load(data.source, Path(data.root).expanduser() if data.root else None)


def featured(recipe: PairRecipe, *, folder: Path | None = None) -> Generator[Event, None, Featured]:
    """Load the data of a recipe and take the features of all its pictures and captions, once.

    What is left out becomes Skipped events. `folder`: where features are kept. Raises what `dataset_of` and the
    features raise, DatasetError for a split that is not there or has no captions, UnknownName and EncoderError for a
    tower or word vectors that cannot be had.
    """
    data = recipe.data
    dataset = dataset_of(data)
    train = captioned(dataset, data.train)
    others = [captioned(dataset, name) if name else None for name in (data.validation, data.test)]
    pictures = picture_sets(recipe.pictures.tower)
    words: Words = TEXTS.build(recipe.text.words)
    words.fit(train.texts)
    yield from dataset.skipped
    yield from words.skipped
    learned = yield from _split(train, pictures, words, folder)
    splits: list[Split | None] = []
    for relation in others:
        splits.append(None if relation is None else (yield from _split(relation, pictures, words, folder)))
    return Featured(learned, splits[0], splits[1], pictures, words)


def _split(
    relation: Captioned, pictures: PictureSets, words: Words, folder: Path | None
) -> Generator[Event, None, Split]:
    def name(text: int) -> str:
        return f"{relation.pictures[int(relation.of[text])].path} ({relation.texts[text][:60]!r})"

    seen = yield from picture_features(relation.pictures, pictures, folder=folder)
    read = yield from text_features(relation.texts, words, name, folder=folder)
    lost = np.setdiff1d(np.arange(len(relation.pictures)), seen.kept)
    mute = np.setdiff1d(np.arange(len(relation.texts)), read.kept)
    left = relation
    if len(lost) or len(mute):
        left = relation.without(lost.tolist(), mute.tolist(), (*seen.skipped, *read.skipped))
    yield from (note for note in left.skipped if note.code == NO_CAPTIONS)  # all others were told
    stay = ~np.isin(relation.of, lost)
    stay[mute] = False
    source = FromPairs(
        Rows(seen.sets, np.searchsorted(seen.kept, np.searchsorted(relation.ids, left.ids))),
        Rows(read.sets, np.searchsorted(read.kept, np.flatnonzero(stay))),
        left.of,
    )
    return Split(left, source)
