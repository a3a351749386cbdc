"""Mistakes are answered with a sentence, a code, a repair and an exit code; never with a traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.command import Ran, spawn
from nearsight import Collection, create
from nearsight.cli import show
from nearsight.core.errors import StoreError

Run = Callable[..., Ran]


@pytest.mark.parametrize(
    ("arguments", "code", "told", "repair"),
    [
        (["search", "x.jpg"], 1, "[store/none]", "nearsight index FOLDER"),
        (["index", "nowhere"], 1, "[folder/none]", "check the path"),
        (["eval", "--data", "nothing_like_it"], 1, "[name/unknown]", "there are:"),
        (["eval", "--encoder", "colour"], 1, "[eval/what]", "leave --encoder out"),
        (["show", "nothing_like_it"], 1, "[name/unknown]", "show encoders"),
        (["show", "engines", "fais"], 1, "[name/unknown]", "faiss"),
        (["check", "nowhere"], 1, "[store/none]", "nearsight index"),
        (["search", "-0", "x.jpg"], 1, "[query/options]", "add -f"),
        (["serch"], 2, "[usage]", "nearsight --help"),
        (["search", "--no-such-option"], 2, "[usage]", "nearsight search --help"),
        (["search", "x.jpg", "-k", "0"], 2, "[usage]", "nearsight search --help"),
        (["index"], 2, "[usage]", "nearsight index --help"),
    ],
)
def test_every_mistake_has_a_code_and_a_repair(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, told: str, repair: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run(*arguments)
    first = ran.err.splitlines()[0]
    assert (ran.code, ran.out) == (code, "")
    assert first.startswith("error: ")
    assert first.endswith(told)
    assert "repair: " in ran.err
    assert repair in ran.err
    assert "Traceback" not in ran.err


def test_a_broken_query_names_its_reason(run: Run, pictures: Path, tmp_path: Path) -> None:
    run("index", pictures)
    (tmp_path / "half.jpg").write_bytes((pictures / "red" / "red_0.jpg").read_bytes()[:300])
    ran = run("search", tmp_path / "half.jpg", "-c", pictures)
    assert (ran.code, ran.out) == (1, "")
    assert "[picture/truncated]" in ran.err


@pytest.mark.parametrize("more", [["-k", 10**25], ["--filter", f"size<{10**30}"], ["--filter", f"key!={-(10**400)}"]])
def test_numbers_may_be_of_any_size(run: Run, pictures: Path, more: list[object]) -> None:
    run("index", pictures)
    found = run("search", "--key", 1, "-c", pictures, "-f", *more)
    assert (found.code, len(found.out.splitlines())) == (0, 10 if more[0] == "--filter" else 12)
    unknown = run("search", "--key", 10**30, "-c", pictures)
    assert (unknown.code, "[query/key]" in unknown.err) == (1, True)


def test_an_unforeseen_error_is_short_and_debug_shows_where(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(word: str) -> None:
        raise ZeroDivisionError("by zero\x1b[31m")

    monkeypatch.setattr(show, "catalogue", fail)
    ran = run("show")
    assert ran.code == 1
    assert "ZeroDivisionError: by zero\\x1b[31m  [unexpected]" in ran.err
    assert "report" in ran.err
    assert "Traceback" not in ran.err
    assert "Traceback" in run("--debug", "show").err
    assert "Traceback" not in run("show").err, "--debug is for one command"
    monkeypatch.setenv("NEARSIGHT_DEBUG", "1")
    assert "Traceback" in run("show").err


def test_damage_leaves_with_3_and_repair_mends_it(run: Run, pictures: Path, tmp_path: Path) -> None:
    run("index", pictures)
    assert run("check", pictures).code == 0
    file = pictures / ".nearsight" / "segments" / "000001.vec"
    content = bytearray(file.read_bytes())
    content[4096 + 100] ^= 1
    file.write_bytes(content)
    found = run("check", pictures)
    assert found.code == 3
    assert "damaged" in found.out
    searched = run("search", pictures / "red" / "red_0.jpg", "-c", pictures)
    assert (searched.code, searched.out) == (3, "")
    assert "[store/damaged]" in searched.err
    assert run("repair", pictures).code == 0
    assert run("check", pictures).code == 0
    assert run("search", pictures / "red" / "red_0.jpg", "-c", pictures).code == 0


def test_a_collection_without_its_manifest_is_mended_never_made_anew(run: Run, pictures: Path) -> None:
    run("index", pictures)
    (pictures / ".nearsight" / "manifest.json").unlink()
    refused = run("index", pictures, "-e", "colour?bins=5")
    assert refused.code == 3
    assert "manifest is missing" in refused.err
    assert run("check", pictures).code == 3
    mended = run("repair", pictures)
    assert mended.code == 0
    assert "1 restored" in mended.err
    again = run("index", pictures)
    assert "12 unchanged" in again.err
    assert run("search", pictures / "red" / "red_0.jpg", "-c", pictures).code == 0, "the encoder was not replaced"


def test_repair_says_whether_the_encoder_came_back(run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("index", pictures)
    shutil.rmtree(pictures / ".nearsight" / "encoder")
    with monkeypatch.context() as patched:
        patched.setattr("nearsight.search.store.repair.create", lambda address: create("colour?bins=5"))
        failed = run("repair", pictures)
    assert failed.code == 3, "it is still damaged"
    assert "encoder" in failed.out
    mended = run("repair", pictures)
    assert (mended.code, mended.out) == (0, "")
    assert "1 restored" in mended.err
    assert run("check", pictures).code == 0


def test_what_repair_lost_is_to_be_indexed_again(run: Run, pictures: Path) -> None:
    run("index", pictures)
    (pictures / ".nearsight" / "catalogue.sqlite").unlink()
    mended = run("repair", pictures)
    assert mended.code == 3
    assert "nearsight index FOLDER" in mended.err
    assert "bring their pictures back" not in mended.err
    assert "12 added" in run("index", pictures).err


def test_making_a_collection_over_another_leaves_the_other_as_it_was(run: Run, pictures: Path) -> None:
    run("index", pictures)
    with pytest.raises(StoreError) as caught:
        Collection.create(pictures / ".nearsight", create("colour?bins=5"))
    assert caught.value.code == "store/exists"
    assert run("check", pictures).code == 0
    assert run("search", pictures / "red" / "red_0.jpg", "-c", pictures).code == 0


def test_a_folder_of_pictures_may_have_a_manifest_of_its_own(run: Run, pictures: Path) -> None:
    (pictures / "manifest.json").write_text('{"name": "a web page"}')
    assert run("index", pictures).code == 0
    assert run("search", pictures / "red" / "red_0.jpg", "-c", pictures).code == 0
    assert run("check", pictures).code == 0


def test_quiet_is_quiet_and_no_colour_goes_into_a_pipe(run: Run, pictures: Path) -> None:
    ran = run("--quiet", "index", pictures)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    for arguments in (["index", pictures], ["show"], ["search", pictures / "red" / "red_0.jpg", "-c", pictures]):
        ran = run(*arguments)
        assert "\x1b" not in ran.out + ran.err


def test_a_reader_that_has_enough_is_no_error(pictures: Path, run: Run) -> None:
    run("index", pictures)
    with spawn("search", pictures / "red" / "red_0.jpg", "-c", pictures, "--json") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        process.wait(60)
    assert (process.returncode, said) == (0, b"")


def test_python_dash_m_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "nearsight", "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.startswith("nearsight ")
