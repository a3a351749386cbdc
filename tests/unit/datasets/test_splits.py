"""Splits: what falls where, that it stays there, and what cannot be parted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearsight.core.errors import DatasetError
from nearsight.core.items import Item
from nearsight.data.datasets import Dataset
from nearsight.data.splits import folds, hold_out, split


def pictures(sizes: Sequence[int], root: str = "/data") -> tuple[Item, ...]:
    """`sizes[c]` pictures of class c."""
    names = [(f"class{c}", n) for c, size in enumerate(sizes) for n in range(size)]
    return tuple(Item(key, Path(root, label, f"{n}.jpg"), label) for key, (label, n) in enumerate(names))


def made(sizes: Sequence[int], root: str = "/data") -> Dataset:
    return Dataset("made", pictures(sizes, root))


def in_test(data: Dataset) -> set[str]:
    return {"/".join(item.path.parts[-2:]) for item in data.split("test")}


def refused(code: str, do: object) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        do()
    assert caught.value.code == f"dataset/{code}", caught.value
    return caught.value


# -- what falls where ------------------------------------------------------------------------------------------------
@given(st.lists(st.integers(1, 30), min_size=2, max_size=12), st.floats(0.01, 0.99), st.integers(0, 99))
def test_stratified_takes_the_share_of_each_class(sizes: list[int], share: float, seed: int) -> None:
    if max(sizes) < 2:
        refused("alone", lambda: split(made(sizes), "stratified", test=share, seed=seed))
        return
    data = split(made(sizes), "stratified", test=share, seed=seed)
    assert [replace(item, split=None) for item in data.items] == list(pictures(sizes))
    counts = Counter(item.label for item in data.split("test"))
    for c, size in enumerate(sizes):
        got = counts[f"class{c}"]
        if size == 1:
            assert got == 0
        else:
            assert 1 <= got <= size - 1
            assert abs(got - share * size) <= 0.5 or got in (1, size - 1)
    alone = {f"/data/class{c}/0.jpg" for c, size in enumerate(sizes) if size == 1}
    assert {note.path for note in data.skipped} == alone
    assert {note.code for note in data.skipped} <= {"dataset/alone"}


@given(st.lists(st.integers(1, 5), min_size=4, max_size=20), st.floats(0.01, 0.99), st.integers(0, 99))
def test_disjoint_takes_whole_classes(sizes: list[int], share: float, seed: int) -> None:
    several = sum(size > 1 for size in sizes)
    if several < 2:
        refused("one-class" if several else "alone", lambda: split(made(sizes), "disjoint", test=share, seed=seed))
        return
    data = split(made(sizes), "disjoint", test=share, seed=seed)
    sides = [{item.label for item in data.split(name)} for name in ("train", "test")]
    assert not sides[0] & sides[1]
    assert min(map(len, sides)) >= 2
    assert abs(len(sides[1]) - share * len(sizes)) <= 0.5 or len(sides[1]) in (2, len(sizes) - 2, several)
    assert all(sizes[int(label.removeprefix("class"))] > 1 for label in sides[1] if label)
    assert len(data.skipped) == sizes.count(1)


def test_halves_are_rounded_up_and_large_shares_leave_one() -> None:
    sizes = [2, 3, 5, 10]
    taken = {
        share: [Counter(i.label for i in hold_out(pictures(sizes), share, 0, False)[1])[f"class{c}"] for c in range(4)]
        for share in (0.1, 0.5, 0.95)
    }
    assert taken == {0.1: [1, 1, 1, 1], 0.5: [1, 2, 3, 5], 0.95: [1, 2, 4, 9]}


def test_what_was_skipped_before_is_still_named() -> None:
    once = split(made([1, 4]), "stratified", test=0.25, seed=0)
    assert len(split(Dataset("x", pictures([3, 3]), once.skipped), "stratified", test=0.5, seed=0).skipped) == 1


def test_every_picture_has_its_turn() -> None:
    """Over seeds each is tested about as often: neither the first nor the last of a class is preferred."""
    counts = Counter(p for s in range(300) for p in in_test(split(made([5, 5]), "stratified", test=0.4, seed=s)))
    assert len(counts) == 10
    assert all(85 <= count <= 155 for count in counts.values()), counts  # 120 +- 4 standard deviations


def test_given_is_left_as_it_is() -> None:
    items = [replace(item, split="train" if item.key % 2 else "val") for item in pictures([3, 3])]
    bare = Dataset("given", (*(replace(item, label=None) for item in items),))
    assert split(bare, "given", test=7, seed=0) is bare
    assert "stratified" in refused("split", lambda: split(made([3, 3]), "given", test=0.5, seed=0)).hint


# -- that it stays there ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["stratified", "disjoint"])
def test_neither_order_nor_keys_nor_the_folders_place_matter(how: str) -> None:
    first = split(made([6, 5, 4, 3, 2, 7]), how, test=0.4, seed=3)
    elsewhere = pictures([6, 5, 4, 3, 2, 7], "/mnt/other/deep")
    turned = Dataset("turned", tuple(replace(item, key=1000 - item.key) for item in reversed(elsewhere)))
    assert in_test(split(turned, how, test=0.4, seed=3)) == in_test(first)
    others = {frozenset(in_test(split(made([6, 5, 4, 3, 2, 7]), how, test=0.4, seed=s))) for s in range(9)}
    assert len(others) > 3


def test_a_new_picture_moves_one_other_at_most() -> None:
    for size in range(2, 20):
        before, after = (in_test(split(made([n, 5]), "stratified", test=0.3, seed=1)) for n in (size, size + 1))
        assert len((before ^ after) - {f"class0/{size}.jpg"}) <= 1


def test_a_split_is_this_one_for_ever() -> None:
    """A figure that was measured with a seed must be measured on the same pictures in the next version."""
    data = split(made([4, 4]), "stratified", test=0.5, seed=0)
    assert in_test(data) == {"class0/1.jpg", "class0/2.jpg", "class1/1.jpg", "class1/2.jpg"}


def test_relative_and_absolute_paths_side_by_side() -> None:
    mixed = (*pictures([4, 4]), Item(99, Path("here/x.jpg"), "class0"))
    train, held = hold_out(mixed, 0.5, 0, False)
    assert len(held) == 5
    assert len(train) == 4


# -- validation ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("disjoint", [False, True])
def test_held_out(disjoint: bool) -> None:
    items = pictures([8, 8, 1, 8, 8])
    train, held = hold_out(items, 0.25, 0, disjoint)
    assert sorted(i.key for i in (*train, *held)) == [i.key for i in items]
    assert [i.key for i in train] == sorted(i.key for i in train)
    shared = {i.label for i in train} & {i.label for i in held}
    assert shared == (set() if disjoint else {"class0", "class1", "class3", "class4"})
    assert len(held) == (16 if disjoint else 8)


def test_nothing_is_held_out_at_share_0() -> None:
    assert hold_out(pictures([1]), 0, 0, False) == (pictures([1]), ())


# -- what cannot be parted -------------------------------------------------------------------------------------------
def test_refused() -> None:
    good, some = made([4, 4, 4, 4]), pictures([3, 3])
    bare = (replace(some[0], label=None), replace(some[1], label=None), *some[2:])
    for share in (-0.1, 0.0, 1.0, 1.5, float("nan")):
        refused("share", lambda share=share: split(good, "stratified", test=share, seed=0))
    assert "2 of 6" in refused("unlabelled", lambda: split(Dataset("x", bare), "disjoint", test=0.5, seed=0)).message
    refused("unlabelled", lambda: hold_out(bare, 0.5, 0, False))
    refused("one-class", lambda: split(made([9]), "stratified", test=0.5, seed=0))
    refused("one-class", lambda: hold_out(pictures([9]), 0.5, 0, False))
    assert "stratified" in refused("one-class", lambda: hold_out(pictures([9, 9, 9]), 0.5, 0, True)).hint
    refused("split", lambda: split(good, "random", test=0.5, seed=0))


@pytest.mark.parametrize("number", [2, 3])
def test_folds_share_no_class_and_each_class_validates_once(number: int) -> None:
    items = pictures([3, 2, 4, 1, 5, 2, 3, 1, 2])
    validated: list[str | None] = []
    for train, held in folds(items, number, 0):
        mine = {item.label for item in held}
        assert len(mine) >= 2
        assert not mine & {item.label for item in train}
        assert sorted(item.key for item in (*train, *held)) == [item.key for item in items]
        assert {"class3", "class7"} <= {item.label for item in train}, "of one picture nothing can be found"
        validated += sorted(mine)
    assert sorted(validated) == [f"class{c}" for c in (0, 1, 2, 4, 5, 6, 8)]
    assert folds(items[::-1], number, 0)[0][1] == folds(items, number, 0)[0][1][::-1]
    assert any(folds(items, number, 0)[0] != folds(items, number, seed)[0] for seed in (1, 2, 3))


def test_folds_that_are_too_many_are_refused() -> None:
    assert "2 folds" in refused("folds", lambda: folds(pictures([2] * 5 + [1] * 9), 3, 0)).hint
    refused("folds", lambda: folds(pictures([2] * 5), 1, 0))
    assert "four" in refused("folds", lambda: folds(pictures([2, 2, 2]), 2, 0)).hint
    bare = tuple(replace(item, label=None) for item in pictures([4, 4]))
    refused("unlabelled", lambda: folds(bare, 2, 0))
