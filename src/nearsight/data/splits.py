"""Cutting a data set into what is learned from and what is judged with.

Two ways, for two questions. *Stratified*: every class is in both parts, and the question is whether new pictures of
known classes are found. *Disjoint*: a class is in one part only, and the question is whether classes that were never
learned are told apart, the usual one of metric learning (Oh Song et al., "Deep Metric Learning via Lifted Structured
Feature Embedding", CVPR 2016).

Where a picture falls follows from its path below the folder that all share, its label and the seed: not from the order
of items, nor from where the folder lies, and a picture added to a class moves few others. Files are not opened, so that
two copies of one picture under two names may fall apart, one into each part.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from nearsight.core.errors import DatasetError
from nearsight.core.events import Skipped
from nearsight.core.items import Item
from nearsight.data.datasets import Dataset, few

How = Literal["given", "stratified", "disjoint"]
TRAIN, TEST = "train", "test"
ALONE = "dataset/alone"
"""Code of the note on a picture that is the only one of its class: nothing could be found for it, so it trains."""


def split(dataset: Dataset, how: How, *, test: float, seed: int) -> Dataset:
    """The same items, each with split ``train`` or ``test``, whatever it had before.

    given       `dataset` as it is, with the splits that it came with; `test` and `seed` mean nothing
    stratified  the share `test` of each class, rounded, but one picture at least for either side
    disjoint    the share `test` of the classes, whole; two at least on either side

    A class of one picture goes to ``train`` and is noted in ``skipped`` (code ``dataset/alone``): it is not tested.

    Raises DatasetError: ``dataset/split`` (given, and there is no split ``train``; or no such way), ``dataset/share``
    (`test` not within 0 and 1), ``dataset/unlabelled``, ``dataset/one-class`` (too few classes to search among),
    ``dataset/alone`` (no class has two pictures).
    """
    if how == "given":
        if TRAIN not in dataset.splits:
            raise DatasetError(
                f"data set '{dataset.name}' has no split '{TRAIN}' to learn from",
                code="dataset/split",
                hint=f"its splits: {', '.join(dataset.splits) or 'none'}; or let them be made: stratified, disjoint",
            )
        return dataset
    if how not in ("stratified", "disjoint"):
        raise DatasetError(
            f"'{how}' is no way to split", code="dataset/split", hint="there are: given, stratified, disjoint"
        )
    chosen = _chosen(dataset.items, test, f"test {seed}", how == "disjoint", f"data set '{dataset.name}'")
    notes = [
        Skipped(str(item.path), ALONE, f"the only picture of class '{label}': it trains, and is not tested")
        for label, (item, *others) in sorted(_classes(dataset.items).items())
        if not others
    ]
    items = tuple(replace(item, split=TEST if item.key in chosen else TRAIN) for item in dataset.items)
    return replace(dataset, items=items, skipped=(*dataset.skipped, *notes))


def hold_out(
    items: Sequence[Item], share: float, seed: int, disjoint: bool
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """(what trains, what validates) of a training split's `items`, both in their order; nothing validates at share 0.

    The share is of each class, or with `disjoint` of the classes, as in `split`; a class of one picture trains. Take
    the way by which the test split was made: validation then asks what the test will ask. Raises DatasetError as
    `split` does.
    """
    if share == 0:
        return tuple(items), ()
    chosen = _chosen(items, share, f"validation {seed}", disjoint, "the training split")
    return tuple(i for i in items if i.key not in chosen), tuple(i for i in items if i.key in chosen)


def folds(items: Sequence[Item], number: int, seed: int) -> tuple[tuple[tuple[Item, ...], tuple[Item, ...]], ...]:
    """`number` times (what trains, what validates): the classes are dealt into as many parts, and each part validates
    once while the others train. A class of one picture trains always.

    Raises DatasetError: ``dataset/folds`` for fewer than two folds, or fewer than two classes of two pictures in each
    (nothing to tell apart, or nothing to find); ``dataset/unlabelled``.
    """
    bare = [str(item.path) for item in items if item.label is None]
    if bare:
        raise DatasetError(
            f"{len(bare)} of {len(items)} picture(s) have no label: {few(bare)}",
            code="dataset/unlabelled",
            hint="label them",
        )
    several = [label for label, members in _classes(items).items() if len(members) > 1]
    if number < 2 or len(several) < 2 * number:
        most = len(several) // 2
        raise DatasetError(
            f"{len(several)} classes of two pictures or more cannot be dealt into {number} folds: a fold is two "
            "classes or more, and there are two folds or more",
            code="dataset/folds",
            hint=f"{most} folds" if most >= 2 else "label more classes: training needs four of two pictures or more",
        )
    fold_of = {label: at % number for at, label in enumerate(_drawn(several, f"folds {seed}"))}
    return tuple(
        (
            tuple(item for item in items if fold_of.get(item.label or "") != fold),
            tuple(item for item in items if fold_of.get(item.label or "") == fold),
        )
        for fold in range(number)
    )


def _chosen(items: Sequence[Item], share: float, salt: str, disjoint: bool, what: str) -> set[int]:
    """Keys of the pictures that go to the other side. `what` is cut, for messages."""
    if not 0 < share < 1:
        raise DatasetError(
            f"a share of {share} cannot be taken of {what}", code="dataset/share", hint="a number between 0 and 1"
        )
    bare = [str(item.path) for item in items if item.label is None]
    if bare:
        raise DatasetError(
            f"{len(bare)} of {len(items)} picture(s) of {what} have no label: {few(bare)}",
            code="dataset/unlabelled",
            hint="label them, or take the splits that the data set comes with (given)",
        )
    classes = _classes(items)
    if len(classes) < 2:
        raise DatasetError(
            f"{what} has one class only ('{next(iter(classes), '')}'): any picture found would be right",
            code="dataset/one-class",
            hint="label two classes or more",
        )
    several = {label: members for label, members in classes.items() if len(members) > 1}
    if not several:
        raise DatasetError(
            f"none of the {len(classes)} classes of {what} has two pictures, so that none could be found for another",
            code=ALONE,
            hint="label more pictures of each class",
        )
    if disjoint:
        if len(classes) < 4 or len(several) < 2:
            raise DatasetError(
                f"{what} has {len(classes)} classes, {len(several)} of them with two pictures or more: too few to be "
                "parted into two to learn from and two to search among",
                code="dataset/one-class",
                hint="stratified, which parts the pictures of each class",
            )
        number = min(max(2, _rounded(share * len(classes))), len(classes) - 2, len(several))
        return {item.key for label in _drawn(several, salt)[:number] for item in several[label]}
    root = _root(items)
    chosen: set[int] = set()
    for members in several.values():
        names = {_below(item, root): item.key for item in members}
        number = min(max(1, _rounded(share * len(members))), len(members) - 1)
        chosen.update(names[name] for name in _drawn(names, salt)[:number])
    return chosen


def _classes(items: Sequence[Item]) -> dict[str, list[Item]]:
    classes: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.label is not None:
            classes[item.label].append(item)
    return classes


def _rounded(number: float) -> int:
    """The nearest integer, halves up: `round` takes 0.5 to 0 and 1.5 to 2."""
    return int(number + 0.5)


def _drawn(names: Iterable[str], salt: str) -> list[str]:
    """`names` in an order that looks random and depends on nothing but themselves and `salt`."""

    def place(name: str) -> bytes:
        return hashlib.sha256(salt.encode() + b"\0" + os.fsencode(name)).digest()

    return sorted(names, key=place)


def _root(items: Sequence[Item]) -> str | None:
    """The folder that all pictures lie below; None where there is none."""
    try:
        return os.path.commonpath([item.path.parent for item in items])
    except ValueError:  # two drives, or paths from the working folder beside absolute ones
        return None


def _below(item: Item, root: str | None) -> str:
    return (item.path.relative_to(root) if root is not None else item.path).as_posix()
