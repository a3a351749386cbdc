"""The store's files when they are missing, foreign, another's or bent, and keys that must never come back."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from harm import DIM, SPEC, harmful, picture, python, records, tree, vectors

from nearsight.core.artefact import MANIFEST, read_manifest, sha256_of, write_manifest
from nearsight.core.errors import (
    Damaged,
    EncoderMismatch,
    FormatError,
    NearsightError,
    NotACollection,
    StoreError,
)
from nearsight.encode.encoder import Encoder, EncoderSpec, create
from nearsight.search.collection import Collection
from nearsight.search.store.check import Finding, check
from nearsight.search.store.segments import HEADER

# files that are missing, foreign, of others


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (MANIFEST, NotACollection),
        ("catalogue.sqlite", Damaged),
        ("segments/000001.vec", Damaged),
        ("segments/000001.key", Damaged),
        ("catalogue.seal", None),
        ("LOCK", None),
    ],
)
def test_a_missing_file_is_named_or_not_needed(
    store: Collection, name: str, error: type[NearsightError] | None
) -> None:
    store.close()
    (store.folder / name).unlink(missing_ok=True)
    if error is None:
        with Collection.open(store.folder) as again:
            assert len(again.search(1, 30)) == 20
    else:
        with pytest.raises(error):
            Collection.open(store.folder)
        assert harmful(store.folder)


def test_a_collection_without_its_manifest_is_not_overwritten(store: Collection) -> None:
    store.close()
    (store.folder / MANIFEST).unlink()
    before = tree(store.folder)
    with pytest.raises(Damaged):
        Collection.create(store.folder, SPEC)
    assert tree(store.folder) == before


def test_foreign_files_are_named_and_left_alone(store: Collection) -> None:
    names = ["notes.txt", ".manifest.json.x.tmp", "segments/000009.vec", "segments/read me", "engine/x.tmp"]
    for name in names:
        (store.folder / name).parent.mkdir(exist_ok=True)
        (store.folder / name).write_bytes(b"not ours")
    found = [f for f in check(store.folder) if isinstance(f, Finding)]
    assert all(f.harmless for f in found)
    assert {f.path for f in found if f.code == "orphan"} == set(names)
    store.add(vectors(1, 1), records(1, "new"))
    assert (store.folder / "notes.txt").read_bytes() == b"not ours"
    assert len(store.search(1, 30)) == 21


def test_another_encoder_of_the_same_dimension_is_refused(synced: Collection, tmp_path: Path) -> None:
    other = create("colour?bins=8&grid=1")
    assert other.spec.dim != synced.dim
    synced.close()
    spec = EncoderSpec("other", synced.dim, ("image",), "00" * 32, {})
    stranger = Encoder(create("colour?bins=2&grid=1").tower)
    stranger.tower.identity = lambda: {"tower": "other"}  # type: ignore[method-assign]
    assert stranger.spec.dim == synced.dim
    assert spec.fingerprint != synced.fingerprint
    with pytest.raises(EncoderMismatch):
        Collection.open(synced.folder, encoder=stranger)
    shutil.rmtree(synced.folder / "encoder")
    stranger.save(synced.folder / "encoder")
    with Collection.open(synced.folder) as again:
        with pytest.raises(NearsightError) as refused:
            again.search(tmp_path / "pictures" / "0.png")
        assert refused.value.code.startswith("encoder/")
        with pytest.raises(NearsightError):
            list(again.sync(_one_more(tmp_path / "pictures")))
    assert [f.code for f in harmful(synced.folder)] == ["encoder"]


def _one_more(folder: Path) -> Path:
    (folder / "more.png").write_bytes(picture(99))
    return folder


def test_a_newer_format_is_refused_and_left_untouched(store: Collection) -> None:
    store.close()
    body = read_manifest(store.folder / MANIFEST, "nearsight-collection", 1)
    write_manifest(store.folder / MANIFEST, "nearsight-collection", 3, body["meta"], {})
    before = tree(store.folder)
    for use in (
        lambda: Collection.open(store.folder),
        lambda: Collection.create(store.folder, SPEC),
        lambda: list(check(store.folder)),
        lambda: list(Collection.repair(store.folder)),
    ):
        with pytest.raises(StoreError) as refused:
            use()
        assert refused.value.code in ("store/format", "store/exists")
    assert tree(store.folder) == before
    with pytest.raises(FormatError):
        Collection.open(store.folder)


class _Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "codebook.npy", "model.onnx", "manifest.json"])
def test_nothing_in_the_encoder_folder_is_executed(synced: Collection, tmp_path: Path, name: str) -> None:
    synced.close()
    marker, inside = tmp_path / "executed", synced.folder / "encoder"
    body = read_manifest(inside / MANIFEST, "nearsight-encoder", 1)
    bomb = pickle.dumps(_Bomb(marker))
    for content in (bomb, b"\xff" * 8 + b"{" * 1000, b"\x93NUMPY\x01\x00" + bomb):
        (inside / name).write_bytes(content)
        if name != MANIFEST:  # listed, as somebody would who tampers on purpose
            facts = {name: {"bytes": len(content), "sha256": sha256_of(inside / name)}}
            write_manifest(inside / MANIFEST, "nearsight-encoder", 1, body["meta"], facts)
        with suppress(NearsightError), Collection.open(synced.folder) as again:
            assert len(again.search(tmp_path / "pictures" / "0.png", 3)) == 3
        list(check(synced.folder))
    assert not marker.exists()


@pytest.mark.parametrize("deleted", [0, 10])
def test_an_index_of_a_collection_that_went_another_way_is_not_used(tmp_path: Path, deleted: int) -> None:
    with Collection.create(tmp_path / "c", SPEC, engine="faiss/HNSW8") as collection:
        collection.add(vectors(50), records(50))
    shutil.copytree(tmp_path / "c", tmp_path / "old")
    with Collection.open(tmp_path / "c") as collection:
        if deleted:
            collection.delete(list(range(1, deleted + 1)))
        collection.add(vectors(5, 1), records(5, "x"))
        collection.build_engine()
    # An older copy is put back beside the newer index, and lives on until its generation is past that of the index.
    shutil.copytree(tmp_path / "c" / "engine", tmp_path / "old" / "engine")
    with Collection.open(tmp_path / "old") as collection:
        if deleted:
            collection.add(vectors(5, 1), records(5, "x"))  # the same rows; only what was deleted differs
        else:
            collection.add(vectors(5, 2), records(5, "y"))  # the same keys; only the vectors differ
        for _ in range(3):
            collection.annotate(1, label="z")
    with Collection.open(tmp_path / "old") as collection:
        hits = collection.search_vectors(vectors(3, 2), 100)
        assert collection.engine_state != "ready"
        assert sorted(int(k) for k in hits.keys[0] if k >= 0) == list(range(1, 56))


# what SQLite itself would not notice


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("text", [b"p17", b"l2[]{}"])
def test_one_changed_letter_in_the_catalogue_is_damage(store: Collection, text: bytes, sealed: bool) -> None:
    store.close()
    catalogue = store.folder / "catalogue.sqlite"
    content = catalogue.read_bytes()
    assert text in content
    catalogue.write_bytes(content.replace(text, bytes([text[0] ^ 1]) + text[1:], 1))
    if not sealed:  # killed between a commit and its seal
        (store.folder / "catalogue.seal").unlink()
    for read_only in (True, False):
        with pytest.raises(Damaged):
            Collection.open(store.folder, read_only=read_only)


def test_commits_are_as_durable_as_sqlite_can_make_them(store: Collection) -> None:
    catalogue = store.store.catalogue
    assert catalogue.one("PRAGMA synchronous") == 2
    assert catalogue.one("PRAGMA journal_mode") == "truncate", "no WAL: a read-only medium, and SQLite before 3.51.3"


def test_compaction_copies_no_damage_under_a_new_checksum(store: Collection) -> None:
    store.delete([3])
    store.close()
    path = store.folder / "segments" / "000001.vec"
    content = bytearray(path.read_bytes())
    content[HEADER + 10 * DIM * 4 + 1] ^= 1
    path.write_bytes(content)
    with Collection.open(store.folder) as again:
        with pytest.raises(Damaged, match="nothing was compacted"):
            again.compact()
        assert len(again) == 19
        with pytest.raises(Damaged, match="p10"):
            again.search(1)
    assert [f.key for f in harmful(store.folder)] == [11]


# keys


def test_a_key_is_never_used_again(store: Collection) -> None:
    store.delete([19, 20])
    store.compact()
    store.close()
    with Collection.open(store.folder) as again:
        assert again.add(vectors(1, 1), records(1, "new")).tolist() == [21]
        again.delete([21])
    (store.folder / "catalogue.sqlite").write_bytes(b"gone")
    assert list(Collection.repair(store.folder))
    with Collection.open(store.folder) as again:
        assert again.add(vectors(1, 2), records(1, "newer")).tolist() == [22]


def test_replacing_what_is_not_there_is_refused(store: Collection) -> None:
    store.delete([5])
    for key in (5, 99):
        with pytest.raises(NearsightError) as refused:
            store.store.append(records(1, "new"), vectors(1, 1), replacing=[key])
        assert refused.value.code == "item/unknown"
    assert len(store) == 19


def test_a_creation_that_was_killed_can_be_repeated(tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys
        from pathlib import Path
        from nearsight.search.store import store
        from nearsight.search.collection import Collection
        from nearsight.encode.encoder import create
        store.write_manifest = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
        Collection.create(Path(sys.argv[1]), create("colour"))"""
    assert python(code, tmp_path / "c").returncode == -signal.SIGKILL
    with pytest.raises(NotACollection):
        Collection.open(tmp_path / "c")
    with Collection.create(tmp_path / "c", create("colour?bins=2")) as collection:
        assert len(collection) == 0
    assert not harmful(tmp_path / "c")
