"""A collection gets another encoder while it answers: nothing is lost or encoded twice, and there is a way back."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_words import install, two_towers
from nearsight.core.artefact import read_manifest
from nearsight.core.errors import FormatError, InputError, Locked, StoreError
from nearsight.core.events import Done, Encoded, Skipped
from nearsight.encode import Encoder
from nearsight.encode.encoder import create
from nearsight.search.collection import Collection
from nearsight.search.migration import Migration, forget
from nearsight.search.query import Filter, Text
from nearsight.search.store import generations
from nearsight.search.store.check import Finding, check
from nearsight.search.store.store import Record
from nearsight.search.sync import Annotation
from nearsight.search.uploads import Upload, keep

OLD, NEW = "colour?bins=2&grid=1", "colour?bins=4&grid=1"
N = 12


def picture(content: int) -> bytes:
    out = BytesIO()
    pixels = np.random.default_rng(content).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def annotated(path: Path) -> Annotation:
    return Annotation(f"l{int(path.stem) % 3}", (f"picture {path.stem}",), {"number": int(path.stem)})


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "pictures" / "sub").mkdir(parents=True)
    for i in range(N):
        (tmp_path / "pictures" / ("sub" if i % 2 else ".") / f"{i}.png").write_bytes(picture(i))
    return tmp_path / "pictures"


@pytest.fixture
def home(tmp_path: Path, pictures: Path) -> Path:
    with Collection.create(tmp_path / "c", create(OLD)) as collection:
        list(collection.sync(pictures, annotate=annotated))
        collection.remember("cli/labels:/somewhere", "folder")
        collection.keep_feedback(1, up=[2])
    return tmp_path / "c"


def known(folder: Path) -> list[tuple[Any, ...]]:
    """Everything that is known of every item but its vector."""
    with Collection.open(folder, read_only=True) as collection:
        hashes = collection.hashes(collection.keys())
        items = list(collection.items())
        return [(i.key, i.path, i.label, i.captions, i.fields, h) for i, h in zip(items, hashes, strict=True)]


def encoder_of(folder: Path) -> str:
    with Collection.open(folder, read_only=True) as collection:
        return str(collection.store.manifest["encoder"])


def right(folder: Path) -> None:
    """Every stored vector is what the encoder inside gives for the item's picture, and nothing is damaged."""
    with Collection.open(folder, read_only=True) as collection:
        keys = collection.keys()
        images = [Image.open(item.path).convert("RGB") for item in collection.items(keys.tolist())]
        assert np.allclose(collection.vectors(keys), collection.encoder.encode_images(images), atol=1e-6)
        assert collection.search(int(keys[0]), 1)[0].item.key == keys[0]
    assert [f for f in check(folder) if isinstance(f, Finding) and not f.harmless] == []


def migrated(folder: Path, encoder: str | None = NEW, **how: Any) -> Migration:
    with Migration(folder, create(encoder) if encoder else None) as migration:
        list(migration.encode())
        list(migration.switch(**how))
        return migration


def test_keys_and_what_is_known_stay_and_vectors_are_the_new_encoders(home: Path) -> None:
    before = known(home)
    with Migration(home, create(NEW)) as migration:
        done = list(migration.encode())[-1]
        assert isinstance(done, Done)
        assert done.counts == {"encoded": N, "missing": 0, "items": N}
        assert encoder_of(home) == OLD, "until it is told"
        right(home)
        list(migration.switch())
    assert encoder_of(home) == NEW
    assert known(home) == before
    right(home)
    with Collection.open(home) as collection:
        assert collection.recall("cli/labels:/somewhere") == "folder"
        assert collection.folder == home
        assert collection.store.folder == home / "generations" / "2"
        assert [item.key for item in collection.items(where=Filter.parse(["label=l1"]))] == [
            row[0] for row in before if row[2] == "l1"
        ]
        with pytest.raises(StoreError, match="second"):
            Migration(home, create("colour?bins=8&grid=1"))


def test_an_older_nearsight_refuses_and_after_the_way_back_it_does_not(home: Path) -> None:
    migrated(home)
    with pytest.raises(FormatError):
        read_manifest(home / "manifest.json", "nearsight-collection", 1)
    migrated(home, None)
    read_manifest(home / "manifest.json", "nearsight-collection", 1)


def test_what_comes_meanwhile_is_in_both_ways(home: Path, pictures: Path) -> None:
    with Migration(home, create(NEW)) as migration:
        list(migration.encode())
        with Collection.open(home) as writer:
            (pictures / "20.png").write_bytes(picture(20))
            (pictures / "0.png").rename(pictures / "sub" / "moved.png")
            (pictures / "2.png").unlink()
            (pictures / "4.png").write_bytes(picture(40))
            list(writer.sync(pictures))
            writer.annotate(4, label="changed", captions=["another"])
            given = Upload(picture(30), writer.encoder.encode_images([Image.new("RGB", (6, 6))])[0], "u.png", "up")
            (key,) = keep(writer, [given])
        with Collection.open(home, read_only=True) as reader:
            assert reader.search(int(key), 1)[0].item.key == key, "the first generation has it at once"
        list(migration.switch())
    before = known(home)
    assert {row[1].name for row in before} >= {"20.png", "moved.png", "u.png"}
    assert "2.png" not in {row[1].name for row in before}
    right(home)
    # and back: with what has come to the second generation
    (pictures / "21.png").write_bytes(picture(21))
    with Collection.open(home) as writer:
        list(writer.sync(pictures))
        writer.delete([1])
        writer.annotate(5, label="later")
    after = known(home)
    assert len(after) == len(before)
    migrated(home, None)
    assert encoder_of(home) == OLD
    assert known(home) == after
    with Collection.open(home) as collection:
        assert [key for key in collection.keys().tolist() if key == 1] == []
        fresh = collection.add(collection.vectors(collection.keys()[:1]), [Record(b"made up")])
        assert fresh[0] > max(row[0] for row in after), "no key is given twice"
        collection.delete(fresh.tolist())
    uploaded_apart(home)


def uploaded_apart(home: Path) -> None:
    """The uploaded picture of these tests came with a vector that is not its own; the others are held to theirs."""
    with Collection.open(home) as collection:
        collection.delete([item.key for item in collection.items() if item.path.name == "u.png"])
    right(home)


def test_nothing_is_encoded_twice(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(home.parent / "pictures" / "0.png", home.parent / "pictures" / "copy.png")
    with Collection.open(home) as writer:
        list(writer.sync(home.parent / "pictures"))
    prepared: list[int] = []
    prepare = Encoder.prepare
    monkeypatch.setattr(Encoder, "prepare", lambda self, image: prepared.append(1) or prepare(self, image))
    with Migration(home, create(NEW)) as migration:
        list(migration.encode())
        list(migration.encode())
    assert len(prepared) == N, "a copy takes the vector of its twin"
    with Migration(home, create(NEW)) as migration:
        list(migration.encode())
        list(migration.switch())
    migrated(home, None)
    assert len(prepared) == N
    right(home)


def test_closed_early_it_goes_on_from_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearsight.search.migration.recode._COMMIT_SECONDS", 0.0)
    with Migration(home, small_batches()) as migration:
        work = migration.encode()
        for event in work:
            if isinstance(event, Encoded):
                break
        work.close()
        begun = len(migration.new)
    assert 0 < begun < N
    assert encoder_of(home) == OLD
    with Migration(home) as migration:
        done = list(migration.encode())[-1]
        assert isinstance(done, Done)
        assert done.counts["encoded"] == N - begun
        list(migration.switch())
    right(home)


def test_what_is_encoded_and_not_committed_is_when_it_is_closed(
    home: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearsight.search.migration.recode._COMMIT_SECONDS", 1e9)
    with Collection.open(home, read_only=True) as collection:
        collection.item(N).path.unlink()
    with Migration(home, small_batches(), workers=1) as migration:
        work = migration.encode()
        assert isinstance(next(work), Skipped), "the first that is heard"
        assert len(migration.new) == 0
        work.close()
        assert len(migration.new) >= 9


def test_no_key_is_given_twice(home: Path) -> None:
    with Migration(home, create(NEW)) as migration:
        list(migration.encode())
        with Collection.open(home) as writer:
            (key,) = writer.add(writer.vectors(writer.keys()[:1]), [Record(b"made up")])
            writer.delete([int(key)])
        list(migration.switch())
    with Collection.open(home) as writer:
        assert writer.add(writer.vectors(writer.keys()[:1]), [Record(b"made up")])[0] == key + 1


def test_captions_and_calibration_are_made_anew(home: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    for number in range(N, 60):
        (pictures / f"{number}.png").write_bytes(picture(number))
    with Collection.open(home) as writer:
        list(writer.sync(pictures, annotate=lambda path: Annotation(f"l{int(path.stem) % 3}", ("one red",))))
        list(writer.calibrate())
    with Migration(home, two_towers()) as migration:
        list(migration.encode())
        assert migration.new.captions_missing == 0
        assert migration.new.calibration is not None
        assert migration.new.calibration.fingerprint == migration.new.fingerprint
        list(migration.switch())
    with Collection.open(home, read_only=True) as collection:
        assert collection.calibration is not None
        assert collection.search_captions(Text("red"), 1)[0].caption == "one red"


def small_batches() -> Encoder:
    made = create(NEW)
    made.tower.batch = 3
    return made


def test_what_cannot_be_encoded_is_named_and_never_dropped_by_itself(home: Path, pictures: Path) -> None:
    (pictures / "0.png").unlink()
    (pictures / "2.png").write_bytes(picture(99))
    gone = {row[0] for row in known(home) if row[1].name in ("0.png", "2.png")}
    with Migration(home, create(NEW)) as migration:
        list(migration.encode())
        assert set(migration.missing) == gone
        assert {one.code for one in migration.missing.values()} == {"picture/vanished", "picture/changed"}
        with pytest.raises(StoreError) as refused:
            list(migration.switch())
        assert refused.value.code == "migrate/missing"
        assert encoder_of(home) == OLD
        assert len(known(home)) == N
        list(migration.switch(drop_missing=True))
    assert {row[0] for row in known(home)} == set(range(1, N + 1)) - gone
    assert encoder_of(home) == NEW
    migrated(home, None)
    assert {row[0] for row in known(home)} == set(range(1, N + 1)), "they stayed in the first one"
    with Collection.open(home, read_only=True) as collection:
        assert all(item.path.is_absolute() for item in collection.items())


def test_what_was_left_behind_makes_room_for_what_came_to_its_place(home: Path, pictures: Path) -> None:
    content = (pictures / "0.png").read_bytes()
    (pictures / "0.png").unlink()
    migrated(home, NEW, drop_missing=True)
    (pictures / "0.png").write_bytes(content)
    with Collection.open(home) as writer:
        list(writer.sync(pictures))
    after = known(home)
    assert len(after) == N
    migrated(home, None)
    assert known(home) == after
    right(home)


def test_a_picture_that_came_back_is_encoded_by_the_next_run(home: Path, pictures: Path) -> None:
    content = (pictures / "0.png").read_bytes()
    (pictures / "0.png").unlink()
    with Migration(home, create(NEW)) as migration:
        list(migration.encode())
        assert len(migration.missing) == 1
    (pictures / "0.png").write_bytes(content)
    migrated(home)
    assert len(known(home)) == N


def test_a_copy_elsewhere_gives_the_vector_of_a_picture_that_is_gone(home: Path, pictures: Path) -> None:
    shutil.copy(pictures / "0.png", pictures / "sub" / "0 again.png")
    with Collection.open(home) as writer:
        list(writer.sync(pictures))
    (pictures / "0.png").unlink()
    with Migration(home, create(NEW)) as migration:
        list(migration.encode())
        assert len(migration.new) == N + 1
        assert not migration.missing
        list(migration.switch())
    assert len(known(home)) == N + 1


def test_forgotten_it_is_gone_and_the_other_stays_whole(home: Path) -> None:
    before = known(home)
    migrated(home)
    assert forget(home) == OLD
    assert {path.name for path in home.iterdir()} <= {"manifest.json", "generations", "LOCK", "uploads", "thumbnails"}
    assert known(home) == before
    right(home)
    assert [f for f in check(home) if isinstance(f, Finding)] == []
    with pytest.raises(StoreError) as nothing:
        forget(home)
    assert nothing.value.code == "migrate/none"
    migrated(home, "colour?bins=8&grid=1")
    assert generations.current(home) == home / "generations" / "3"
    assert forget(home) == NEW
    assert [path.name for path in (home / "generations").iterdir()] == ["3"]
    assert known(home) == before
    right(home)


def test_a_generation_that_was_begun_can_be_given_up(home: Path) -> None:
    with Migration(home, create(NEW)) as migration:
        list(migration.encode())
        with pytest.raises(Locked):
            forget(home)
        with pytest.raises(Locked):
            Migration(home, create(NEW))
    assert forget(home) == NEW
    assert not (home / "generations").exists()
    assert encoder_of(home) == OLD
    right(home)


def test_refusals_name_their_repair(home: Path) -> None:
    for encoder, code in ((None, "migrate/none"), (create(OLD), "migrate/same")):
        with pytest.raises((StoreError, InputError)) as refused:
            Migration(home, encoder)
        assert refused.value.code == code
        assert refused.value.hint
    with Migration(home, create(NEW)):
        pass
    with pytest.raises(StoreError) as refused:
        Migration(home, create("colour?bins=8&grid=1"))
    assert refused.value.code == "migrate/other"


def test_a_writer_that_stays_is_waited_for_and_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearsight.search.migration.migration._PATIENCE", 0.0)
    with Migration(home, create(NEW)) as migration, Collection.open(home):
        list(migration.encode())
        with pytest.raises(Locked):
            list(migration.switch())
        assert encoder_of(home) == OLD


def test_a_writer_that_came_first_to_the_lock_writes_where_it_counts(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had read which generation answers, and waited for the lock while the other one came to answer."""
    migrated(home)
    real, told = generations.current, [home]
    monkeypatch.setattr(generations, "current", lambda folder: told.pop() if told else real(folder))
    with Collection.open(home) as writer:
        assert writer.store.folder == home / "generations" / "2"
        writer.annotate(3, label="where it counts")
    assert {row[0]: row[2] for row in known(home)}[3] == "where it counts"


def test_paths_that_changed_places_meanwhile(home: Path, pictures: Path) -> None:
    with Migration(home, create(NEW)) as migration:
        list(migration.encode())
        (pictures / "0.png").rename(pictures / "x.png")
        (pictures / "2.png").rename(pictures / "0.png")
        (pictures / "x.png").rename(pictures / "2.png")
        with Collection.open(home) as writer:
            list(writer.sync(pictures))
        list(migration.switch())
    right(home)
    with Collection.open(home) as writer:  # a key takes the place that another one has had in the generation before
        for old, new in (("6.png", "y.png"), ("4.png", "6.png")):
            (pictures / old).rename(pictures / new)
            list(writer.sync(pictures))
    after = known(home)
    assert {row[0] for row in after} == set(range(1, N + 1))
    migrated(home, None)
    assert known(home) == after
    right(home)


def test_a_backup_of_the_second_generation_is_a_collection_of_its_own(home: Path, tmp_path: Path) -> None:
    with Collection.open(home) as writer:
        vector = writer.encoder.encode_images([Image.open(BytesIO(picture(30))).convert("RGB")])[0]
        keep(writer, [Upload(picture(30), vector, "u.png")])
    migrated(home)
    with Collection.open(home, read_only=True) as collection:
        list(collection.backup(tmp_path / "copy"))
    assert not (tmp_path / "copy" / "generations").exists()
    assert len(known(tmp_path / "copy")) == N + 1
    right(tmp_path / "copy")


def test_an_encoder_that_learns_does_so_from_the_collection_and_that_is_noted(home: Path) -> None:
    from nearsight.study.collection import LEARNED

    pytest.importorskip("cv2")
    for number in range(N):
        for path in home.parent.rglob(f"{number}.png"):
            Image.effect_noise((96, 96), 90).convert("RGB").save(path)
    with Collection.open(home) as writer:
        list(writer.sync(home.parent / "pictures"))
    migrated(home, "bovw?words=8")
    with Collection.open(home, read_only=True) as collection:
        assert "learned from these pictures" in (collection.recall(LEARNED) or "")
    migrated(home, None)
    with Collection.open(home, read_only=True) as collection:
        assert collection.recall(LEARNED) is None
