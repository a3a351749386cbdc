"""``nearsight encode`` and ``nearsight import`` as their users have them."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.command import Ran, hits, paint, spawn
from e2e.test_stopping import SLOWLY
from nearsight.search.bulk.files import numbers

pytest.importorskip("pyarrow")
Run = Callable[..., Ran]


def test_pictures_are_encoded_imported_and_found(run: Run, pictures: Path, tmp_path: Path) -> None:
    (pictures / "none.jpg").write_text("no picture")
    out, place = tmp_path / "vectors", tmp_path / "c.ns"
    said = run("encode", pictures, "-e", "colour", "-o", out, "--rows", "5")
    assert said.code == 0, said.err
    assert said.out == ""
    assert "12 pictures encoded, 3 shards" in said.err
    assert "not-a-picture: " in said.err
    assert f"nearsight import {out} COLLECTION" in said.err
    again = run("encode", pictures, "-e", "colour", "-o", out, "--rows", "5", "--json")
    assert json.loads(again.out) | {"seconds": 0} == {
        "out": str(out), "encoded": 0, "skipped": 0, "kept": 12, "shards": 3, "seconds": 0,
    }  # fmt: skip
    said = run("import", out, place)
    assert said.code == 0, said.err
    assert "12 pictures: 12 added" in said.err
    assert json.loads(run("import", out, place, "--json").out)["unchanged"] == 12
    (first, *_) = hits(run("search", pictures / "red" / "red_0.jpg", "-c", place, "-k", "2", "--json"))
    assert (first["label"], Path(first["path"])) == ("red", pictures / "red" / "red_0.jpg")
    changed = run("import", out, place, "--engine", "faiss/HNSW8")
    assert (changed.code, "faiss/Flat gives way to faiss/HNSW8" in changed.err) == (0, True)
    assert json.loads(run("show", place, "--json").out)["engine"] == "faiss/HNSW8"
    assert "12 unchanged" in run("index", pictures, "-c", place).err
    assert run("check", place).code == 0


def test_pictures_that_are_gone_are_found_and_not_shown(run: Run, pictures: Path, tmp_path: Path) -> None:
    query = tmp_path / "query.jpg"
    shutil.copy(pictures / "red" / "red_0.jpg", query)
    shutil.copy(query, pictures / "copy.jpg")
    out, place = tmp_path / "vectors", tmp_path / "c.ns"
    assert run("encode", pictures, "-e", "colour", "-o", out).code == 0
    shutil.rmtree(pictures)
    assert run("import", out, place).code == 0
    said = run("search", query, "-c", place, "-k", "3", "--sheet", tmp_path / "sheet.png", "--json")
    assert {Path(hit["path"]).name for hit in hits(said)[:2]} == {"copy.jpg", "red_0.jpg"}
    assert (tmp_path / "sheet.png").is_file()
    groups = run("dedup", place, "--json")
    assert groups.code == 0, groups.err
    assert "copy.jpg" in groups.out
    assert run("export", tmp_path / "table.csv", "-c", place).code == 0


def test_an_unfinished_run_is_said_and_a_wrong_one_refused(run: Run, pictures: Path, tmp_path: Path) -> None:
    out, place = tmp_path / "vectors", tmp_path / "c.ns"
    assert run("encode", pictures, "-e", "colour", "-o", out, "--rows", "5", "--dtype", "float16").code == 0
    (out / "shards" / "000001.parquet").unlink()
    said = run("import", out, place)
    assert "1 shards are not encoded yet" in said.err
    refused = run("import", out, place, "--dtype", "float32")
    assert (refused.code, "[collection/dtype]" in refused.err) == (1, True)
    run("encode", pictures, "-e", "colour?bins=2", "-o", tmp_path / "other")
    refused = run("import", tmp_path / "other", place, "--engine", "exact")
    assert (refused.code, "[encoder/mismatch]" in refused.err, "gives way" in refused.err) == (1, True, False)
    refused = run("import", pictures, place)
    assert (refused.code, "[store/none]" in refused.err) == (1, True)
    refused = run("encode", pictures, "-e", "colour", "-o", out, "--rows", "6")
    assert (refused.code, "[bulk/other]" in refused.err) == (1, True)
    refused = run("encode", pictures, "-e", "colour", "-o", tmp_path / "v", "--on", "rey")
    assert "did you mean ray" in refused.err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_keeps_whole_shards_and_the_next_run_goes_on(tmp_path: Path) -> None:
    for number in range(60):
        paint(tmp_path / "pictures" / f"{number:03d}.jpg", (number, 100, 200), number)
    out = tmp_path / "vectors"
    command = ["encode", tmp_path / "pictures", "-e", "colour", "-o", out, "--rows", "10", "--workers", "1"]
    with spawn(*command, code=SLOWLY) as process:
        deadline = time.monotonic() + 60
        while not numbers(out, "shards") and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "The same command goes on" in err.decode()
    assert "Traceback" not in err.decode()
    there = len(numbers(out, "shards"))
    assert 1 <= there < 6
    assert not list((out / "tries").iterdir())
    with spawn(*command, "--json") as process:
        told, _ = process.communicate(timeout=60)
    done = json.loads(told)
    assert (done["kept"], done["encoded"]) == (10 * there, 60 - 10 * there)
