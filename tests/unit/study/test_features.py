"""Features on disk: made once, whole after a kill, never anybody else's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import EncoderError, WriteFailed
from nearsight.core.events import Encoded, Skipped, Step
from nearsight.core.items import Item
from nearsight.encode.encoder import create
from nearsight.encode.features import PictureSets
from nearsight.encode.texts import WordSet
from nearsight.study import features
from nearsight.study.features import Features, picture_features, text_features
from nearsight.study.shards import Sets

SHARD = 4


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "PICTURES", SHARD)
    monkeypatch.setattr(features, "TEXTS", SHARD)


def drain(work: Generator[Any, None, Features], see: list[Any] | None = None) -> Features:
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            found: Features = end.value
            return found
        if see is not None:
            see.append(event)


class Source(PictureSets):
    """The cells of a 3 x 2 thumbnail where they are light enough, and how many pictures were given."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(create("colour?bins=4").tower)
        self.members, self.width, self.batch, self.scale = 6, 3, 3, scale
        self._identity = {"scale": scale}
        self.given = 0

    def prepare(self, picture: Image.Image) -> np.ndarray:
        return np.asarray(picture.resize((3, 2)))

    def forward(self, prepared: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        self.given += len(prepared)
        cells = np.stack(prepared).reshape(-1, 6, 3).astype(np.float32) * self.scale
        counts = 1 + np.stack(prepared).reshape(len(prepared), -1).sum(axis=1) % 6
        mask = np.arange(6) < counts[:, None]
        return np.where(mask[:, :, None], cells, 0).astype(np.float32), mask


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    draw = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    made = []
    for key in range(10):
        path = tmp_path / "pictures" / f"{key}.png"
        Image.fromarray(draw.integers(0, 256, (8, 9, 3), dtype=np.uint8)).save(path)
        made.append(Item(key, path))
    return made


def all_rows(sets: Sets) -> tuple[np.ndarray, np.ndarray]:
    return sets.rows(np.arange(len(sets)))


def expected(items: Sequence[Item], source: Source) -> list[np.ndarray]:
    shown = [source.prepare(Image.open(item.path)) for item in items]
    vectors, mask = source.forward(shown)
    return [v[m].astype(np.float16).astype(np.float32) for v, m in zip(vectors, mask, strict=True)]


def same(sets: Sets, wanted: Sequence[np.ndarray]) -> None:
    vectors, mask = all_rows(sets)
    assert len(sets) == len(wanted)
    assert vectors.dtype == np.float32
    assert sets.counts.tolist() == mask.sum(axis=1).tolist()
    for row, one in enumerate(wanted):
        assert np.array_equal(vectors[row][mask[row]], one)
        assert mask[row, : len(one)].all()
        assert not vectors[row][~mask[row]].any()


# -- pictures ----------------------------------------------------------------------------------------------------------
def test_every_picture_once_and_never_again(items: list[Item], tmp_path: Path) -> None:
    source, events = Source(), []
    found = drain(picture_features(items, source, folder=tmp_path / "f"), events)
    assert (found.made, source.given, found.skipped) == (10, 10, ())
    assert found.kept.tolist() == list(range(10))
    same(found.sets, expected(items, Source()))
    assert [e.count for e in events if isinstance(e, Encoded)] == [4, 4, 2]
    assert [(e.done, e.total) for e in events if isinstance(e, Step) and "features" in e.what][-1] == (10, 10)
    second = Source()
    again = drain(picture_features(items, second, folder=tmp_path / "f"))
    assert (again.made, second.given, again.sets.digest) == (0, 0, found.sets.digest)
    assert np.array_equal(all_rows(again.sets)[0], all_rows(found.sets)[0])


def test_any_order_any_part_any_copy_is_the_same_rows(items: list[Item], tmp_path: Path) -> None:
    whole = drain(picture_features(items, Source(), folder=tmp_path / "f"))
    copy = tmp_path / "copy.png"
    copy.write_bytes(items[3].path.read_bytes())
    order = [7, 2, 9, 9, 0]
    other = Source()
    part = drain(picture_features([*(items[i] for i in order), Item(99, copy)], other, folder=tmp_path / "f"))
    assert other.given == 0
    vectors, mask = all_rows(part.sets)
    wanted, wanted_mask = whole.sets.rows(np.array([*order, 3]))
    assert np.array_equal(vectors, wanted)
    assert np.array_equal(mask, wanted_mask)
    assert part.sets.digest != whole.sets.digest
    twice = Source()
    drain(picture_features([items[0], Item(1, copy), items[3], items[0]], twice, folder=tmp_path / "g"))
    assert twice.given == 2, "one content is made once"


def test_rows_are_padded_to_the_largest_asked_for(items: list[Item], tmp_path: Path) -> None:
    sets = drain(picture_features(items, Source(), folder=tmp_path / "f")).sets
    for index in ([], [5], [5, 1, 5], list(range(9, -1, -1))):
        vectors, mask = sets.rows(np.array(index, dtype=np.int64))
        longest = max(sets.counts[index], default=1)
        assert vectors.shape == (len(index), longest, 3)
        for row, at in enumerate(index):
            alone, _ = sets.rows(np.array([at]))
            assert np.array_equal(vectors[row, : sets.counts[at]], alone[0])
            assert mask[row].sum() == sets.counts[at]


def test_what_changed_is_made_and_nothing_else(items: list[Item], tmp_path: Path) -> None:
    before = drain(picture_features(items, Source(), folder=tmp_path / "f"))
    Image.new("RGB", (8, 8), (9, 99, 200)).save(items[4].path)
    source = Source()
    after = drain(picture_features(items, source, folder=tmp_path / "f"))
    assert (after.made, source.given) == (1, 1)
    assert after.sets.digest != before.sets.digest
    same(after.sets, expected(items, Source()))
    other = Source(scale=2.0)
    found = drain(picture_features(items, other, folder=tmp_path / "f"))
    assert other.given == 10
    same(found.sets, expected(items, Source(scale=2.0)))


def test_a_file_that_changes_between_hash_and_decoding_is_not_taken_for_the_old_one(
    items: list[Item], tmp_path: Path
) -> None:
    from nearsight.study.pictures import Pictures

    usual, seen = Pictures.default(), set()

    def read(path: Path) -> bytes:
        content = usual.read(path)
        if path == items[2].path and path not in seen:
            seen.add(path)
            Image.new("RGB", (8, 8), (1, 2, 3)).save(path)
        return content

    found = drain(picture_features(items, Source(), replace(usual, read=read), folder=tmp_path / "f"))
    assert [(e.path, e.code) for e in found.skipped] == [(str(items[2].path), "picture/changed")]
    same(drain(picture_features(items, Source(), folder=tmp_path / "f")).sets, expected(items, Source()))


def test_bad_pictures_are_named_each_time(items: list[Item], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    bad = [Item(90, tmp_path / "text.jpg"), Item(91, tmp_path / "gone.jpg")]
    mixed = [bad[0], *items[:5], bad[1], *items[5:], bad[0]]
    for made in (10, 0):
        events: list[Any] = []
        found = drain(picture_features(mixed, Source(), folder=tmp_path / "f"), events)
        assert found.made == made
        assert tuple(e for e in events if isinstance(e, Skipped)) == found.skipped
        assert [Path(e.path).name for e in found.skipped] == ["text.jpg", "gone.jpg", "text.jpg"]
        assert all(e.why and e.code.startswith("picture/") for e in found.skipped)
        assert found.kept.tolist() == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
        same(found.sets, expected(items, Source()))
    none = drain(picture_features(bad, Source(), folder=tmp_path / "f"))
    assert (len(none.sets), len(none.skipped)) == (0, 2)
    assert none.sets.rows(np.empty(0, dtype=np.int64))[0].shape == (0, 1, 3)


def test_closed_early_keeps_what_was_told(items: list[Item], tmp_path: Path) -> None:
    work = picture_features(items, Source(), folder=tmp_path / "f")
    for event in work:
        if isinstance(event, Encoded):
            break
    work.close()
    source = Source()
    found = drain(picture_features(items, source, folder=tmp_path / "f"))
    assert source.given == 6
    same(found.sets, expected(items, Source()))


@pytest.mark.parametrize("harm", ["flip", "cut", "manifest", "vectors gone", "manifest gone"])
def test_a_torn_shard_is_made_again(items: list[Item], tmp_path: Path, harm: str) -> None:
    drain(picture_features(items, Source(), folder=tmp_path / "f"))
    shards = sorted((tmp_path / "f").glob("*/shard-*"))
    assert len(shards) == 3
    victim = shards[1]
    vectors, manifest = victim / "vectors.npy", victim / "manifest.json"
    size = len(re.findall(r'"[0-9a-f]{64}"', manifest.read_text().partition('"keys"')[2].partition("]")[0]))
    content = bytearray(vectors.read_bytes())
    if harm == "flip":
        content[-3] ^= 64
        vectors.write_bytes(bytes(content))
    elif harm == "cut":
        vectors.write_bytes(bytes(content[:-2]))
    elif harm == "manifest":
        manifest.write_text(manifest.read_text()[:-30])
    else:
        (vectors if harm == "vectors gone" else manifest).unlink()
    source = Source()
    found = drain(picture_features(items, source, folder=tmp_path / "f"))
    assert found.made == source.given == size
    same(found.sets, expected(items, Source()))
    assert not victim.exists()
    assert drain(picture_features(items, Source(), folder=tmp_path / "f")).made == 0


def test_a_newer_version_s_shard_is_left_alone(items: list[Item], tmp_path: Path, monkeypatch) -> None:
    from nearsight.study import shards

    with monkeypatch.context() as patch:
        patch.setattr(shards, "VERSION", 2)
        drain(picture_features(items, Source(), folder=tmp_path / "f"))
    found = drain(picture_features(items, Source(), folder=tmp_path / "f"))
    assert found.made == 10
    assert len(list((tmp_path / "f").glob("*/shard-*"))) == 6


def test_what_a_kill_left_half_written_is_swept(items: list[Item], tmp_path: Path) -> None:
    drain(picture_features(items, Source(), folder=tmp_path / "f"))
    (home,) = (tmp_path / "f").iterdir()
    old, young = home / ".shard-1.x.tmp", home / ".shard-2.y.tmp"
    for place in (old, young):
        place.mkdir()
        (place / "vectors.npy").write_bytes(b"half")
    os.utime(old, (0, 0))
    drain(picture_features(items, Source(), folder=tmp_path / "f"))
    assert (old.exists(), young.exists()) == (False, True)


def test_numbers_that_do_not_fit_are_refused(items: list[Item], tmp_path: Path) -> None:
    for scale in (1e4, float("nan")):
        with pytest.raises(EncoderError) as caught:
            drain(picture_features(items, Source(scale), folder=tmp_path / "f"))
        assert caught.value.code == "features/range"
    assert not list((tmp_path / "f").glob("*/shard-*"))


def test_the_folder_is_the_cache_s_unless_named(
    items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEARSIGHT_CACHE", str(tmp_path / "cache"))
    drain(picture_features(items, Source()))
    assert len(list((tmp_path / "cache" / "features").glob("*/shard-*"))) == 3
    (tmp_path / "file").touch()
    with pytest.raises(WriteFailed):
        drain(picture_features(items, Source(), folder=tmp_path / "file" / "f"))


CHILD = """
import sys, time
from pathlib import Path
from nearsight.core.events import Encoded
from nearsight.core.items import Item
from nearsight.study import features
from unit.study.test_features import Source, drain

features.PICTURES = 4
items = [Item(k, path) for k, path in enumerate(sorted(Path(sys.argv[1]).iterdir()))]

class Slow(Source):
    def forward(self, prepared):
        time.sleep(0.02)
        return super().forward(prepared)

for event in features.picture_features(items, Slow(), folder=Path(sys.argv[2])):
    if isinstance(event, Encoded):
        print("committed", event.count, flush=True)
"""


def test_killed_at_any_moment_it_goes_on_to_the_same_bits(items: list[Item], tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / "pictures" / f"x{number:02}.png").write_bytes(
            items[0].path.read_bytes() + bytes([number])  # bytes behind a PNG's end are nobody's
        )
    many = [Item(k, path) for k, path in enumerate(sorted((tmp_path / "pictures").iterdir()))]
    whole = drain(picture_features(many, Source(), folder=tmp_path / "whole"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    told = 0
    for commits in (1, 2, 1):
        command = [sys.executable, "-c", CHILD, str(tmp_path / "pictures"), str(tmp_path / "broken")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        for _ in range(commits):
            told += int(process.stdout.readline().split()[1])
        time.sleep(0.03)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    source = Source()
    found = drain(picture_features(many, source, folder=tmp_path / "broken"))
    assert 0 < source.given == found.made <= len(many) - told, "what was told as committed is not made again"
    assert found.sets.digest == whole.sets.digest
    assert all_rows(found.sets)[0].tobytes() == all_rows(whole.sets)[0].tobytes()


# -- captions ----------------------------------------------------------------------------------------------------------
class Letters:
    """Word vectors of the words that begin with a letter: its code, and the word's length."""

    address = loader = "letters"
    width, batch, fitted, skipped = 2, 3, True, ()

    def __init__(self, longest: int = 128) -> None:
        self.longest = longest
        self.asked: list[str] = []

    def fit(self, texts: Iterable[str]) -> None: ...

    def files(self) -> dict[str, bytes]:
        return {}

    def restore(self, folder: Path) -> None: ...

    def sets(self, texts: Sequence[str]) -> list[WordSet]:
        self.asked += texts
        found = []
        for text in texts:
            known = [word for word in text.split()[: self.longest] if word[0].isalpha() or ord(word[0]) > 0x1F000]
            vectors = np.array([(ord(word[0]) % 2048, len(word)) for word in known], dtype=np.float32).reshape(-1, 2)
            found.append(WordSet(tuple(known), vectors, tuple(set(text.split()) - set(known))))
        return found

    def identity(self) -> dict[str, Any]:
        return {"words": "letters", "longest": self.longest}


CAPTIONS = [
    "two dogs run", "a", "", "  \n", "123 456", "\N{DOG FACE} \N{SURFER} beach", "\u72d7 \u5728\u6d77\u6ee9",
    "two dogs run", "word " * 10_000, "\u0441\u043e\u0431\u0430\u043a\u0430 bites", "\ud800 lone", "-rf *",
]  # fmt: skip


def test_captions_become_sets_of_words(tmp_path: Path) -> None:
    words, events = Letters(), []
    found = drain(text_features(CAPTIONS, words, "caption {}".format, folder=tmp_path), events)
    assert found.kept.tolist() == [0, 1, 5, 6, 7, 8, 9, 10]
    assert [(e.path, e.code) for e in found.skipped] == [(f"caption {at}", "text/empty") for at in (2, 3, 4, 11)]
    assert tuple(e for e in events if isinstance(e, Skipped)) == found.skipped
    assert found.skipped[0].why == found.skipped[1].why == "there is no word in it"
    assert "123" in found.skipped[2].why
    assert found.sets.counts.tolist() == [3, 1, 3, 2, 3, 128, 2, 1]
    vectors, mask = found.sets.rows(np.array([0, 2]))
    assert vectors[0].tolist() == [[ord("t"), 3], [ord("d"), 4], [ord("r"), 3]]
    assert mask.all()
    assert found.made == 7
    assert len(words.asked) == len(set(CAPTIONS))


def test_captions_are_looked_up_once(tmp_path: Path) -> None:
    first = drain(text_features(CAPTIONS, Letters(), str, folder=tmp_path))
    again = Letters()
    order = [9, 5, 0, 8]
    found = drain(text_features([CAPTIONS[at] for at in order], again, str, folder=tmp_path))
    assert again.asked == []
    at = [first.kept.tolist().index(i) for i in order]
    assert np.array_equal(all_rows(found.sets)[0], first.sets.rows(np.array(at))[0])
    more = Letters()
    drain(text_features([*CAPTIONS, "new one"], more, str, folder=tmp_path))
    assert [text for text in more.asked if text.strip() and text[0].isalpha()] == ["new one"]
    shorter = drain(text_features(CAPTIONS, Letters(longest=2), str, folder=tmp_path))
    assert shorter.sets.counts.max() == 2
    assert shorter.sets.digest != first.sets.digest


# -- end to end --------------------------------------------------------------------------------------------------------
@pytest.mark.real
@pytest.mark.torch
def test_the_packed_mobilenet_pooled_and_as_cells(data_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    from nearsight.core.arrays import unit
    from nearsight.encode.features import picture_sets

    weights = data_root / "weights" / "mobilenet_v2_imagenet1001_fp16.pth"
    address = f"torchvision/mobilenet_v2?weights={weights}&padding=same&fit=squash&mean=0.5&std=0.5"
    paths = sorted((data_root / "flickr8k" / "images").glob("*.jpg"))[:6]
    items = [Item(key, path) for key, path in enumerate(paths)]
    found = {
        pool: drain(picture_features(items, picture_sets(address + pool), folder=tmp_path))
        for pool in ("", "&pool=cells")
    }
    (pooled, one), (cells, there) = (all_rows(part.sets) for part in found.values())
    assert (pooled.shape, cells.shape) == ((6, 1, 1280), (6, 49, 1280))
    assert one.all()
    assert there.all()
    assert np.allclose(cells.mean(axis=1), pooled[:, 0], atol=0.01), "the mean is what this network does"
    encoder = create(address)
    true = encoder.encode_images(Image.open(path) for path in paths)
    assert np.einsum("nd,nd->n", unit(pooled[:, 0]), true).min() > 0.9999
    assert len({part.sets.digest for part in found.values()}) == 2
    for pool in found:
        assert drain(picture_features(items, picture_sets(address + pool), folder=tmp_path)).made == 0
