"""Groups of one picture: drawn scenes and photographs with copies among them, and what must not become a group."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.arrays import Vectors, unit
from nearsight.core.errors import InputError, ReadOnly
from nearsight.core.events import Done, Event, Skipped, Step, outcome
from nearsight.data.datasets import load
from nearsight.encode import create
from nearsight.search.collection import Collection
from nearsight.search.duplicates import POLICIES, Group, copies, duplicates, looking
from nearsight.search.duplicates.signatures import FOLDER
from nearsight.search.store.store import Record

SCENES = 60
Found = Callable[..., tuple[list[Group], list[Event]]]


def run(collection: Collection, *given: object, **more: object) -> tuple[list[Group], list[Event]]:
    events: list[Event] = []
    return outcome(duplicates(collection, *given, **more), events.append), events  # type: ignore[arg-type]


def cut(picture: Image.Image, left: float, top: float, share: float = 0.9) -> Image.Image:
    """A part of `share` of the width and of the height."""
    width, height = picture.size
    x, y = round(left * width * (1 - share)), round(top * height * (1 - share))
    return picture.crop((x, y, x + round(share * width), y + round(share * height)))


COPIES: dict[str, Callable[[Image.Image], tuple[Image.Image, int]]] = {
    "smaller": lambda picture: (picture.resize((picture.width * 2 // 3, picture.height * 2 // 3)), 85),
    "recompressed": lambda picture: (picture, 50),
    "corner": lambda picture: (cut(picture, 0, 1), 85),
    "middle": lambda picture: (cut(picture, 0.5, 0.5), 85),
}


def planted(folder: Path, pictures: Iterable[Image.Image], every: int) -> tuple[set[tuple[str, str]], int]:
    """Write pictures, and of each one in `every` a copy, the kinds in turn; the pairs of names that there are then."""
    folder.mkdir(parents=True)
    pairs, kinds = set(), [*COPIES]
    count = 0
    for number, picture in enumerate(pictures):
        picture.convert("RGB").save(folder / f"{number:04d}.jpg", quality=92)
        count += 1
        if number % every == 0:
            kind = kinds[number // every % len(kinds)]
            changed, quality = COPIES[kind](picture.convert("RGB"))
            changed.save(folder / f"{number:04d}_{kind}.jpg", quality=quality)
            pairs.add((f"{number:04d}.jpg", f"{number:04d}_{kind}.jpg"))
    return pairs, count


def pairs_of(collection: Collection, groups: list[Group]) -> set[tuple[str, str]]:
    names = {item.key: item.path.name for item in collection.items()}
    return {(names[group.keep], names[copy.key]) for group in groups for copy in group.others}


def signed(collection: Collection) -> int:
    """How many signatures lie on disk."""
    return sum(len(np.load(file)) for file in (collection.folder / FOLDER).glob("shard-*/rows.npy"))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[tuple[str, str]]]:
    """Drawn scenes, every third one with a copy."""
    root = tmp_path_factory.mktemp("scenes")
    pictures = [Image.open(item.path) for item in load(f"drawn?n={SCENES}&size=96&seed=3", root / "drawn").items]
    pairs, _ = planted(root / "pictures", pictures, 3)
    return root / "pictures", pairs


@pytest.fixture
def scenery(scenes: tuple[Path, set[tuple[str, str]]], tmp_path: Path) -> tuple[Collection, set[tuple[str, str]]]:
    folder = shutil.copytree(scenes[0], tmp_path / "pictures")
    collection = Collection.create(tmp_path / "kept.ns", create("colour"))
    list(collection.sync(folder))
    return collection, scenes[1]


def test_copies_of_drawn_scenes_are_found_and_nothing_else(
    scenery: tuple[Collection, set[tuple[str, str]]],
) -> None:
    collection, planted_pairs = scenery
    groups, events = run(collection)
    assert pairs_of(collection, groups) == planted_pairs
    assert all(len(group) == 2 and 0.5 <= group.others[0].score <= 1 for group in groups)
    assert isinstance(events[-1], Done)
    assert events[-1].counts == {"groups": len(planted_pairs), "others": len(planted_pairs)}
    assert {event.what for event in events if isinstance(event, Step)} == {
        "how near copies are",
        "comparing",
        "looking at pictures",
        "grouping",
    }
    alone, _ = run(collection, 0.6, look=False)
    assert len(pairs_of(collection, alone) - planted_pairs) > 10, "colours alone call different scenes the same"


@pytest.mark.real
def test_copies_of_photographs_are_found_and_nothing_else(tmp_path: Path, data_root: Path) -> None:
    files = sorted((data_root / "mit_split" / "test").glob("*/*.jpg"))[::2]
    wanted, count = planted(tmp_path / "pictures", (Image.open(file) for file in files), 5)
    with Collection.create(tmp_path / "kept.ns", create("colour")) as collection:
        list(collection.sync(tmp_path / "pictures"))
        found = pairs_of(collection, run(collection, 0.8)[0])
    assert count > 400
    assert len(found & wanted) >= 0.95 * len(wanted)
    assert len(found & wanted) >= 0.95 * len(found)


def test_signatures_are_made_once(
    scenery: tuple[Collection, set[tuple[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, _ = scenery
    before, _ = run(collection)
    folder = collection.folder
    collection.close()

    def decode(*given: object, **more: object) -> None:
        raise AssertionError("looked at again")

    monkeypatch.setattr(looking, "decode", decode)
    with Collection.open(folder, read_only=True) as again:
        assert run(again)[0] == before


def test_what_a_stopped_run_made_is_kept(
    scenery: tuple[Collection, set[tuple[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, _ = scenery
    monkeypatch.setattr(looking, "_AHEAD", 8)
    work = duplicates(collection)
    for event in work:
        if isinstance(event, Step) and event.what == "looking at pictures":
            break
    work.close()
    made: list[int] = []
    whole = looking.decode
    monkeypatch.setattr(looking, "decode", lambda *given, **more: made.append(1) or whole(*given, **more))
    _, events = run(collection)
    looks = [event.total for event in events if isinstance(event, Step) and event.what == "looking at pictures"]
    assert len(made) == looks[0]
    monkeypatch.undo()
    assert list((collection.folder / FOLDER).glob("shard-*"))
    run(collection)


def test_reading_only_finds_the_same_and_writes_nothing(scenery: tuple[Collection, set[tuple[str, str]]]) -> None:
    collection, planted_pairs = scenery
    folder = collection.folder
    collection.close()
    with Collection.open(folder, read_only=True) as reader:
        assert pairs_of(reader, run(reader)[0]) == planted_pairs
        with pytest.raises(ReadOnly):
            reader.delete([1])
    assert not (folder / FOLDER).exists()


def test_deleted_items_are_in_no_group(scenery: tuple[Collection, set[tuple[str, str]]]) -> None:
    collection, _ = scenery
    groups, _ = run(collection)
    before = signed(collection)
    gone = groups[0]
    collection.delete([gone.keep])
    left, _ = run(collection)
    assert left == groups[1:]
    assert signed(collection) == before - 1, "its signature is gone too"
    name = next(item.path.name for item in collection.items([gone.others[0].key]))
    assert name not in {other for _, other in pairs_of(collection, left)}


def test_pictures_that_are_gone_or_changed_are_named(scenery: tuple[Collection, set[tuple[str, str]]]) -> None:
    collection, planted_pairs = scenery
    items = {item.path.name: item for item in collection.items()}
    (first, _), (second, _) = sorted(planted_pairs)[:2]
    items[first].path.unlink()
    Image.new("RGB", (40, 40)).save(items[second].path)
    groups, events = run(collection)
    told = {Path(event.path).name: event.code for event in events if isinstance(event, Skipped)}
    assert told == {first: "picture/vanished", second: "picture/changed"}
    assert pairs_of(collection, groups) == planted_pairs - set(sorted(planted_pairs)[:2])


def test_an_item_without_a_picture_is_no_ones_copy(
    scenery: tuple[Collection, set[tuple[str, str]]],
) -> None:
    collection, planted_pairs = scenery
    key = collection.add(collection.vectors(np.array([1])), [Record(b"a vector")])[0].item()
    groups, events = run(collection)
    assert pairs_of(collection, groups) == planted_pairs
    assert not any(isinstance(event, Skipped) for event in events)
    assert key in {key for group in run(collection, 0.999, look=False)[0] for key in group.keys}


def test_exact_copies_are_found_without_any_look(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "b").mkdir(parents=True)
    Image.effect_noise((40, 40), 90).convert("RGB").save(folder / "one.png")
    for copy in ("b/copy.png", "a.png"):
        shutil.copy(folder / "one.png", folder / copy)
    Image.new("RGB", (30, 30), (250, 250, 250)).save(folder / "blank.png")
    Image.new("RGB", (31, 31), (250, 250, 250)).save(folder / "blank too.png")
    with Collection.create(tmp_path / "kept.ns", create("colour")) as collection:
        list(collection.sync(folder))
        (group,), _ = run(collection, keep="first")
        names = {item.key: item.path.name for item in collection.items()}
        assert names[group.keep] == "a.png"
        assert {(names[copy.key], copy.exact, copy.score) for copy in group.others} == {
            ("copy.png", True, 1.0),
            ("one.png", True, 1.0),
        }
        assert not any("blank" in names[key] for key in group.keys), "without detail nothing says that two are one"


def test_one_shirt_in_two_colours_is_two_pictures(tmp_path: Path) -> None:
    grain = np.asarray(Image.effect_noise((80, 80), 60).resize((160, 160)), dtype=np.float32)
    tmp_path.joinpath("p").mkdir()
    for name, (blue, red) in {"a": (40, -40), "b": (-40, 40), "c": (-41, 41)}.items():
        tint = np.stack([grain / 2 + 64 + red, grain / 2 + 64, grain / 2 + 64 + blue], axis=-1)
        Image.fromarray(np.clip(tint, 0, 255).astype(np.uint8)).save(tmp_path / "p" / f"{name}.png")
    with Collection.create(tmp_path / "kept.ns", create("colour")) as collection:
        list(collection.sync(tmp_path / "p"))
        groups, _ = run(collection, -1.0, keep="first")
        assert pairs_of(collection, groups) == {("b.png", "c.png")}


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("largest", "large.jpg"),
        ("oldest", "small.jpg"),
        ("newest", "middle.jpg"),
        ("first", "large.jpg"),
        (" newest , first", "middle.jpg"),
    ],
)
def test_which_one_is_kept(tmp_path: Path, keep: str, kept: str) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    whole = load("drawn?n=1&size=200&seed=5", tmp_path / "drawn").items[0].path
    with Image.open(whole) as picture:
        for name, side, time in (("large", 200, 500), ("middle", 150, 900), ("small", 100, 100)):
            picture.convert("RGB").resize((side, side)).save(folder / f"{name}.jpg", quality=90)
            os.utime(folder / f"{name}.jpg", (time, time))
    with Collection.create(tmp_path / "kept.ns", create("colour")) as collection:
        list(collection.sync(folder))
        (group,), _ = run(collection, keep=keep)
        assert next(collection.items([group.keep])).path.name == kept
        assert len(group) == 3


def test_policies_and_thresholds_are_checked(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "kept.ns", create("colour")) as collection:
        with pytest.raises(InputError) as caught:
            run(collection, keep="largest,prettiest")
        assert caught.value.code == "duplicates/keep"
        assert all(policy in caught.value.hint for policy in POLICIES)
        for wrong in (1.5, float("nan")):
            with pytest.raises(InputError) as caught:
                run(collection, wrong)
            assert caught.value.code == "duplicates/at-least"
        assert run(collection)[0] == [], "an empty one"


def test_a_new_picture_is_held_against_the_collection(scenery: tuple[Collection, set[tuple[str, str]]]) -> None:
    collection, planted_pairs = scenery
    names = {item.key: item.path.name for item in collection.items()}
    original, other = next(pair for pair in sorted(planted_pairs) if "corner" in pair[1])
    path = next(item.path for item in collection.items() if item.path.name == original)
    with Image.open(path) as picture:
        file = io.BytesIO()
        picture.resize((70, 70)).save(file, "PNG")
    found = copies(collection, file.getvalue(), 0.8)
    assert {names[copy.key] for copy in found} >= {original}
    assert {names[copy.key] for copy in found} <= {original, other}
    assert not any(copy.exact for copy in found)
    exact = copies(collection, path.read_bytes())
    assert (names[exact[0].key], exact[0].exact, exact[0].score) == (original, True, 1.0)
    assert len(list((collection.folder / FOLDER).glob("shard-*"))) == 1
    new = io.BytesIO()
    Image.effect_noise((50, 50), 80).convert("RGB").save(new, "PNG")
    assert copies(collection, new.getvalue(), -1.0) == []


def test_vectors_without_pictures(external: Callable[..., tuple[Collection, Vectors]], tmp_path: Path) -> None:
    """Nobody can look at them: the vectors alone decide, where that is asked for."""
    collection, vectors = external(30)
    with collection:
        near = unit((vectors[:3] + 0.01).astype(np.float32))
        keys = collection.add(near, [Record(f"later-{i}".encode()) for i in range(3)])
        with pytest.raises(InputError) as caught:
            run(collection)
        assert caught.value.code == "duplicates/no-pictures"
        groups, _ = run(collection, 0.99, look=False)
        assert [(group.keep, [copy.key for copy in group.others]) for group in groups] == [
            (key + 1, [keys[key].item()]) for key in range(3)
        ]
