"""Searching by words and in captions, as a user does it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from e2e.command import COLOURS, EACH, Ran, hits, labels, spawn
from fake_words import FakeWords, install, saved
from nearsight import Collection
from nearsight.core.errors import ReadOnly

Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def three_words(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


@pytest.fixture
def shop(run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pictures, indexed with two towers and two captions each; the working folder is among them."""
    rows = [
        f"{name}/{name}_{n}.jpg,{name},{2000 + n},{text}"
        for name in COLOURS
        for n in range(EACH)
        for text in (f"{name} {name} {'green ' * n}", f"number {n} {name}")
    ]
    (tmp_path / "table.csv").write_text("path,label,year,caption\n" + "\n".join(rows))
    (tmp_path / "table.csv").rename(pictures / "table.csv")
    ran = run("index", pictures, "-e", saved(tmp_path / "encoder"), "--labels", pictures / "table.csv")
    assert ran.code == 0, ran.err
    monkeypatch.chdir(pictures)
    return pictures


def test_words_find_pictures(run: Run, shop: Path) -> None:
    found = run("search", "something red", "-k", EACH, "--json")
    assert labels(found) == ["red"] * EACH
    assert hits(found)[0]["query"] == [{"as": "words", "given": "something red", "weight": 1.0}]
    assert not any(hit["self"] for hit in hits(found))
    assert "words: something red" in found.err
    assert "passed over, for the encoder does not know them: 'something'\n" in found.err
    assert run("--quiet", "search", "something red").err == ""
    assert "passed over" not in run("search", "red", "red/red_0.jpg").err
    table = run("search", "red", "-k", 2).out.splitlines()
    assert table[0].split() == ["score", "label", "picture"]
    assert table[1].split()[2] == "red"
    files = run("search", "red", "-k", 3, "-f").out.splitlines()
    assert [Path(file).parent.name for file in files] == ["red"] * 3


def test_what_each_argument_is_taken_as(run: Run, shop: Path) -> None:
    ran = run(
        "search", "red/red_0.jpg", "green", "-t", "blue", "--like", "blue/blue_0.jpg", "--key", 3, "--minus", "red",
        "--minus", "green/green_1.jpg", "--json", "-k", 1,
    )  # fmt: skip
    assert [(e["as"], e["given"], e["weight"]) for e in hits(ran)[0]["query"]] == [
        ("picture", "red/red_0.jpg", 1.0),
        ("words", "green", 1.0),
        ("words", "blue", 1.0),
        ("picture", "blue/blue_0.jpg", 1.0),
        ("item", "3", 1.0),
        ("words", "red", -1.0),
        ("picture", "green/green_1.jpg", -1.0),
    ]
    assert "words: green; blue; less of red" in ran.err


def test_a_sentence_needs_no_quotation_marks(run: Run, shop: Path) -> None:
    quoted = run("search", "two red ones", "--json")
    assert run("search", "two", "red", "ones", "--json").out == quoted.out
    ran = run("search", "very", "red", "red/red_0.jpg", "blue", "-t", "green", "-t", "red", "--minus", "blue", "--json")
    assert [e["given"] for e in hits(ran)[0]["query"]] == ["very red", "red/red_0.jpg", "blue", "green", "red", "blue"]


def test_words_that_are_the_name_of_a_folder_or_a_file(run: Run, shop: Path) -> None:
    assert labels(run("search", "red", "-k", EACH, "--json")) == ["red"] * EACH, "red/ is a folder: no picture"
    (shop / "blue.jpg").write_bytes((shop / "red" / "red_2.jpg").read_bytes())
    (shop / "blue.jpg").rename(shop / "blue blue")
    for asked, kind, found in ((("blue blue",), "picture", "red"), (("--text", "blue blue"), "words", "blue")):
        ran = run("search", *asked, "-k", EACH, "--json")
        assert labels(ran) == [found] * EACH
        assert hits(ran)[0]["query"][0]["as"] == kind


@pytest.mark.parametrize("name", ["gone.jpg", "GONE.PNG", "red/gone", "black/white", "./red_0"])
def test_what_looks_like_a_path_and_is_not_there_is_an_error(run: Run, shop: Path, name: str) -> None:
    for arguments in ([name], ["red", "--minus", name]):
        ran = run("search", *arguments)
        assert (ran.code, ran.out) == (1, "")
        assert f"there is no picture '{name}'  [picture/vanished]" in ran.err
        assert "--text" in ran.err
    assert "[text/empty]" in run("search", "--text", name).err


def test_like_takes_no_words_and_folders_are_none(run: Run, shop: Path) -> None:
    assert "[picture/vanished]" in run("search", "--like", "grey").err
    assert "[picture/not-a-file]" in run("search", "--like", "green").err
    assert "[picture/not-a-file]" in run("search", "red/").err


def test_less_of_some_words(run: Run, shop: Path) -> None:
    order = labels(run("search", "red green", "--minus", "green", "-k", 12, "--json"))
    assert order[:EACH] == ["red"] * EACH
    ran = run("search", "--minus", "green")
    assert "[query/empty]" in ran.err


def test_filters_hold_for_words(run: Run, shop: Path) -> None:
    found = hits(run("search", "red", "--filter", "label=green", "--filter", "year>=2002", "--json"))
    assert sorted((hit["label"], hit["fields"]["year"]) for hit in found) == [("green", 2002), ("green", 2003)]


@pytest.mark.parametrize(
    "words",
    ["собака", "犬が二匹", "🐕", "xyzzy " * 10_000, "-rf"],
    ids=["cyrillic", "kanji", "emoji", "long", "option"],
)
def test_words_of_any_kind(run: Run, shop: Path, words: str) -> None:
    unknown = run("search", "--text", words)
    assert (unknown.code, unknown.out) == (1, "")
    assert "[text/empty]" in unknown.err
    assert labels(run("search", "--text", words + " red", "-k", EACH, "--json")) == ["red"] * EACH
    assert labels(run("search", "--json", "-k", EACH, "--", words + " red")) == ["red"] * EACH


@pytest.mark.parametrize("words", ["", "  "])
def test_no_words(run: Run, shop: Path, words: str) -> None:
    assert "[query/words]" in run("search", words).err
    assert "[query/words]" in run("search", "-t", words).err


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="arguments are Unicode there")
def test_words_that_are_not_utf8(shop: Path) -> None:
    with spawn("search", b"caf\xe9 red", "-c", shop) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"[query/words]" in err


def test_option_like_words_need_a_word_about_it(run: Run, shop: Path) -> None:
    refused = run("search", "-rf")
    assert refused.code == 2
    assert "[usage]" in refused.err


def test_a_collection_without_words_says_what_to_do(run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("index", pictures, "-e", "colour")
    monkeypatch.chdir(pictures)
    for arguments in (["two dogs"], ["--text", "two dogs"], ["red/red_0.jpg", "--minus", "dogs"]):
        ran = run("search", *arguments)
        assert (ran.code, ran.out) == (1, "")
        assert "[encoder/no-text]" in ran.err
        assert "--encoder" in ran.err
    gone = run("search", "gone.jpg").err
    assert "[picture/vanished]" in gone
    assert "--text" not in gone, "words are no way out here"
    assert labels(run("search", "red/red_0.jpg", "-k", EACH, "--json")) == ["red"] * EACH
    assert "[query/captions]" in run("search", "red/red_0.jpg", "--captions").err


def test_captions_of_a_picture_and_of_words(run: Run, shop: Path) -> None:
    FakeWords.seen.clear()
    found = hits(run("search", "green/green_1.jpg", "--captions", "--json", "-k", 3))
    assert [hit["rank"] for hit in found] == [1, 2, 3]
    assert all("green" in hit["caption"] and hit["label"] == "green" for hit in found)
    assert FakeWords.seen == [], "index has encoded them"
    by_words = hits(run("search", "red", "--captions", "--json", "-k", EACH))
    assert {(hit["label"], hit["score"]) for hit in by_words} == {("red", 1.0)}
    assert "number 0 red" in [hit["caption"] for hit in by_words]
    table = run("search", "red", "--captions", "-k", 1).out.splitlines()
    assert table[0].split() == ["score", "label", "caption", "picture"]
    filtered = hits(run("search", "red", "--captions", "--filter", "label=blue", "--json"))
    assert {hit["label"] for hit in filtered} == {"blue"}
    assert "[query/options]" in run("search", "red", "--captions", "-f").err


def test_captions_without_self_are_those_of_others(run: Run, shop: Path) -> None:
    asked = ("search", "green/green_1.jpg", "--captions", "--json", "-k", 22)
    everything, others = hits(run(*asked)), hits(run(*asked, "--without-self"))
    assert sum(hit["self"] for hit in everything) == 2
    assert len(others) == 22
    assert not any(hit["self"] for hit in others)
    assert [hit["rank"] for hit in others] == list(range(1, 23))


def test_captions_that_came_otherwise_are_encoded_once(run: Run, shop: Path) -> None:
    with Collection.open(shop / ".nearsight") as kept:
        kept.annotate(1, captions=["red green blue"])
    FakeWords.seen.clear()
    for _ in range(2):
        found = hits(run("search", "red green blue", "--captions", "-k", 1, "--json"))
        assert found[0]["caption"] == "red green blue"
    assert sorted(FakeWords.seen) == ["red green blue"] * 3, "the caption once, the query twice"
    with Collection.open(shop / ".nearsight") as kept:
        kept.annotate(1, captions=["blue green"])
        ran = run("search", "blue", "--captions", "-k", 1, "--json")
    assert ran.code == 0
    assert "1 caption encoded for this search only: another process" in ran.err


def test_captions_that_say_nothing_are_named_when_indexing(run: Run, shop: Path, tmp_path: Path) -> None:
    table = shop / "table.csv"
    table.write_text(table.read_text().replace("number 0 blue", "犬"))
    report = tmp_path / "report.jsonl"
    ran = run("index", shop, "--report", report)
    assert ran.code == 0
    assert "1 annotated" in ran.err
    assert "1  caption/empty: blue" in ran.err
    (told,) = [line for line in map(json.loads, report.read_text().splitlines()) if line["code"] == "caption/empty"]
    assert "犬" in told["why"]


def test_a_sheet_shows_the_words(run: Run, shop: Path, tmp_path: Path) -> None:
    sheets = []
    for at, asked in enumerate((["red"], ["red " * 200], ["red", "red/red_0.jpg", "--captions"])):
        file = tmp_path / f"{at}.png"
        assert run("search", *asked, "-k", 2, "--sheet", file).code == 0
        with Image.open(file) as sheet:
            sheets.append(sheet.convert("RGB"))
    assert sheets[0].size == sheets[1].size
    assert sheets[0].tobytes() != sheets[1].tobytes()
    blue = [pixel for _, pixel in sheets[0].getcolors(1 << 24)]
    assert (46, 92, 170) in blue, "framed as a query"


def test_show_says_whether_words_find_pictures(run: Run, shop: Path, tmp_path: Path, pictures: Path) -> None:
    shown = json.loads(run("show", shop, "--json").out)
    assert (shown["modalities"], shown["captions"]) == (["image", "text"], 2 * EACH * len(COLOURS))
    assert "pictures and words" in run("show", shop).out
    assert "pictures and words" in run("show", tmp_path / "encoder").out
    run("index", pictures, "-c", tmp_path / "plain", "-e", "colour")
    plain = run("show", tmp_path / "plain").out
    assert "pictures" in plain
    assert "and words" not in plain


def test_a_medium_that_only_reads(run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Collection.open(shop / ".nearsight") as kept:
        kept.annotate(1, captions=["red green blue"])

    def refuse(folder: Path) -> None:
        raise ReadOnly(f"cannot lock {folder} for writing")

    monkeypatch.setattr("nearsight.search.store.store.WriterLock", refuse)
    ran = run("search", "red green blue", "--captions", "-k", 1, "--json")
    assert hits(ran)[0]["caption"] == "red green blue"
    assert "1 caption encoded for this search only: cannot lock" in ran.err


@pytest.fixture
def listed(pictures: Path) -> Path:
    """The pictures in Karpathy's layout: all in ``images``, the even ones of split test."""
    folder = pictures.parent / "set"
    (folder / "images").mkdir(parents=True)
    entries = []
    for path in sorted(pictures.rglob("*.jpg")):
        path.rename(folder / "images" / path.name)
        name = path.stem.partition("_")[0]
        split = "train" if int(path.stem[-1]) % 2 else "test"
        entries.append({"filename": path.name, "split": split, "sentences": [{"raw": f"{name} {n}"} for n in range(5)]})
    (folder / "dataset_set.json").write_text(json.dumps({"images": entries}))
    return folder


@pytest.mark.parametrize("below", ["images", ""], ids=["its pictures", "the whole folder"])
def test_karpathys_captions_are_labels(run: Run, listed: Path, tmp_path: Path, below: str) -> None:
    kept, file = tmp_path / "kept", listed / "dataset_set.json"
    ran = run("index", listed / below, "-c", kept, "-e", saved(tmp_path / "e"), "--labels", file)
    assert ran.code == 0, ran.err
    assert "60 captions" not in ran.err, "each text once"
    assert "15 captions" in ran.err
    assert "nearsight search PICTURE|WORDS -c" in ran.err
    found = hits(run("search", "red", "-c", kept, "--filter", "split=test", "--json", "-k", 2))
    assert [Path(hit["path"]).name[:4] for hit in found] == ["red_", "red_"]
    assert {hit["fields"]["split"] for hit in found} == {"test"}
    assert found[0]["captions"] == [f"red {n}" for n in range(5)]
    assert run("index", listed / below, "-c", kept).code == 0
    with Collection.open(kept, read_only=True) as again:
        assert sum(len(item.captions) for item in again.items()) == 60, "the choice is remembered"


def test_pictures_elsewhere_are_found_by_their_names(run: Run, listed: Path, tmp_path: Path) -> None:
    (listed / "images").rename(tmp_path / "shop")
    ran = run("index", tmp_path / "shop", "--labels", listed / "dataset_set.json")
    assert ran.code == 0, ran.err
    with Collection.open(tmp_path / "shop" / ".nearsight", read_only=True) as kept:
        assert sum(len(item.captions) for item in kept.items()) == 60
    (tmp_path / "other").mkdir()
    assert "[dataset/empty]" in run("index", tmp_path / "other", "--labels", listed / "dataset_set.json").err


def test_one_split_of_a_table(run: Run, listed: Path, tmp_path: Path) -> None:
    file, images = listed / "dataset_set.json", listed / "images"
    assert run("index", images, "--labels", file, "--split", "test", "-e", "colour").code == 0

    def splits() -> set[object]:
        with Collection.open(images / ".nearsight", read_only=True) as kept:
            return {item.fields.get("split") for item in kept.items()}

    assert splits() == {"test"}
    again = run("index", images)
    assert "6 unchanged" in again.err, "remembered"
    images.rename(listed / "moved")
    images = listed / "moved"
    assert "6 unchanged" in run("index", images).err, "of a folder that moved too"
    assert run("index", images, "--labels", file).code == 0
    assert splits() == {"test", "train"}, "the table without a split: all of it"
    assert "[dataset/split]" in run("index", images, "--split", "tset").err
    assert "12 unchanged" in run("index", images).err, "what cannot be used is not remembered"
    assert "[labels/split]" in run("index", images, "--labels", "folder", "--split", "test").err
