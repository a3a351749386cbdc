"""Pictures of a training: proven once, counted, kept, augmented by place alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearsight.core.errors import DatasetError
from nearsight.core.events import Skipped, Step
from nearsight.core.items import Item
from nearsight.encode.preprocess import Preprocess
from nearsight.learn.augment import Augment
from nearsight.learn.pictures import Loader, Pictures, proven
from unit.learn.conftest import drain

SIZE = Preprocess(16, 16, fit="squash")


def read(items: list[Item], **given: Any) -> Pictures:
    return drain(proven(items, **{"side": 16, "cache_mb": 64, "workers": 2, **given}))


def test_what_cannot_be_used_is_named_and_left_out(squares: list[Item], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(squares[0].path.read_bytes()[:60])
    items = [*squares[:3], Item(90, broken, "red"), Item(91, tmp_path / "none.png", "red"), *squares[3:]]
    events: list[Any] = []
    found = drain(proven(items, side=16, cache_mb=64, workers=2), events)
    assert [item.key for item in found.items] == [item.key for item in squares]
    assert [event.path for event in events if isinstance(event, Skipped)] == [str(broken), str(tmp_path / "none.png")]
    assert found.skipped == tuple(event for event in events if isinstance(event, Skipped))
    last = [event for event in events if isinstance(event, Step)][-1]
    assert (last.done, last.total) == (len(items), len(items))


def test_labels_are_numbers_of_sorted_names(squares: list[Item]) -> None:
    found = read(squares[::-1])
    assert found.names == ("blue", "green", "red")
    assert [found.names[at] for at in found.labels] == [item.label for item in squares[::-1]]


def test_the_digest_is_of_content_and_labels_alone(squares: list[Item], tmp_path: Path) -> None:
    moved = []
    for item in squares[::-1]:
        path = tmp_path / item.path.name
        path.write_bytes(item.path.read_bytes())
        moved.append(replace(item, path=path, key=item.key + 7))
    digest = read(squares).digest
    assert read(moved).digest == digest
    assert read([replace(moved[0], label="blue"), *moved[1:]]).digest != digest
    assert read(moved[1:]).digest != digest


def test_pictures_without_labels_and_no_pictures_are_errors(squares: list[Item], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="1 of 24") as bare:
        read([replace(squares[0], label=None), *squares[1:]])
    assert bare.value.code == "dataset/unlabelled"
    with pytest.raises(DatasetError, match="none of 1") as empty:
        read([Item(0, tmp_path / "none.png", "red")])
    assert empty.value.code == "dataset/empty"


@pytest.mark.parametrize("cache_mb", [0, 64])
def test_a_cache_changes_nothing(cache_mb: int, squares: list[Item]) -> None:
    found = read(squares, cache_mb=cache_mb)
    assert np.array_equal(np.asarray(found.open(5)), np.asarray(read(squares).open(5)))


def batches(pictures: Pictures, rows: list[tuple[int, int, list[int]]]) -> dict[int, Any]:
    augment = Augment(scale=0.5, jitter=0.3, erase=0.5)
    with ThreadPoolExecutor(2) as pool:
        given = ((position, first, np.array(some)) for position, first, some in rows)
        return dict(Loader(pictures, SIZE, pool).training(given, augment, (0, 3)))


def test_what_is_random_follows_from_position_and_place(pictures: Pictures) -> None:
    whole = batches(pictures, [(0, 0, [1, 2]), (1, 0, [3, 4, 3]), (2, 0, [5]), (3, 0, [6]), (4, 0, [7])])
    assert np.array_equal(batches(pictures, [(1, 0, [3, 4, 3])])[1], whole[1])
    assert np.array_equal(batches(pictures, [(1, 1, [4, 3])])[1], whole[1][1:]), "a process's part"
    assert not np.array_equal(whole[1][0], whole[1][2]), "a repeat is another crop"
    assert list(whole) == [0, 1, 2, 3, 4]
    assert whole[0].shape == (2, 16, 16, 3)


def test_measuring_sees_what_the_encoder_sees(pictures: Pictures) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = np.concatenate(list(Loader(pictures, SIZE, pool).measuring(7)))
    assert np.array_equal(found, np.stack([SIZE(pictures.open(row)) for row in range(len(pictures))]))


def test_a_subset_is_what_reading_only_those_would_have_given(squares: list[Item]) -> None:
    rows = [20, 3, 17, 0]
    part, alone = read(squares).subset(rows), read([squares[row] for row in rows])
    assert (part.items, part.names, part.digest) == (alone.items, alone.names, alone.digest)
    assert part.names == ("blue", "red")
    assert part.labels.tolist() == alone.labels.tolist() == [1, 0, 1, 0]
    assert part.subset([1]).digest == read([squares[3]]).digest


def test_a_subset_decodes_nothing_again(squares: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(squares)
    monkeypatch.setattr("nearsight.learn.pictures.decode", None)
    assert whole.subset([9, 5]).open(1) is whole.open(5)
