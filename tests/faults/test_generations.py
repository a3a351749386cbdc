"""The file that says which generation answers, damaged or lost; and generations that go while they are opened."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from harm import harmful

from nearsight.core.errors import Damaged, NearsightError, NotACollection
from nearsight.encode.encoder import create
from nearsight.search.collection import Collection
from nearsight.search.migration import Migration, forget
from nearsight.search.store import generations
from nearsight.search.store.check import Finding, check

NEW = "colour?bins=4&grid=1"


@pytest.fixture
def two(synced: Collection) -> Path:
    """A collection with two generations, the second of which answers."""
    synced.close()
    migrate(synced.folder)
    return synced.folder


def migrate(folder: Path, encoder: str | None = NEW) -> None:
    with Migration(folder, create(encoder) if encoder else None) as migration:
        list(migration.encode())
        list(migration.switch())


def answers(folder: Path) -> str:
    with Collection.open(folder, read_only=True) as collection:
        assert len(collection.search(1, 3)) == 3
        return str(collection.store.manifest["encoder"])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"generations/2") + 12] ^= 1
    path.write_bytes(content)


def _elsewhere(path: Path) -> None:
    from nearsight.core.artefact import read_manifest, write_manifest

    meta = read_manifest(path, generations.FORMAT, generations.POINTING)["meta"]
    write_manifest(path, generations.FORMAT, generations.POINTING, {**meta, "current": "generations/../../x"}, {})


@pytest.mark.parametrize("harm", [_cut, _flip, _elsewhere, Path.unlink])
def test_what_says_which_one_answers_is_named_and_comes_back(two: Path, harm: Callable[[Path], object]) -> None:
    harm(two / "manifest.json")
    with pytest.raises((Damaged, NotACollection)):
        Collection.open(two)
    assert "manifest" in {finding.code for finding in harmful(two)}
    list(Collection.repair(two))
    assert answers(two) == NEW
    assert harmful(two) == []
    migrate(two, None)
    assert answers(two) != NEW, "the way back is there, too"


def test_one_that_was_only_begun_does_not_come_to_answer_by_a_repair(synced: Collection) -> None:
    synced.close()
    with Migration(synced.folder, create(NEW)) as migration:
        list(migration.encode())
    _cut(synced.folder / "manifest.json")
    assert {finding.code for finding in harmful(synced.folder)} == {"manifest"}
    list(Collection.repair(synced.folder))
    assert answers(synced.folder) != NEW


def test_it_comes_back_where_the_first_one_is_forgotten(two: Path) -> None:
    forget(two)
    _cut(two / "manifest.json")
    list(Collection.repair(two))
    assert answers(two) == NEW
    assert harmful(two) == []
    assert generations.beside(two) is None


@pytest.mark.parametrize("name", ["catalogue.sqlite", "segments/000001.vec", "manifest.json"])
def test_damage_in_the_one_that_answers_is_found_and_mended(two: Path, name: str) -> None:
    path = two / "generations" / "2" / name
    content = bytearray(path.read_bytes())
    content[len(content) - 40 if name.endswith(".vec") else len(content) // 2] ^= 64
    path.write_bytes(content)
    assert harmful(two)
    list(Collection.repair(two))
    assert answers(two) == NEW
    assert harmful(two) == []


def test_a_damaged_one_never_comes_to_answer(two: Path) -> None:
    path = two / "segments" / "000001.vec"
    content = bytearray(path.read_bytes())
    content[-40] ^= 64
    path.write_bytes(content)
    with Migration(two) as migration, pytest.raises(Damaged):
        list(migration.switch())
    assert answers(two) == NEW


def test_what_is_forgotten_while_it_is_opened_is_opened_as_it_answers(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader has read which one answers; before it opens that one, another one answers and that one is gone."""
    real, told = generations.current, [two, two]

    def current(folder: Path) -> Path:
        if not told:
            return real(folder)
        if len(told) == 1:
            shutil.rmtree(two / "segments")
        return told.pop()

    monkeypatch.setattr(generations, "current", current)
    with Collection.open(two, read_only=True) as collection:
        assert collection.store.folder == two / "generations" / "2"


def test_litter_of_a_removal_that_was_killed_goes_with_the_next(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "sweep", lambda home: None)
    forget(two)
    monkeypatch.undo()
    assert answers(two) == NEW
    assert {finding.code for finding in check(two) if isinstance(finding, Finding)} == {"orphan"}
    with pytest.raises(NearsightError):
        forget(two)
    assert [finding for finding in check(two) if isinstance(finding, Finding)] == []
    assert answers(two) == NEW
