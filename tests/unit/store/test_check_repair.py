"""check names what is damaged; repair mends it, and says what it cannot."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.arrays import unit
from nearsight.core.errors import Damaged, EncoderMismatch, Locked, NotACollection
from nearsight.core.events import Done
from nearsight.encode.encoder import EncoderSpec, create
from nearsight.search.collection import Collection
from nearsight.search.store import segments
from nearsight.search.store.check import Finding, check
from nearsight.search.store.repair import repair
from nearsight.search.store.segments import HEADER
from nearsight.search.store.store import Record
from nearsight.search.sync import Annotation

TOWER = "colour?bins=2&grid=1"
ROW = 32 * 4


def findings(folder: Path) -> list[Finding]:
    return [f for f in check(folder) if isinstance(f, Finding)]


def harmful(folder: Path) -> list[Finding]:
    return [f for f in findings(folder) if not f.harmless]


def mend(folder: Path, **options: object) -> tuple[list[Finding], dict[str, int]]:
    *events, last = repair(folder, **options)  # type: ignore[arg-type]
    assert isinstance(last, Done)
    return [e for e in events if isinstance(e, Finding)], last.counts


def contents(folder: Path) -> dict[int, tuple[object, ...]]:
    with Collection.open(folder, read_only=True) as collection:
        snapshot = collection.store.verified()
        rows = {key: snapshot.rows_of(np.array([key])) for key in collection.keys().tolist()}
        return {
            i.key: (i.path, i.label, i.captions, dict(i.fields), snapshot.vectors(rows[i.key]).tobytes())
            for i in collection.items()
        }


def describe(path: Path) -> Annotation:
    key = int(path.stem) + 1  # in the order of their names
    return Annotation(f"l{key % 3}", ("a",), {"n": key})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty pictures, some replaced, some deleted, all described; closed."""
    pictures, folder = tmp_path / "pictures", tmp_path / "c"
    pictures.mkdir()
    rng = np.random.default_rng(0)

    def draw(name: str) -> None:
        out = BytesIO()
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(out, "PNG")
        (pictures / name).write_bytes(out.getvalue())

    for i in range(40):
        draw(f"{i:02d}.png")
    with Collection.create(folder, create(TOWER), engine="faiss/HNSW8") as collection:
        list(collection.sync(pictures, annotate=describe))
        for i in range(3):
            draw(f"{i:02d}.png")
        (pictures / "39.png").unlink()
        list(collection.sync(pictures))
        collection.remember("how", "from pictures")
    return folder


def flip(path: Path, at: int, count: int = 1) -> None:
    content = bytearray(path.read_bytes())
    for i in range(at, at + count):
        content[i] ^= 0x10
    path.write_bytes(content)


def test_a_sound_collection_has_no_findings_and_repair_changes_nothing_that_counts(folder: Path) -> None:
    assert findings(folder) == []
    before = contents(folder)
    found, counts = mend(folder)
    assert found == []
    assert not any(counts.values())
    assert contents(folder) == before


def test_check_goes_on_after_the_first_damage(folder: Path) -> None:
    flip(folder / "manifest.json", 40)
    flip(folder / "encoder" / "manifest.json", 40)
    flip(folder / "segments" / "000001.vec", 100)
    flip(folder / "segments" / "000001.vec", HEADER + 10 * ROW)
    flip(folder / "segments" / "000001.key", HEADER + 100)
    flip(next((folder / "engine").glob("*.index")), 100)
    (folder / "stray").touch()
    codes = {f.code for f in findings(folder)}
    assert codes == {"manifest", "encoder", "segment", "row", "keys", "engine", "orphan"}
    assert {f.code for f in harmful(folder)} == {"manifest", "encoder", "segment", "row"}
    assert all(f.repair for f in findings(folder))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "manifest": lambda c: flip(c / "manifest.json", 30),
    "no manifest": lambda c: (c / "manifest.json").unlink(),
    "no encoder": lambda c: shutil.rmtree(c / "encoder"),
    "encoder": lambda c: flip(c / "encoder" / "manifest.json", 30),
    "one vector": lambda c: flip(c / "segments" / "000001.vec", HEADER + 10 * ROW),
    "vector header": lambda c: flip(c / "segments" / "000001.vec", 9),
    "vectors cut": lambda c: os.truncate(c / "segments" / "000001.vec", HEADER + 20 * ROW),
    "no vectors": lambda c: (c / "segments" / "000001.vec").unlink(),
    "keys": lambda c: flip(c / "segments" / "000001.key", HEADER + 30, 100),
    "no keys": lambda c: (c / "segments" / "000001.key").unlink(),
    "no segments": lambda c: shutil.rmtree(c / "segments"),
    "a dead vector": lambda c: flip(c / "segments" / "000001.vec", HEADER + 3),
    "seal": lambda c: flip(c / "catalogue.seal", 30),
    "catalogue padding": lambda c: flip(c / "catalogue.sqlite", 99),
    "engine": lambda c: flip(next((c / "engine").glob("*.index")), 99),
    "no engine": lambda c: shutil.rmtree(c / "engine"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_repair_restores_everything_that_has_a_source(folder: Path, what: str) -> None:
    before = contents(folder)
    DAMAGE[what](folder)
    mend(folder)
    assert harmful(folder) == []
    assert contents(folder) == before
    with Collection.open(folder) as collection:
        assert len(collection.search(5, 100)) == len(before)
        assert collection.search(folder.parent / "pictures" / "07.png", 1)[0].item.path.name == "07.png"
        assert collection.engine_state == "ready"


def _locate(path: Path, text: bytes) -> int:
    at = path.read_bytes().find(text)
    assert at > 0
    return at


def test_an_entry_that_is_not_as_written_is_named_and_restored_from_the_indexes(folder: Path) -> None:
    before, catalogue = contents(folder), folder / "catalogue.sqlite"
    flip(catalogue, _locate(catalogue, b'{"n":17}') + 5)
    named = [f for f in harmful(folder) if f.code == "item"]
    assert [f.key for f in named] == [17]
    found, counts = mend(folder)
    assert [(f.code, f.key) for f in found] == [("restored", 17)]
    assert counts["restored"] == 1
    assert harmful(folder) == []
    after = contents(folder)
    path, label, _, _, vector = before.pop(17)
    assert after.pop(17) == (path, label, (), {}, vector)
    assert after == before
    with Collection.open(folder) as collection:
        assert collection.recall("how") == "from pictures"
    assert list((folder / "damaged").iterdir()), "the damaged catalogue is kept"


def test_a_zeroed_page_of_entries_loses_no_item(folder: Path) -> None:
    before, catalogue = contents(folder), folder / "catalogue.sqlite"
    page = _locate(catalogue, b'{"n":17}') // 4096 * 4096
    content = bytearray(catalogue.read_bytes())
    content[page : page + 4096] = bytes(4096)
    catalogue.write_bytes(content)
    with pytest.raises(Damaged):
        Collection.open(folder)
    mend(folder)
    assert harmful(folder) == []
    after = contents(folder)
    assert {k: (v[0], v[1], v[4]) for k, v in after.items()} == {k: (v[0], v[1], v[4]) for k, v in before.items()}


def test_the_first_page_of_the_catalogue_comes_back(folder: Path) -> None:
    before, catalogue = contents(folder), folder / "catalogue.sqlite"
    catalogue.write_bytes(bytes(4096) + catalogue.read_bytes()[4096:])
    mend(folder)
    assert harmful(folder) == []
    assert contents(folder) == before


def test_without_a_catalogue_the_next_sync_brings_all_back_under_new_keys(folder: Path) -> None:
    before = contents(folder)
    (folder / "catalogue.sqlite").unlink()
    found, counts = mend(folder)
    assert [f.code for f in found] == ["lost"]
    assert found[0].what.startswith("43 vectors"), "40 pictures, of which 3 were replaced"
    assert counts["lost"] == 1
    assert harmful(folder) == []
    with Collection.open(folder) as collection:
        list(collection.sync(folder.parent / "pictures"))
    after = contents(folder)
    assert min(after) > max(before)
    assert {v[4] for v in after.values()} == {v[4] for v in before.values()}


@pytest.mark.parametrize("gone", ["changed", "missing"])
def test_a_vector_without_its_picture_is_reported_and_dropped_only_on_request(folder: Path, gone: str) -> None:
    before = contents(folder)
    with Collection.open(folder) as collection:
        key, path = next((i.key, i.path) for i in collection.items() if i.path.name == "20.png")
        row = collection.store.catalogue.one("SELECT row FROM item WHERE key=?", key)
    path.write_bytes((path.parent / "21.png").read_bytes()) if gone == "changed" else path.unlink()
    flip(folder / "segments" / "000001.vec", HEADER + row * ROW)
    found, counts = mend(folder)
    assert {(f.code, f.key) for f in found} == {("row", key)}
    assert counts["left"] == 1
    with Collection.open(folder) as collection:
        assert len(collection) == len(before), "nothing was dropped"
        with pytest.raises(Damaged, match=r"20\.png"):
            collection.search(key)
    found, counts = mend(folder, drop=True)
    assert [(f.code, f.key) for f in found] == [("dropped", key)]
    assert harmful(folder) == []
    del before[key]
    assert contents(folder) == before


def test_a_damaged_vector_comes_from_an_exact_copy_before_any_picture(folder: Path) -> None:
    pictures = folder.parent / "pictures"
    shutil.copy(pictures / "20.png", pictures / "twin.png")
    with Collection.open(folder) as collection:
        list(collection.sync(pictures))
        row = collection.store.catalogue.one("SELECT row FROM item WHERE path=?", b"20.png")
    before = contents(folder)
    shutil.rmtree(pictures)
    flip(folder / "segments" / "000001.vec", HEADER + row * ROW)
    _, counts = mend(folder)
    assert counts["encoded"] == 1
    assert contents(folder) == before


def test_vectors_from_elsewhere_cannot_be_encoded_again(tmp_path: Path) -> None:
    spec = EncoderSpec("elsewhere", 8, ("image",), "ef" * 32, {})
    rows = unit(np.random.default_rng(0).standard_normal((5, 8)))
    with Collection.create(tmp_path / "c", spec) as collection:
        collection.add(rows, [Record(f"{i}".encode()) for i in range(5)])
    assert findings(tmp_path / "c") == [], "it never had an encoder"
    flip(tmp_path / "c" / "segments" / "000001.vec", HEADER + 3 * 32)
    found, counts = mend(tmp_path / "c")
    assert {f.key for f in found if f.code == "row"} == {4}
    assert counts["left"] == 1


def test_repair_with_the_wrong_encoder_or_while_somebody_writes_is_refused(folder: Path) -> None:
    with pytest.raises(EncoderMismatch):
        next(repair(folder, encoder=create("colour?bins=3&grid=1")))
    with Collection.open(folder), pytest.raises(Locked):
        next(repair(folder))
    with pytest.raises(NotACollection):
        next(repair(folder.parent / "pictures"))
    with pytest.raises(NotACollection):
        next(iter(check(folder.parent / "pictures")))


def test_an_encoder_that_its_address_cannot_bring_back_is_taken_from_the_caller(tmp_path: Path) -> None:
    encoder = create(TOWER)
    encoder.tower.identity = lambda: {"learned": "from somewhere"}  # type: ignore[method-assign]
    with Collection.create(tmp_path / "c", encoder):
        pass
    shutil.rmtree(tmp_path / "c" / "encoder")
    found, _ = mend(tmp_path / "c")
    assert [f.code for f in found] == ["encoder"]
    found, _ = mend(tmp_path / "c", encoder=encoder)
    assert found == []


def test_leftovers_of_a_crash_are_removed_and_named(folder: Path) -> None:
    for name in (".manifest.json.abc.tmp", "engine/000000000009.tmp", "segments/000007.vec"):
        (folder / name).write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"mine")
    found, _ = mend(folder)
    assert len(found) == 3
    assert {f.code for f in found} == {"orphan"}
    assert (folder / "notes.txt").exists()
    assert [f.path for f in findings(folder)] == ["notes.txt"]


def test_several_segments_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 1)  # one block of 1,024 rows a segment
    spec = EncoderSpec("elsewhere", 8, ("image",), "ef" * 32, {})
    rows = unit(np.random.default_rng(0).standard_normal((2500, 8)))
    folder = tmp_path / "c"
    with Collection.create(folder, spec) as collection:
        collection.add(rows, [Record(f"{i}".encode(), label=f"l{i % 2}") for i in range(2500)])
        collection.delete(list(range(1000, 1100)))
    before = contents(folder)
    assert len(list((folder / "segments").iterdir())) == 6
    flip(folder / "segments" / "000002.key", HEADER + 80)
    flip(folder / "segments" / "000003.vec", 20)
    catalogue = folder / "catalogue.sqlite"
    content = bytearray(catalogue.read_bytes())
    page = content.find(b"l1[]{}") // 4096 * 4096
    content[page : page + 4096] = bytes(4096)
    catalogue.write_bytes(content)
    mend(folder)
    assert harmful(folder) == []
    assert contents(folder) == before
