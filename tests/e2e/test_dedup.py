"""``nearsight dedup``: groups on the terminal, as JSON, as paths, as a sheet; nothing is ever deleted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from e2e.command import Ran, hits, spawn
from nearsight.cli import dedup
from nearsight.data.datasets import load
from nearsight.search.duplicates import POLICIES

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes; of the first a smaller one and an exact copy, of the second a recompressed one."""
    root = tmp_path_factory.mktemp("dedup")
    folder = root / "pictures"
    folder.mkdir()
    for number, item in enumerate(load("drawn?n=6&size=160&seed=8", root / "drawn").items):
        with Image.open(item.path) as picture:
            whole = picture.convert("RGB")
        whole.save(folder / f"{number}.jpg", quality=92)
        if number == 0:
            whole.resize((90, 90)).save(folder / "0 small.jpg", quality=85)
            shutil.copy(folder / "0.jpg", folder / "0 same.jpg")
        if number == 1:
            whole.save(folder / "1 again.jpg", quality=60)
    return folder


@pytest.fixture
def scenes(drawn: Path, tmp_path: Path, run: Run) -> Path:
    folder = shutil.copytree(drawn, tmp_path / "pictures")
    assert run("index", folder, "--labels", "none").code == 0
    return folder


def test_groups_are_printed_and_nothing_is_touched(run: Run, scenes: Path) -> None:
    before = sorted(scenes.glob("*.jpg"))
    ran = run("dedup", scenes)
    assert ran.code == 0, ran.err
    first, second = ran.out.strip().split("\n\n")
    assert [line.split()[0] for line in first.splitlines()] == ["keep", "=", first.splitlines()[2].split()[0]]
    assert first.splitlines()[0].endswith("/0.jpg"), "as large as the other, and older"
    assert first.splitlines()[1].endswith("0 same.jpg")
    assert first.splitlines()[2].endswith("0 small.jpg")
    assert second.splitlines()[0].endswith("1.jpg")
    assert "2 pictures several times, 3 more than needed: " in ran.err
    assert sorted(scenes.glob("*.jpg")) == before
    assert run("index", scenes).err.count("9 pictures: 9 unchanged") == 1


def test_json_and_paths_say_the_same(run: Run, scenes: Path) -> None:
    groups = hits(run("dedup", scenes, "--json"))
    assert [len(group["others"]) for group in groups] == [2, 1]
    assert [other["exact"] for group in groups for other in group["others"]] == [True, False, False]
    assert all(0.5 <= other["score"] <= 1 for group in groups for other in group["others"])
    paths = [other["path"] for group in groups for other in group["others"]]
    assert run("dedup", scenes, "-f").out.splitlines() == paths
    assert run("dedup", scenes, "-f", "-0").out.split("\0") == [*paths, ""]


def test_what_is_kept_follows_the_policy(run: Run, scenes: Path) -> None:
    os.utime(scenes / "0 small.jpg", (1000, 1000))
    assert run("index", scenes).code == 0
    group = hits(run("dedup", scenes, "--json", "--keep", "oldest"))[0]
    assert group["keep"]["path"].endswith("0 small.jpg")
    refused = run("dedup", scenes, "--keep", "prettiest")
    assert refused.code == 1
    assert "[duplicates/keep]" in refused.err


def test_a_new_picture_is_checked(run: Run, scenes: Path, tmp_path: Path) -> None:
    with Image.open(scenes / "2.jpg") as picture:
        picture.resize((120, 110)).save(tmp_path / "new.png")
    (found,) = hits(run("dedup", scenes, "--check", tmp_path / "new.png", "--json"))
    assert found["path"].endswith("2.jpg")
    assert run("dedup", scenes, "--check", scenes / "3.jpg").out.split()[:2] == ["=", "1.0000"]
    Image.effect_noise((64, 64), 90).convert("RGB").save(tmp_path / "other.png")
    other = run("dedup", scenes, "--check", tmp_path / "other.png", "--sheet", tmp_path / "sheet.png")
    assert (other.code, other.out) == (0, "")
    assert "it is not in the collection" in other.err
    assert (tmp_path / "sheet.png").exists()
    with spawn("dedup", scenes, "--check", "-", "-f") as process:
        out, _ = process.communicate((tmp_path / "new.png").read_bytes(), timeout=60)
    assert out.decode().splitlines() == [found["path"]]


def test_the_sheet_shows_the_groups_beside_each_other(run: Run, scenes: Path, tmp_path: Path) -> None:
    assert run("dedup", scenes, "--sheet", tmp_path / "groups.png", "-f").code == 0
    with Image.open(tmp_path / "groups.png") as sheet:
        assert sheet.width > 5 * 200
        assert sheet.height < 2 * 300


def test_bad_pictures_are_counted_and_named(run: Run, scenes: Path) -> None:
    (scenes / "0 small.jpg").write_bytes(b"\xff\xd8\xff")
    ran = run("dedup", scenes)
    assert ran.code == 0
    assert "1 left out:" in ran.err
    assert "0 small.jpg" in ran.err
    assert "index its folder again" in ran.err


def test_while_another_process_writes_it_reads(run: Run, scenes: Path) -> None:
    from nearsight import Collection

    with Collection.open(scenes / ".nearsight"):
        ran = run("dedup", scenes, "-f")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 3
    assert "not kept for the next time" in ran.err


def test_options_that_contradict_each_other(run: Run, scenes: Path) -> None:
    assert "[query/options]" in run("dedup", scenes, "-0").err
    assert "[query/options]" in run("dedup", scenes, "-f", "--json").err


def test_nothing_found_says_so(run: Run, pictures: Path) -> None:
    run("index", pictures)
    ran = run("dedup", pictures)
    assert (ran.code, ran.out) == (0, "")
    assert "nothing found" in ran.err


def test_the_policy_is_one_that_there_is() -> None:
    assert dedup.KEEP in POLICIES


SLOWLY = """
import time
from nearsight.search.duplicates import looking
looking._AHEAD = 1
fast = looking.decode
def decode(*given, **more):
    time.sleep(0.2)
    print("looking", file=sys.stderr, flush=True)
    return fast(*given, **more)
looking.decode = decode
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_keeps_what_was_looked_at(scenes: Path) -> None:
    with spawn("dedup", scenes, "--at-least", "-1", code=SLOWLY) as process:
        assert process.stderr is not None
        while process.stderr.readline() != b"looking\n":
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err.decode()
    first = err.count(b"looking\n") + 1
    with spawn("dedup", scenes, "--at-least", "-1", "--json", code=SLOWLY) as process:
        out, err = process.communicate(timeout=60)
    assert [len(json.loads(line)["others"]) for line in out.splitlines()] == [2, 1]
    assert 0 < first < 8
    assert err.count(b"looking\n") == 8 - first
