"""The main job, as a user does it: index a folder, search it by picture."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from e2e.command import COLOURS, EACH, Ran, paint, spawn
from nearsight import Collection

Run = Callable[..., Ran]
TOTAL = EACH * len(COLOURS)


def counts(ran: Ran) -> dict[str, int]:
    last = json.loads(ran.out.splitlines()[-1])
    assert last["event"] == "done"
    return {name: last[name] for name in ("items", "added", "unchanged", "updated", "moved", "dropped", "skipped")}


def answers(out: str) -> list[dict[str, object]]:
    """JSON lines without what was asked."""
    return [{name: value for name, value in json.loads(line).items() if name != "query"} for line in out.splitlines()]


def test_a_second_run_does_nothing_and_a_third_only_what_changed(run: Run, pictures: Path) -> None:
    first = run("index", pictures, "--json")
    assert first.code == 0
    assert counts(first) == {
        "items": TOTAL, "added": TOTAL, "unchanged": 0, "updated": 0, "moved": 0, "dropped": 0, "skipped": 0
    }  # fmt: skip
    second = counts(run("index", pictures, "--json"))
    assert (second["added"], second["unchanged"], second["skipped"]) == (0, TOTAL, 0)
    (pictures / "red" / "red_0.jpg").rename(pictures / "blue" / "moved.jpg")
    (pictures / "red" / "red_1.jpg").unlink()
    paint(pictures / "green" / "new.jpg", COLOURS["green"], 999)
    third = counts(run("index", pictures, "--json"))
    assert (third["added"], third["moved"], third["dropped"], third["unchanged"]) == (1, 1, 1, TOTAL - 2)
    assert third["items"] == TOTAL


def test_profile_says_where_the_time_goes(run: Run, pictures: Path) -> None:
    told = run("index", pictures, "--profile", "--json")
    assert told.code == 0
    spent = json.loads(told.out.splitlines()[-1])["spent"]
    assert {"walk", "read", "decode", "prepare", "encode", "commit"} <= set(spent)
    assert "where the time went: " in told.err
    assert "spent" not in json.loads(run("index", pictures, "--json").out.splitlines()[-1])


def test_what_is_left_out_is_named_with_reason_and_repair(run: Run, pictures: Path, tmp_path: Path) -> None:
    (pictures / "notes.txt").write_text("no picture")
    whole = (pictures / "red" / "red_0.jpg").read_bytes()
    (pictures / "red" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    report = tmp_path / "skipped.jsonl"
    ran = run("index", pictures, "--report", report, "--json")
    assert ran.code == 0
    assert "1  not-a-picture: " in ran.err
    assert "notes.txt" in ran.err
    assert "1  truncated: " in ran.err
    assert "copy it again" in ran.err
    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert {Path(one["path"]).name: one["code"] for one in told} == {
        "notes.txt": "picture/not-a-picture",
        "half.jpg": "picture/truncated",
    }
    on_stdout = [json.loads(line) for line in ran.out.splitlines()]
    assert [line["path"] for line in on_stdout if line["event"] == "skipped"] == [one["path"] for one in told]


def test_search_finds_the_collection_above_the_working_folder(
    run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("index", pictures)
    monkeypatch.chdir(pictures / "red")
    ran = run("search", "red_1.jpg", "-k", EACH, "--json")
    hits = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 0
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4]
    assert {hit["label"] for hit in hits} == {"red"}
    assert hits[0] | {"key": 0} == {
        "rank": 1, "score": 1.0, "key": 0, "path": str(pictures.resolve() / "red" / "red_1.jpg"), "label": "red",
        "captions": [], "verdict": None, "fields": {}, "self": True,
        "query": [{"as": "picture", "given": "red_1.jpg", "weight": 1.0}],
    }  # fmt: skip
    assert [hit["self"] for hit in hits[1:]] == [False] * 3
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_the_table_shows_scores_and_marks_the_query(run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("index", pictures)
    monkeypatch.chdir(pictures)
    lines = run("search", "blue/blue_2.jpg", "-k", 2).out.splitlines()
    assert lines[0].split() == ["score", "label", "picture"]
    assert lines[1].split() == ["1", "1.0000", "blue", os.path.join("blue", "blue_2.jpg"), "="]
    assert lines[2].split()[2] == "blue"
    assert "=" not in lines[2]
    assert len(lines) == 3


def test_without_self_leaves_out_every_exact_copy_and_still_finds_k(run: Run, pictures: Path) -> None:
    shutil.copy(pictures / "red" / "red_0.jpg", pictures / "blue" / "a_copy.jpg")
    run("index", pictures)
    asked = ("search", pictures / "red" / "red_0.jpg", "-c", pictures, "-k", TOTAL - 1, "-f")
    everything = run(*asked).out.splitlines()
    others = run(*asked, "--without-self").out.splitlines()
    names = {Path(path).name for path in others}
    assert len(everything) == len(others) == TOTAL - 1
    assert {Path(path).name for path in everything[:2]} == {"red_0.jpg", "a_copy.jpg"}
    assert not names & {"red_0.jpg", "a_copy.jpg"}


def test_files_only_ends_with_newline_or_nul(run: Run, pictures: Path) -> None:
    run("index", pictures)
    asked = ("search", pictures / "red" / "red_0.jpg", "-c", pictures, "-k", 3)
    lines = run(*asked, "-f").out
    assert lines.endswith("\n")
    assert [Path(line).is_file() for line in lines.splitlines()] == [True] * 3
    assert run(*asked, "-f", "-0").out == lines.replace("\n", "\0")


def test_filters_hold_and_k_is_kept(run: Run, pictures: Path) -> None:
    run("index", pictures)
    asked = ("search", pictures / "red" / "red_0.jpg", "-c", pictures, "-k", EACH, "--json")
    hits = [json.loads(line) for line in run(*asked, "--filter", "label=green").out.splitlines()]
    assert [hit["label"] for hit in hits] == ["green"] * EACH
    both = run(*asked, "--filter", "label=green,blue", "--filter", "path~_0").out.splitlines()
    assert sorted(Path(json.loads(line)["path"]).name for line in both) == ["blue_0.jpg", "green_0.jpg"]
    wrong = run(*asked, "--filter", "colour=green")
    assert wrong.code == 1
    assert "[query/field]" in wrong.err
    assert "label" in wrong.err


def test_examples_by_key_by_stdin_several_and_minus(run: Run, pictures: Path) -> None:
    run("index", pictures, "-e", "colour")
    red, green = pictures / "red" / "red_0.jpg", pictures / "green" / "green_0.jpg"
    found = json.loads(run("search", red, "-c", pictures, "--json").out.splitlines()[0])
    by_key = run("search", "--key", found["key"], "-c", pictures, "-k", 5, "--json").out
    assert answers(by_key) == answers(run("search", red, "-c", pictures, "-k", 5, "--json").out)
    assert json.loads(by_key.splitlines()[0])["query"] == [{"as": "item", "given": str(found["key"]), "weight": 1.0}]
    with spawn("search", "-", "-c", pictures, "-k", 5, "--json") as process:
        out, err = process.communicate(red.read_bytes(), timeout=60)
    assert (answers(out.decode()), err) == (answers(by_key), b"")
    both = [json.loads(line) for line in run("search", red, green, "-c", pictures, "--json").out.splitlines()]
    assert {hit["label"] for hit in both[: 2 * EACH]} == {"red", "green"}
    less = [
        json.loads(line)
        for line in run("search", red, "--minus", green, "-c", pictures, "--json", "-k", TOTAL).out.splitlines()
    ]
    assert {hit["label"] for hit in less[-EACH:]} == {"green"}
    assert less[-1]["score"] < 0
    bounded = run("search", red, "-c", pictures, "--at-least", "0.5", "--json").out.splitlines()
    assert [json.loads(line)["label"] for line in bounded] == ["red"] * EACH


def test_a_sheet_is_drawn_with_right_and_wrong(run: Run, pictures: Path, tmp_path: Path) -> None:
    run("index", pictures)
    file = tmp_path / "sheet.png"
    ran = run("search", pictures / "red" / "red_0.jpg", "-c", pictures, "-k", EACH + 1, "--sheet", file)
    assert ran.code == 0
    assert str(file.name) in ran.err
    with Image.open(file) as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 24)}
    assert {(46, 92, 170), (30, 132, 73), (198, 40, 40)} <= colours, "blue query, green right, red wrong"
    refused = run("search", pictures / "red" / "red_0.jpg", "-c", pictures, "--sheet", tmp_path / "nowhere" / "x.png")
    assert refused.code == 1
    assert "[store/write-failed]" in refused.err


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_a_name_that_is_not_utf8_is_found_and_printed(pictures: Path) -> None:
    odd = os.fsencode(pictures / "red") + b"/caf\xe9\n\x1b[31m.jpg"
    os.rename(pictures / "red" / "red_0.jpg", odd)
    for encoding in ("utf-8", "ascii"):
        with spawn("index", pictures, "-e", "colour", code=f"sys.stdout.reconfigure(encoding={encoding!r})") as process:
            assert process.wait(60) == 0
        answers = []
        for option in ("--json", "-f", "--with-self"):
            with spawn("search", odd, "-k", "1", "-c", pictures, option) as process:
                out, err = process.communicate(timeout=60)
            assert (process.returncode, err) == (0, b"")
            answers.append(out)
        assert os.fsencode(json.loads(answers[0])["path"]) == odd
        assert answers[1] == odd + b"\n"
        assert b"caf\\xe9\\n\\x1b[31m.jpg" in answers[2]
        assert b"\x1b" not in answers[2]


def test_labels_from_a_table_are_remembered(run: Run, pictures: Path, tmp_path: Path) -> None:
    table = pictures / "table.csv"
    rows = [
        f"{name}/{name}_{n}.jpg,{'warm' if name == 'red' else 'cold'},{2000 + n}"
        for name in COLOURS
        for n in range(EACH)
    ]
    table.write_text("path,label,year\n" + "\n".join(rows) + "\n")
    place = tmp_path / "kept"
    assert run("index", pictures, "-c", place, "--labels", table).code == 0
    assert run("index", pictures, "-c", place).code == 0, "without --labels: those of the first run"
    with Collection.open(place, read_only=True) as kept:
        assert kept.labels() == {"cold": 2 * EACH, "warm": EACH}
    hits = run("search", pictures / "red" / "red_0.jpg", "-c", place, "--filter", "year>=2003", "--json").out
    assert sorted(json.loads(line)["fields"]["year"] for line in hits.splitlines()) == [2003] * 3
    assert run("index", pictures, "-c", place, "--labels", "folder").code == 0
    with Collection.open(place, read_only=True) as kept:
        assert set(kept.labels()) == set(COLOURS)


def test_a_table_that_cannot_be_used_is_not_remembered(run: Run, pictures: Path, tmp_path: Path) -> None:
    run("index", pictures)
    assert "[labels/none]" in run("index", pictures, "--labels", tmp_path / "typo.csv").err
    assert "12 unchanged" in run("index", pictures).err


def test_a_renamed_folder_keeps_its_items_and_its_table(run: Run, pictures: Path, tmp_path: Path) -> None:
    rows = [f"{path.relative_to(pictures)},mine" for path in pictures.rglob("*.jpg")]
    (pictures / "table.csv").write_text("\n".join(["path,label", *rows]))
    run("index", pictures, "--labels", pictures / "table.csv")
    pictures.rename(tmp_path / "renamed")
    again = run("index", tmp_path / "renamed")
    assert "12 pictures: 12 unchanged (" in again.err
    found = run("search", "--key", 1, "-c", tmp_path / "renamed", "--filter", "label=mine", "-f").out.splitlines()
    assert len(found) == 10
    assert all(Path(path).is_file() for path in found)


def test_a_collection_keeps_its_encoder_and_changes_its_engine(run: Run, pictures: Path) -> None:
    assert run("index", pictures, "-e", "colour?bins=8", "--engine", "faiss/HNSW8", "--dtype", "float16").code == 0
    assert run("index", pictures, "-e", "colour?bins=8&grid=2").code == 0, "the same one, written otherwise"
    other = run("index", pictures, "-e", "colour")
    assert other.code == 1
    assert "[encoder/mismatch]" in other.err
    assert "colour?bins=8" in other.err
    assert "--collection" in other.err
    assert "[collection/dtype]" in run("index", pictures, "--dtype", "float32").err
    assert "[engine/factory]" in run("index", pictures, "--engine", "faiss/HNSW8x").err
    shown = json.loads(run("show", pictures, "--json").out)
    assert (shown["engine"], shown["dtype"], shown["items"]) == ("faiss/HNSW8", "float16", TOTAL)
    changed = run("index", pictures, "--engine", "faiss/SQ8")
    assert (changed.code, "faiss/HNSW8 gives way to faiss/SQ8" in changed.err) == (0, True)
    assert json.loads(run("show", pictures, "--json").out)["engine"] == "faiss/SQ8"
    assert run("check", pictures).code == 0
    assert "without the engine" not in run("search", "--key", 1, "-c", pictures).err


def test_an_engine_is_chosen_for_an_amount_of_memory(run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "[memory/engine]" in run("index", pictures, "--memory", "2G", "--engine", "exact").err
    assert "[memory/size]" in run("index", pictures, "--memory", "plenty").err
    assert not (pictures / ".nearsight").exists()
    few = run("index", pictures, "-e", "colour", "--memory", "2G")
    assert (few.code, "faiss/Flat: all 36 kB of vectors are looked at" in few.err) == (0, True), few.err
    monkeypatch.setattr("nearsight.search.budget._QUICK", 0)
    monkeypatch.setattr("nearsight.search.budget._FEW", 0)
    many = run("index", pictures)
    assert "faiss/HNSW32,SQ8: a graph of vectors in 8 bits a number, in " in many.err
    assert " of 2 GB" in json.loads(run("show", pictures, "--json").out)["engine chosen"]
    told = run("index", pictures, "--engine", "faiss/HNSW32,SQ8")
    assert (told.code, "gives way" in told.err) == (0, False)
    assert "engine chosen" not in json.loads(run("show", pictures, "--json").out)


@pytest.mark.elsewhere
def test_an_engine_that_is_away_is_said_and_done_without(run: Run, pictures: Path) -> None:
    pytest.importorskip("psycopg", reason="needs the 'pgvector' extra")
    first = run("index", pictures, "--engine", "pgvector?dsn=host=/nowhere user=me")
    assert first.code == 0
    assert "the engine will be told the rest by the next index: Postgres failed" in first.err
    found = run("search", "--key", 1, "-c", pictures, "-k", 2, "--json")
    assert (found.code, len(found.out.splitlines())) == (0, 2)
    assert "answered without the engine, from every vector" in found.err
    refused = run("index", pictures, "--engine", "pgvector?dsn=postgresql://me:sesame@host/db")
    assert (refused.code, "[engine/secret]" in refused.err, "sesame" in refused.err) == (1, True, False)
    assert json.loads(run("show", pictures, "--json").out)["engine"] == "pgvector?dsn=host=/nowhere user=me"


def test_an_encoder_that_learns_is_fitted_on_the_folder(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    from nearsight.data.datasets import load

    folder = load("drawn?n=16&size=96", tmp_path).items[0].path.parents[2]
    ran = run("index", folder, "-e", "bovw?words=20", "--json")
    assert (ran.code, counts(ran)["added"]) == (0, 16), ran.err
    assert run("index", folder, "-e", "bovw?words=20").code == 0, "what learns is the same by its address"
    assert "[encoder/mismatch]" in run("index", folder, "-e", "bovw?words=21").err
    assert "Transductive: bovw/sift?words=20 learned from these pictures" in run("eval", folder).out


@pytest.mark.skipif(sys.platform == "win32", reason="no such modes there")
def test_others_may_read_a_collection(run: Run, pictures: Path) -> None:
    before = os.umask(0o022)
    try:
        run("index", pictures)
    finally:
        os.umask(before)
    for path in (pictures / ".nearsight").rglob("*"):
        if path.name.startswith("LOCK"):
            continue
        wanted = 0o755 if path.is_dir() else 0o644
        assert path.stat().st_mode & wanted == wanted, path


def test_a_folder_that_is_gone_is_forgotten_only_when_told_so(run: Run, pictures: Path, tmp_path: Path) -> None:
    run("index", pictures, "-c", tmp_path / "kept")
    shutil.rmtree(pictures)
    refused = run("index", pictures, "-c", tmp_path / "kept")
    assert refused.code == 1
    assert "[store/root-vanished]" in refused.err
    assert counts(run("index", pictures, "-c", tmp_path / "kept", "--drop", "always", "--json"))["dropped"] == TOTAL
    assert "[folder/none]" in run("index", tmp_path / "never").err
