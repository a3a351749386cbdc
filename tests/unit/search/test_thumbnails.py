"""Thumbnails are kept by content, shared, bounded, and made again where their file is not what was written."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from nearsight.search import thumbnails
from nearsight.search.thumbnails import FOLDER, Thumbnails

ONE, TWO = b"1" * 32, b"2" * 32


def picture(side: int = 600) -> Image.Image:
    return Image.new("RGB", (side, side // 2), "teal")


def test_made_once_and_found_from_elsewhere(tmp_path: Path) -> None:
    kept = Thumbnails(tmp_path)
    assert kept.find(ONE, 320) is None
    made = kept.make(ONE, picture(), (6000, 3000), 320)
    assert Image.open(io.BytesIO(made.jpeg)).size == (320, 160)
    other = Thumbnails(tmp_path)
    assert other.find(ONE, 320) == made
    assert other.find(ONE, 128) is None
    assert other.find(TWO, 320) is None
    assert other.sizes([ONE, TWO]) == {ONE: (6000, 3000)}
    kept.forget(ONE)
    assert other.find(ONE, 320) is None
    assert other.sizes([ONE]) == {}
    kept.close()
    other.close()


def test_in_memory_nothing_is_written(tmp_path: Path) -> None:
    kept = Thumbnails(tmp_path, keep=False)
    made = kept.make(ONE, picture(), (600, 300), 128)
    assert kept.find(ONE, 128) == made
    kept.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write anywhere")
def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        kept = Thumbnails(tmp_path)
        assert kept.make(ONE, picture(), (600, 300), 128) == kept.find(ONE, 128)
        kept.close()
    finally:
        tmp_path.chmod(0o700)


def test_a_damaged_thumbnail_is_not_shown(tmp_path: Path) -> None:
    kept = Thumbnails(tmp_path)
    made = kept.make(ONE, picture(), (600, 300), 128)
    spoilt = bytearray(made.jpeg)
    spoilt[len(spoilt) // 2] ^= 1
    kept._db.execute("UPDATE thumbnail SET jpeg=?", (bytes(spoilt),))
    assert kept.find(ONE, 128) is None
    assert kept.make(ONE, picture(), (600, 300), 128) == kept.find(ONE, 128)
    kept.close()


@pytest.mark.parametrize("junk", [b"junk" * 4000, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "thumbnails.sqlite").write_bytes(junk)
    kept = Thumbnails(tmp_path)
    made = kept.make(ONE, picture(), (600, 300), 128)
    kept.close()
    again = Thumbnails(tmp_path)
    assert again.find(ONE, 128) == made
    again.close()


def test_a_file_that_is_damaged_while_it_is_open_is_begun_anew(tmp_path: Path) -> None:
    kept = Thumbnails(tmp_path)
    for number in range(40):
        kept.make(bytes([number]) * 32, picture(), (600, 300), 512)
    with open(tmp_path / FOLDER / "thumbnails.sqlite", "r+b") as file:
        file.write(b"\xff" * 200_000)
    assert kept.find(ONE, 512) is None
    made = kept.make(ONE, picture(), (600, 300), 512)
    assert kept.find(ONE, 512) == made
    kept.close()


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "_ON_DISK", 200_000)
    monkeypatch.setattr(thumbnails, "_AT_ONCE", 16)
    kept = Thumbnails(tmp_path)
    for number in range(300):
        kept.make(number.to_bytes(32, "big"), Image.effect_noise((128, 128), 80).convert("RGB"), (128, 128), 128)
    assert kept.find((299).to_bytes(32, "big"), 128) is not None
    assert kept.find((0).to_bytes(32, "big"), 128) is None
    assert (tmp_path / FOLDER / "thumbnails.sqlite").stat().st_size < 600_000
    kept.close()
