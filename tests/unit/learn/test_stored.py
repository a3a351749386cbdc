"""Pictures decoded once: the same pixels, whole or absent, each file once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import Damaged, DatasetError, NotACollection
from nearsight.core.events import Skipped
from nearsight.learn.stored import PIXELS, open_stored, store


def files(folder: Path) -> list[tuple[str, Path]]:
    draw = np.random.default_rng(0)
    found = []
    for number, size in enumerate([(20, 30), (31, 8), (90, 45), (16, 16)]):
        path = folder / f"{number}.png"
        Image.fromarray(draw.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path)
        found.append((f"kind/{number}", path))
    return found


def test_what_is_stored_is_what_was_decoded(tmp_path: Path) -> None:
    given = files(tmp_path)
    list(store(tmp_path / "kept", given, longest=40))
    kept = open_stored(tmp_path / "kept")
    assert kept.names == tuple(name for name, _ in given)
    assert kept.hashes == tuple(hashlib.sha256(path.read_bytes()).hexdigest() for _, path in given)
    assert [kept.open(row).size for row in range(4)] == [(20, 30), (31, 8), (40, 20), (16, 16)]
    for row in (0, 1, 3):
        assert np.array_equal(np.asarray(kept.open(row)), np.asarray(Image.open(given[row][1])))
    list(store(tmp_path / "again", given, longest=40))
    list(store(tmp_path / "fewer", given[:3], longest=40))
    assert open_stored(tmp_path / "again").digest == kept.digest != open_stored(tmp_path / "fewer").digest


def test_copies_and_what_cannot_be_used_are_named_and_left_out(tmp_path: Path) -> None:
    given = files(tmp_path)
    (tmp_path / "copy.png").write_bytes(given[1][1].read_bytes())
    (tmp_path / "text.png").write_text("no picture")
    more = [*given, ("copy", tmp_path / "copy.png"), ("text", tmp_path / "text.png")]
    events = list(store(tmp_path / "kept", more, longest=40))
    skipped = [event for event in events if isinstance(event, Skipped)]
    assert [one.code for one in skipped][:1] == ["picture/copy"]
    assert len(skipped) == 2
    assert open_stored(tmp_path / "kept").names == tuple(name for name, _ in given)


def test_nothing_is_there_until_all_of_it_is(tmp_path: Path) -> None:
    running = store(tmp_path / "kept", files(tmp_path), longest=40)
    next(running)
    running.close()
    with pytest.raises(NotACollection):
        open_stored(tmp_path / "kept")
    assert [path.suffix for path in tmp_path.iterdir()] == [".png"] * 4
    with pytest.raises(DatasetError) as caught:
        list(store(tmp_path / "kept", [], longest=40))
    assert caught.value.code == "dataset/empty"


def test_damage_is_found(tmp_path: Path) -> None:
    list(store(tmp_path / "kept", files(tmp_path), longest=40))
    pixels = bytearray((tmp_path / "kept" / PIXELS).read_bytes())
    pixels[5] ^= 1
    (tmp_path / "kept" / PIXELS).write_bytes(pixels)
    with pytest.raises(Damaged, match=PIXELS):
        open_stored(tmp_path / "kept")
