"""Pictures that are made: whole or absent, the same for the same seed, described truly; and the digits."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import DatasetError, WriteFailed
from nearsight.data.datasets import _made, digits, load
from nearsight.data.datasets._made import Made, made
from nearsight.data.drawing import compose, draw
from nearsight.data.drawing.captions import NUMBERS, PLURALS, captions, phrase, plural
from nearsight.data.drawing.scene import KINDS, TIMES, WEATHERS, Group, Scene, sample

SCENES = [sample(3, index) for index in range(400)]
NOUNS = {group.noun for scene in SCENES for group in scene.groups}


# -- scenes and captions ---------------------------------------------------------------------------------------------
def test_everything_occurs() -> None:
    assert {s.kind for s in SCENES} == set(KINDS)
    assert {s.time for s in SCENES} == set(TIMES)
    assert {s.weather for s in SCENES} == set(WEATHERS)
    for kind in KINDS:  # every kind in every light and weather: neither gives the kind away
        assert {s.time for s in SCENES if s.kind == kind} == set(TIMES)
        assert {s.weather for s in SCENES if s.kind == kind} == set(WEATHERS)


def test_a_scene_depends_on_seed_and_index_alone() -> None:
    assert sample(3, 17) == SCENES[17]
    assert sample(4, 17) != SCENES[17]


@pytest.mark.parametrize("scene", SCENES[:200], ids=lambda s: f"{s.kind}-{s.index}")
def test_captions_are_five_different_sentences(scene: Scene) -> None:
    found = captions(scene)
    assert len(found) == len(set(found)) == 5
    assert all(c[0].isupper() and c.endswith(".") and "  " not in c and "None" not in c and "_" not in c for c in found)
    assert captions(scene) == found


def counted(text: str) -> Counter[tuple[str, str]]:
    """Every "two red cars", "a person in blue" that a caption says -> how many, by (noun, colour)."""
    said: Counter[tuple[str, str]] = Counter()
    for noun in sorted(NOUNS, key=len, reverse=True):
        forms = f"{plural(noun)}|{noun}"
        pattern = rf"\b(an?|{'|'.join(NUMBERS[1:])}) (?:([a-z]+) )??({forms})\b(?: in ([a-z]+))?"
        for number, before, _, after in re.findall(pattern, text.lower()):
            colour = after if noun == "person" else before
            said[noun, colour] += NUMBERS.index(number) if number in NUMBERS else 1
        text = re.sub(pattern, "", text.lower())  # "a palm tree" is no tree
    return said


@pytest.mark.parametrize("scene", SCENES[:200], ids=lambda s: f"{s.kind}-{s.index}")
def test_captions_count_what_is_in_the_scene_and_nothing_else(scene: Scene) -> None:
    truth: Counter[tuple[str, str]] = Counter()
    for group in scene.groups:
        truth[group.noun, group.colour or ""] += group.count
    second = captions(scene)[1]
    for group in scene.groups:
        assert phrase(group) in second.lower()
    for (noun, colour), count in counted(second).items():
        if noun == "tower" and scene.kind == "tall_building":
            continue
        assert truth[noun, colour] == count, (second, noun, colour)
    if not scene.groups:
        assert not any(
            re.search(rf"\b{plural(noun)}\b", " ".join(captions(scene)).lower()) for noun in ("car", "person")
        )


SAYS = {
    "rain": r"\brain",
    "snow": r"\b(snow falls|snowing|it snows|falling snow|snowfall|, snow,)",
    "fog": r"\b(fog|mist)",
    "night": r"\b(night|in the dark|dark)\b",
    "dusk": r"\b(dusk|evening)\b",
    "sunrise": r"\b(sunrise|morning)\b",
}


@pytest.mark.parametrize("scene", SCENES[:200], ids=lambda s: f"{s.kind}-{s.index}")
def test_captions_tell_the_hour_and_the_weather_truly(scene: Scene) -> None:
    text = " ".join(captions(scene)).lower()
    for word, pattern in SAYS.items():
        assert bool(re.search(pattern, text)) == (word in (scene.time, scene.weather)), (word, text)


def test_phrases() -> None:
    assert phrase(Group("person", "blue", 2)) == "two people in blue"
    assert phrase(Group("car", "orange", 1)) == "an orange car"
    assert phrase(Group("sheep", "white", 4)) == "four white sheep"
    assert set(PLURALS) <= NOUNS


# -- pictures --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_every_scene_can_be_drawn_at_any_size(kind: str) -> None:
    for scene in [s for s in SCENES if s.kind == kind][:5]:
        image = draw(scene, 48)
        assert (image.size, image.mode) == ((48, 48), "RGB")
        assert np.asarray(image).std() > 2, f"{scene} is blank"
    assert draw(next(s for s in SCENES if s.kind == kind), 321).size == (321, 321)


@pytest.mark.parametrize("scene", SCENES, ids=lambda s: f"{s.kind}-{s.index}")
def test_what_is_described_is_drawn_once_each_within_the_picture(scene: Scene) -> None:
    notes = compose(scene, 16).drawn
    described = Counter((g.noun, g.colour) for g in scene.groups for _ in range(g.count))
    drawn = Counter((noun, colour) for noun, colour, _, _ in notes)
    for scenery in (("tree", None), ("street lamp", None)):  # these also stand about where nobody counts them
        assert drawn.pop(scenery, 0) >= described.pop(scenery, 0)
    assert drawn == described
    for noun, _, x, y in notes:
        if noun not in ("tree", "street lamp"):
            assert 0.02 < x < 0.98, (noun, x)
            assert 0.02 < y < 1.1, (noun, y)
    spots = [(round(x, 3), round(y, 3)) for noun, _, x, y in notes if noun not in ("tree", "street lamp")]
    assert len(spots) == len(set(spots))


def test_the_same_seed_gives_the_same_bytes_whatever_n(tmp_path: Path) -> None:
    few = load("drawn?n=9&size=40&seed=5", tmp_path / "a").items
    more = load("drawn?n=17&size=40&seed=5", tmp_path / "b").items
    other = load("drawn?n=9&size=40&seed=6", tmp_path / "c").items
    assert [i.path.read_bytes() for i in few] == [i.path.read_bytes() for i in more[:9]]
    assert [(i.label, i.split, i.captions, i.fields) for i in few] == [
        (i.label, i.split, i.captions, i.fields) for i in more[:9]
    ]
    assert all(a.path.read_bytes() != b.path.read_bytes() for a, b in zip(few, other, strict=True))


def test_drawn_pictures_are_jpeg_with_fields_and_both_splits(tmp_path: Path) -> None:
    data = load("drawn?n=80&size=32", tmp_path)
    assert Counter(i.label for i in data.items) == dict.fromkeys(KINDS, 10)
    assert Counter(i.split for i in data.items) == {"train": 56, "test": 24}
    for item in data.items:
        with Image.open(item.path) as image:
            assert (image.format, image.size) == ("JPEG", (32, 32))
        assert item.fields["weather"] in WEATHERS
        assert item.path.parts[-3:-1] == (item.split, item.label)
    cars = [i for i in data.items if i.fields.get("cars")]
    assert cars
    assert all(re.search(r"\bcars?\b", i.captions[1]) for i in cars)


@pytest.mark.parametrize(
    "address", ["drawn?n=0", "drawn?size=8", "drawn?size=9999", "drawn/x", "digits?size=4", "digits/x"]
)
def test_impossible_options_are_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        load(address, tmp_path)
    assert not any(tmp_path.iterdir())


# -- written once, whole or not at all -------------------------------------------------------------------------------
def dots(count: int, drawn: list[int], fail_at: int | None = None) -> list[Made]:
    def lazily():  # type: ignore[no-untyped-def]
        for i in range(count):
            if i == fail_at:
                raise OSError(28, "No space left on device")
            drawn.append(i)
            yield Made(f"train/a/{i}.bin", bytes([i] * 9), "a", "train")

    return lazily()  # type: ignore[return-value]


def test_made_once(tmp_path: Path) -> None:
    drawn: list[int] = []
    first = made(tmp_path, "dots", {"v": 1}, dots(3, drawn))
    assert made(tmp_path, "dots", {"v": 1}, dots(3, drawn)) == first
    assert drawn == [0, 1, 2]
    made(tmp_path, "dots", {"v": 2}, dots(2, drawn))
    assert drawn == [0, 1, 2, 0, 1]
    assert not (tmp_path / "dots/train/a/2.bin").exists()


@pytest.mark.parametrize("damage", ["no manifest", "manifest", "listing", "picture gone", "picture cut"])
def test_what_is_not_whole_is_made_again(tmp_path: Path, damage: str) -> None:
    drawn: list[int] = []
    items = made(tmp_path, "dots", {}, dots(3, drawn))
    target = {"listing": "items.jsonl", "picture gone": "train/a/1.bin", "picture cut": "train/a/1.bin"}
    path = tmp_path / "dots" / target.get(damage, "manifest.json")
    if damage in ("no manifest", "picture gone"):
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-2])
    assert made(tmp_path, "dots", {}, dots(3, drawn)) == items
    assert drawn == [0, 1, 2] * 2
    assert path.exists()


def test_a_failed_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(WriteFailed):
        made(tmp_path, "dots", {}, dots(3, [], fail_at=2))
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []
    stale = tmp_path / ".dots.killed.tmp"
    stale.mkdir()
    assert len(made(tmp_path, "dots", {}, dots(3, []))) == 3
    assert not stale.exists()


def test_the_default_root_is_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_made, "user_cache_path", lambda *a, **k: tmp_path / "cache")
    (item,) = load("drawn?n=1&size=32").items
    assert tmp_path / "cache" / "datasets" in item.path.parents


# -- digits ----------------------------------------------------------------------------------------------------------
def test_digits_are_the_real_scans(tmp_path: Path) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    data = load("digits?size=8", tmp_path)
    assert (len(data.items), data.labels) == (1797, tuple("0123456789"))
    assert 0.29 < len(data.split("test")) / 1797 < 0.31
    scans = datasets.load_digits()
    for item in data.items[::97]:
        row = int(item.path.stem)
        ink = 255 - np.asarray(Image.open(item.path), dtype=float)
        assert np.abs(ink - scans.images[row] * 255 / 16).max() <= 1
        assert item.label == str(scans.target[row])


def test_digits_are_the_same_every_time() -> None:
    pytest.importorskip("sklearn")
    assert list(digits._pictures(9)) == list(digits._pictures(9))
