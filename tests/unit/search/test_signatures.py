"""What is kept of pictures: whole or absent, made again where it is lost, gone with its picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.search.duplicates import signatures
from nearsight.search.duplicates.signatures import FOLDER, Row, Shelf, signature


def name(number: int) -> bytes:
    return number.to_bytes(32, "big")


def row(number: int) -> Row:
    colour = (number % 256, 40, 90)
    return signature(Image.new("RGB", (64, 48), colour), (64 + number, 48), name(number))


def shards(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("shard-*"))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "SHARD", 4)


def filled(folder: Path, numbers: range) -> Shelf:
    shelf = Shelf(folder, write=True)
    for number in numbers:
        shelf.add(row(number))
    return shelf


def test_what_was_written_is_found_again(tmp_path: Path) -> None:
    filled(tmp_path, range(10)).tidy({name(n) for n in range(10)})
    again = Shelf(tmp_path, write=False)
    places = again.places([name(7), name(99), name(2)])
    assert places[1].tolist() == [-1, -1]
    assert again.sizes(places[[0, 2]]).tolist() == [[71, 48], [66, 48]]
    found = again.signatures(places[[0, 2]])
    np.testing.assert_array_equal(found.luma, np.concatenate([row(7)["luma"], row(2)["luma"]]))
    np.testing.assert_array_equal(found.chroma, np.concatenate([row(7)["chroma"], row(2)["chroma"]]))


def test_a_run_that_dies_keeps_its_full_shards(tmp_path: Path) -> None:
    filled(tmp_path, range(10))
    assert (Shelf(tmp_path, write=True).places([name(n) for n in range(10)])[:, 0] >= 0).sum() == 8


def test_shards_are_filled_up_and_the_dead_leave(tmp_path: Path) -> None:
    for start in range(0, 6, 2):
        filled(tmp_path, range(start, start + 2)).tidy({name(n) for n in range(6)})
    assert len(shards(tmp_path)) == 2
    Shelf(tmp_path, write=True).tidy({name(n) for n in range(6) if n != 3})
    again = Shelf(tmp_path, write=False)
    assert (again.places([name(n) for n in range(6)])[:, 0] >= 0).tolist() == [True, True, True, False, True, True]
    assert len(shards(tmp_path)) == 2
    before = shards(tmp_path)
    Shelf(tmp_path, write=True).tidy({name(n) for n in range(6)})
    assert shards(tmp_path) == before, "nothing to do"
    Shelf(tmp_path, write=True).tidy(set())
    assert not shards(tmp_path)


def test_a_damaged_shard_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    filled(tmp_path, range(8)).tidy({name(n) for n in range(8)})
    file = shards(tmp_path)[0] / "rows.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert (Shelf(tmp_path, write=False).places([name(n) for n in range(8)])[:, 0] >= 0).sum() == 4


def test_reading_only_writes_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, write=False)
    for number in range(9):
        shelf.add(row(number))
    shelf.tidy({name(n) for n in range(9)})
    assert (shelf.places([name(n) for n in range(9)])[:, 0] >= 0).all()
    assert list(tmp_path.iterdir()) == []
