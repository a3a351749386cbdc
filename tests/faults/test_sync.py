"""What happens to folders while a collection mirrors them, and runs that are broken off."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from harm import harmful, picture

from nearsight.core.errors import InputError, RootVanished
from nearsight.core.events import Done, Encoded, Skipped
from nearsight.data.images import Found
from nearsight.encode.encoder import create
from nearsight.encode.images.colour import Colour
from nearsight.search.collection import Collection
from nearsight.search.sync import difference
from nearsight.search.sync.pipeline import Pipeline


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each call of the encoder's per-picture half."""
    calls: list[int] = []
    original, lock = Colour.prepare, threading.Lock()

    def counting(self: Colour, shown: object) -> object:
        with lock:
            calls.append(1)
        return original(self, shown)  # type: ignore[arg-type]

    monkeypatch.setattr(Colour, "prepare", counting)
    return calls


def counts(collection: Collection, folder: Path, **options: object) -> dict[str, int]:
    *_, last = collection.sync(folder, **options)  # type: ignore[arg-type]
    assert isinstance(last, Done)
    return last.counts


def by_path(collection: Collection) -> dict[str, tuple[int, bytes]]:
    snapshot = collection.store.verified()
    rows = collection.store.catalogue.all("SELECT path, key FROM item")
    return {
        os.fsdecode(path): (key, snapshot.vectors(snapshot.rows_of(np.array([key]))).tobytes()) for path, key in rows
    }


def test_syncing_an_unchanged_folder_never_calls_the_encoder(
    synced: Collection, pictures: Path, prepared: list[int]
) -> None:
    before, generation = by_path(synced), synced.store.snapshot().generation
    assert counts(synced, pictures)["unchanged"] == 12
    assert prepared == []
    assert by_path(synced) == before
    assert synced.store.snapshot().generation == generation, "nothing was even written"


def test_renames_and_moves_keep_the_key_and_encode_nothing(
    synced: Collection, pictures: Path, prepared: list[int]
) -> None:
    before = by_path(synced)
    (pictures / "0.png").rename(pictures / "renamed.png")
    (pictures / "2.png").rename(pictures / "sub" / "moved.png")
    shutil.copy(pictures / "4.png", pictures / "copy.png")
    os.utime(pictures / "6.png", (1, 1))
    told = counts(synced, pictures)
    assert (told["moved"], told["copied"], told["touched"], told["dropped"]) == (2, 1, 1, 0)
    assert prepared == []
    after = by_path(synced)
    assert after["renamed.png"] == before["0.png"]
    assert after[os.path.join("sub", "moved.png")] == before["2.png"]
    assert after["copy.png"][1] == before["4.png"][1]


def test_new_content_with_an_old_clock_and_the_same_size_is_seen(
    synced: Collection, pictures: Path, prepared: list[int]
) -> None:
    path = pictures / "0.png"
    status, before = path.stat(), by_path(synced)
    path.write_bytes(picture(77))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert counts(synced, pictures)["updated"] == 1
    after = by_path(synced)
    assert after["0.png"][0] == before["0.png"][0], "the key stays"
    assert after["0.png"][1] != before["0.png"][1]


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_vanished_mount_never_becomes_a_mass_delete(synced: Collection, pictures: Path, how: str) -> None:
    before = by_path(synced)
    pictures.rename(pictures.with_name("elsewhere"))
    if how == "empty":
        pictures.mkdir()
    with pytest.raises(RootVanished) as refused:
        list(synced.sync(pictures))
    assert refused.value.code == "store/root-vanished"
    assert refused.value.hint
    assert by_path(synced) == before
    assert counts(synced, pictures, drop="always")["dropped"] == 12, "told so, it is"
    assert len(synced) == 0


@pytest.mark.parametrize("how", ["closed", "interrupted"])
def test_a_run_that_is_broken_off_keeps_what_it_encoded(
    tmp_path: Path, pictures: Path, prepared: list[int], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    encoder = create("colour?bins=2&grid=1")
    encoder.tower.batch = 3
    monkeypatch.setattr("nearsight.search.sync.pipeline._COMMIT_ROWS", 3)
    with Collection.create(tmp_path / "c", encoder) as collection:
        acknowledged, run = 0, collection.sync(pictures, workers=1)
        stop: Callable[[], object] = run.close if how == "closed" else lambda: run.throw(KeyboardInterrupt())
        for event in run:
            if isinstance(event, Encoded):
                acknowledged += event.count
                if acknowledged >= 6:
                    break
        if how == "interrupted":
            with pytest.raises(KeyboardInterrupt):
                stop()
        else:
            stop()
        assert 6 <= acknowledged <= len(collection) < 12
        committed = len(collection)
    assert not harmful(tmp_path / "c")
    prepared.clear()
    with Collection.open(tmp_path / "c") as collection:
        told = counts(collection, pictures)
        assert (told["added"], told["unchanged"]) == (12 - committed, committed)
        assert len(prepared) == 12 - committed, "the encoder saw what was committed again"
        assert len(collection) == 12


@pytest.mark.parametrize("how", ["closed", "interrupted"])
def test_what_was_encoded_but_not_yet_committed_is_committed_on_the_way_out(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    (pictures / "sub" / "0 broken.png").write_bytes(picture(5)[:60])
    monkeypatch.setattr("nearsight.search.sync.pipeline._COMMIT_SECONDS", 1e9)
    encoder = create("colour?bins=2&grid=1")
    encoder.tower.batch = 3
    original, batches = encoder.tower.forward, []

    def forward(prepared: Sequence[np.ndarray]) -> np.ndarray:
        batches.append(len(prepared))
        if how == "interrupted" and len(batches) == 3:
            raise KeyboardInterrupt
        return original(prepared)

    encoder.tower.forward = forward  # type: ignore[method-assign]
    with Collection.create(tmp_path / "c", encoder) as collection:
        run = collection.sync(pictures, workers=1)
        if how == "closed":
            assert any(isinstance(event, Skipped) for event in run)  # stops there: after two batches, before a commit
            run.close()
        else:
            with pytest.raises(KeyboardInterrupt):
                list(run)
        assert len(collection) == 3 * (len(batches) - (how == "interrupted")) >= 6
    assert not harmful(tmp_path / "c")


def test_content_that_is_replaced_while_a_copy_of_it_is_looked_into_is_not_passed_over(
    synced: Collection, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mv a z; cp new a`: the worker finds z's content in the collection, then a's commit takes it away."""
    first = min(path for path in pictures.rglob("*") if path.is_file())
    shutil.copy(first, pictures / "zz.png")
    first.write_bytes(picture(999))
    looked, look, encode = threading.Event(), Pipeline._look, Pipeline._vectors

    def looking(self: Pipeline, job: object, *rest: object) -> object:
        found = look(self, job, *rest)  # type: ignore[arg-type]
        if job.path == b"zz.png":  # type: ignore[attr-defined]
            looked.set()
        return found

    def encoding(self: Pipeline, *rest: object) -> object:
        assert looked.wait(20)
        return encode(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Pipeline, "_look", looking)
    monkeypatch.setattr(Pipeline, "_vectors", encoding)
    monkeypatch.setattr("nearsight.search.sync.pipeline._COMMIT_SECONDS", -1.0)
    monkeypatch.setattr(synced.encoder.tower, "batch", 1)
    made = counts(synced, pictures)
    assert (made["updated"], made["added"]) == (1, 1)
    assert "zz.png" in by_path(synced)


def test_a_drives_root_keeps_the_names_below_it(store: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """``/`` and ``D:\\`` end in the separator already."""
    found = Found(Path("/photo.png"), 1, 2, 3, 4, 5)
    monkeypatch.setattr(difference, "walk", lambda root, follow_links: iter([found]))
    looked = difference.Difference(store.store, Path("/"))
    list(looked.walk(follow_links=False))
    assert [job.path for job in looked.jobs()] == [b"photo.png"]


def test_a_folder_that_was_renamed_is_known_again(
    synced: Collection, pictures: Path, tmp_path: Path, prepared: list[int]
) -> None:
    before = by_path(synced)
    os.rename(pictures, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "new.png").write_bytes(picture(77))
    made = counts(synced, tmp_path / "elsewhere")
    assert (made["unchanged"], made["added"], made["dropped"]) == (12, 1, 0)
    assert len(prepared) == 1
    assert {path: at for path, at in by_path(synced).items() if path != "new.png"} == before
    assert synced.roots() == [tmp_path / "elsewhere"]


def test_a_copy_of_a_folder_is_a_folder_of_its_own(synced: Collection, pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures, tmp_path / "copy")
    assert counts(synced, tmp_path / "copy")["copied"] == 12
    assert synced.roots() == [pictures, tmp_path / "copy"]


def test_folders_inside_each_other_are_refused(synced: Collection, pictures: Path, tmp_path: Path) -> None:
    for folder in (pictures / "sub", tmp_path):
        with pytest.raises(InputError) as caught:
            list(synced.sync(folder))
        assert caught.value.code == "folder/overlap"
    assert len(synced) == 12
    assert synced.roots() == [pictures]


def test_inodes_and_devices_may_have_all_64_bits(
    store: Collection, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As mergerfs, CIFS and NTFS give them."""
    found = Found(pictures / "0.png", 1, 2, 3, 4, (1 << 64) - 5)
    monkeypatch.setattr(difference, "walk", lambda root, follow_links: iter([found]))
    stat, facts = Path.stat, os.stat(pictures)
    high = os.stat_result((*facts[:2], (1 << 64) - 7, *facts[3:]))
    monkeypatch.setattr(Path, "stat", lambda self, **more: high if self == pictures else stat(self, **more))
    looked = difference.Difference(store.store, pictures)
    list(looked.walk(follow_links=False))
    assert [job.path for job in looked.jobs()] == [b"0.png"]


def test_only_what_is_wanted_is_in_and_the_rest_is_as_good_as_gone(synced: Collection, pictures: Path) -> None:
    paths = sorted(os.fsdecode(path) for (path,) in synced.store.catalogue.all("SELECT path FROM item"))
    told: list[Path] = []

    def only(path: Path) -> bool:
        told.append(path)
        return str(path) in paths[:9]

    assert counts(synced, pictures, only=only)["dropped"] == 3
    assert {str(path) for path in told} >= set(paths), "relative paths"
    assert sorted(by_path(synced)) == paths[:9]
    assert counts(synced, pictures, only=only)["unchanged"] == 9
    assert counts(synced, pictures)["added"] == 3
