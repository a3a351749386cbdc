"""A folder is whole or absent: every byte is checked, and a crash at any step leaves the old one or the new one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nearsight.core import artefact
from nearsight.core.artefact import MANIFEST, read_artefact, read_contents, write_artefact
from nearsight.core.errors import Damaged, FormatError, NotACollection, StoreError, WriteFailed

FILES: dict[str, bytes | Path] = {"a.bin": bytes(range(200)), "b.txt": b"words"}


class Killed(BaseException):
    """The process ends here: nothing may catch it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "thing"
    write_artefact(folder, "thing", 1, {"n": 1}, FILES)
    return folder


def test_round_trip(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "copied").write_bytes(b"from a file")
    write_artefact(folder, "thing", 1, {"n": 2}, {**FILES, "c": tmp_path / "copied"})
    found = read_artefact(folder, "thing", 1)
    assert found.meta == {"n": 2}
    assert set(found.files) == {"a.bin", "b.txt", "c"}
    assert (folder / "c").read_bytes() == b"from a file"
    assert {p.name for p in tmp_path.iterdir()} == {"thing", "copied"}, "nothing is left beside"


def test_contents_are_of_one_artefact(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, contents = read_contents(folder, "thing", 1)
    assert (found.meta, contents) == ({"n": 1}, FILES)
    read = Path.read_bytes
    others = [b"other", b"words of another one"]

    def replaced(path: Path) -> bytes:
        """Somebody replaces it when the first of its files was read."""
        content = read(path)
        if path.name == "a.bin" and others:
            write_artefact(folder, "thing", 1, {"n": 2}, dict(zip(FILES, others, strict=True)))
            others.clear()
        return content

    monkeypatch.setattr(Path, "read_bytes", replaced)
    with pytest.raises(Damaged, match=r"b\.txt"):
        read_contents(folder, "thing", 1)
    assert read_contents(folder, "thing", 1)[0].meta == {"n": 2}


def test_a_reader_who_fetches_the_old_one_back_does_not_stop_who_replaces_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, seen = os.replace, list[object]()

    def watched(source: Path, target: Path) -> None:
        replace(source, target)
        if source == folder and len(seen) < 2:  # it lies beside, and nothing stands in its place
            monkeypatch.setattr(os, "replace", replace)
            seen.append(read_artefact(folder, "thing", 1).meta)
            monkeypatch.setattr(os, "replace", watched)

    monkeypatch.setattr(os, "replace", watched)
    write_artefact(folder, "thing", 1, {"n": 2}, FILES)
    assert seen == [{"n": 1}, {"n": 1}]
    assert read_artefact(folder, "thing", 1).meta == {"n": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["thing"], "nothing is left beside"


@pytest.mark.parametrize("name", ["a.bin", "b.txt", MANIFEST])
def test_every_flip_and_every_cut_is_found(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for at in range(0, len(whole), 1 if len(whole) < 300 else 7):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        for content in (bytes(flipped), whole[:at]):
            (folder / name).write_bytes(content)
            with pytest.raises((Damaged, FormatError)):  # a flip in "format" reads as something else's manifest
                read_artefact(folder, "thing", 1)
    (folder / name).write_bytes(whole)
    read_artefact(folder, "thing", 1)


def test_what_is_missing_is_named(folder: Path) -> None:
    (folder / "b.txt").unlink()
    with pytest.raises(Damaged, match=r"b\.txt is missing"):
        read_artefact(folder, "thing", 1)
    with pytest.raises(NotACollection):
        read_artefact(folder / "nowhere", "thing", 1)


def test_other_formats_and_newer_versions_are_refused(folder: Path) -> None:
    with pytest.raises(FormatError):
        read_artefact(folder, "other", 1)
    with pytest.raises(FormatError, match="version 1"):
        read_artefact(folder, "thing", 0)


def test_a_manifest_cannot_name_files_outside(folder: Path) -> None:
    facts = {"bytes": 5, "sha256": artefact.sha256_of(folder / "b.txt")}
    artefact.write_manifest(folder / MANIFEST, "thing", 1, {}, {"../thing/b.txt": facts})
    with pytest.raises(Damaged, match="outside"):
        read_artefact(folder, "thing", 1)


STEPS = ["replace", "fsync", "mkdir", "open", "close"]


@pytest.mark.parametrize("kind", [Killed, OSError])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_leaves_the_old_or_the_new(
    folder: Path, step: str, kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(os, step)
    for number in range(30):
        write_artefact(folder, "thing", 1, {"n": 1}, FILES)
        calls = 0

        def fail(*args, number: int = number, **named):
            nonlocal calls
            calls += 1
            if calls == number + 1:
                raise kind("the lights went out")
            return real(*args, **named)

        monkeypatch.setattr(os, step, fail)
        try:
            write_artefact(folder, "thing", 1, {"n": 2}, {"a.bin": b"new"})
            failed = False
        except (Killed, WriteFailed):
            failed = True
        monkeypatch.setattr(os, step, real)
        found = read_artefact(folder, "thing", 1)
        assert (folder / "a.bin").read_bytes() == (b"new" if found.meta["n"] == 2 else FILES["a.bin"])
        assert failed or found.meta["n"] == 2
        if calls <= number:  # every call of this kind has failed once
            assert number > 0
            return
    pytest.fail("30 failures and no end")


def test_a_first_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteFailed) as caught:
        write_artefact(tmp_path / "new", "thing", 1, {}, FILES)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError):
        read_artefact(tmp_path / "new", "thing", 1)
