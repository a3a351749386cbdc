"""A whole query in one line, nested filters and folding, as a user has them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from e2e.command import COLOURS, EACH, Ran, hits, labels
from fake_words import install, saved
from nearsight.cli.render import cells

Run = Callable[..., Ran]


@pytest.fixture
def shop(run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pictures, indexed with two towers and a year each; the working folder is among them."""
    install(monkeypatch)
    rows = [f"{name}/{name}_{n}.jpg,{name},{2000 + n}" for name in COLOURS for n in range(EACH)]
    (pictures / "table.csv").write_text("path,label,year\n" + "\n".join(rows))
    ran = run("index", pictures, "-e", saved(tmp_path / "encoder"), "--labels", pictures / "table.csv")
    assert ran.code == 0, ran.err
    monkeypatch.chdir(pictures)
    return pictures


def answers(ran: Ran) -> list[tuple]:
    return [(hit["key"], hit["score"]) for hit in hits(ran)]


def test_a_query_is_what_its_arguments_are(run: Run, shop: Path) -> None:
    written = run("search", "--query", 'red + ./blue/blue_0.jpg - "green"', "--json")
    assert answers(written) == answers(run("search", "red", "blue/blue_0.jpg", "--minus", "green", "--json"))
    assert hits(written)[0]["query"] == [
        {"as": "words", "given": "red", "weight": 1.0},
        {"as": "picture", "given": "blue/blue_0.jpg", "weight": 1.0},
        {"as": "words", "given": "green", "weight": -1.0},
    ]
    assert "words: red; less of green" in written.err
    weighed = run("search", "--query", "3: red + blue", "--json", "-k", EACH)
    assert labels(weighed) == ["red"] * EACH
    both = run("search", "red", "--query", "green", "--json", "-k", 2 * EACH)
    assert set(labels(both)) == {"red", "green"}
    assert labels(run("search", "--query", "@1", "--json", "-k", EACH)) == ["blue"] * EACH


def test_a_query_has_a_filter_scores_and_folding(run: Run, shop: Path) -> None:
    asked = "red | (label = green and year > 2001) or label = blue, red and not year < 2003; min_score=-0.5"
    found = hits(run("search", "--query", asked, "--json"))
    everything = {("green", 2002), ("green", 2003), ("blue", 2003), ("red", 2003)}
    assert {(hit["label"], hit["fields"]["year"]) for hit in found} == everything
    same = "(label = green and year > 2001 or label = blue, red and not year < 2003)"
    assert answers(run("search", "red", "--filter", same, "--json")) == [(hit["key"], hit["score"]) for hit in found]
    narrow = hits(run("search", "--query", asked, "--filter", "label=red", "--filter", "year>=2003", "--json"))
    assert [(hit["label"], hit["fields"]["year"]) for hit in narrow] == [("red", 2003)]
    assert hits(run("search", "--query", asked, "--at-least", 0.9, "--json"))[0]["label"] == "red"
    assert set(labels(run("search", "--query", asked, "--at-least", 0.9, "--json"))) == {"red"}
    assert set(labels(run("search", "--query", "red; min_score=0.9", "--json"))) == {"red"}


def test_a_region_is_searched_and_drawn(run: Run, shop: Path, tmp_path: Path) -> None:
    whole = Image.new("RGB", (128, 48))
    for at, name in enumerate(("red", "blue")):
        with Image.open(shop / name / f"{name}_0.jpg") as part:
            whole.paste(part, (64 * at, 0))
    whole.save(tmp_path / "my own.png")
    for box, name in (([0, 0, 64, 48], "red"), ([64, 0, 128, 48], "blue")):
        asked = f'"{tmp_path}/my own.png"[{",".join(map(str, box))}]'
        ran = run("search", "--query", asked, "--json", "-k", EACH, "--sheet", tmp_path / "sheet.png")
        assert labels(ran) == [name] * EACH
        assert hits(ran)[0]["query"] == [{"as": "region", "given": f"{tmp_path}/my own.png", "weight": 1.0, "box": box}]
        assert not any(hit["self"] for hit in hits(ran))
    assert labels(run("search", "--query", "@1[0,0,32,24]", "--json", "-k", EACH)) == ["blue"] * EACH
    outside = run("search", "--query", "@1[0,0,32,2400]")
    assert outside.code == 1
    assert "[query/region]" in outside.err
    assert "64 x 48" in outside.err


def test_home_is_found_behind_a_tilde(run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(shop / "red"))
    monkeypatch.setenv("USERPROFILE", str(shop / "red"))
    assert labels(run("search", "--query", "~/red_0.jpg", "--json", "-k", EACH)) == ["red"] * EACH
    shutil.copy(shop / "red" / "red_0.jpg", shop / "~nobody.jpg")
    assert labels(run("search", "--query", "~nobody.jpg", "--json", "-k", EACH)) == ["red"] * EACH


def test_an_error_points_at_the_character(run: Run, shop: Path) -> None:
    ran = run("search", "--query", "horse + - car")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "error: not understood at character 9  [query/grammar]",
        "       horse + - car",
        "               ^ words or a picture are missing here",
        'repair: words with signs stand in quotes: "t-shirt - new"',
    ]
    far = run("search", "--query", "犬\n" * 40 + "+ ; " + "x" * 100).err.splitlines()
    assert far[1].startswith("       ...")
    assert far[1].endswith("x...")
    assert cells(far[1][: far[1].index(";")]) == far[2].index("^"), "犬 is two columns wide, and \\n two letters"
    in_filter = run("search", "red", "--filter", "(label=red or)").err
    assert "[query/grammar]" in in_filter
    assert "^ a condition is missing here" in in_filter


@pytest.mark.parametrize("name", ["gone.jpg", "./gone"])
def test_a_picture_that_is_not_there(run: Run, shop: Path, name: str) -> None:
    ran = run("search", "--query", f"{name} + red")
    assert (ran.code, "[picture/vanished]" in ran.err) == (1, True)


def test_less_alone_is_nothing_to_look_for(run: Run, shop: Path) -> None:
    assert "[query/empty]" in run("search", "--query", "- red").err
    assert labels(run("search", "--query", "- red", "--text", "green", "--json", "-k", EACH)) == ["green"] * EACH


def test_nearly_the_same_is_folded(run: Run, shop: Path) -> None:
    for number in range(3):
        shutil.copy(shop / "red" / "red_0.jpg", shop / "red" / f"copy_{number}.jpg")
    run("index", shop)
    asked = ("search", "--like", "red/red_0.jpg", "-k", 3)
    plain = hits(run(*asked, "--json"))
    assert "folded" not in plain[0]
    found = hits(run(*asked, "--fold", 0.999999, "--json"))
    assert [len(hit["folded"]) for hit in found] == [3, 0, 0]
    assert {found[0]["key"], *found[0]["folded"]} > {hit["key"] for hit in plain}
    table = run(*asked, "--fold", 0.999999).out.splitlines()
    assert table[0].split()[:2] == ["score", "folded"]
    assert table[1].split()[2] == "+3"
    assert len(table) == 4
    assert len(hits(run("search", "--query", "./red/red_0.jpg; fold=0.999999", "--json", "-k", 12))) == 12
    others = hits(run(*asked, "--fold", 0.999999, "--without-self", "--json"))
    assert len(others) == 3
    assert not any(hit["self"] or hit["folded"] for hit in others)
    assert "[query/fold]" in run(*asked, "--fold", 0).err
    assert run(*asked, "--fold", 2).code == 2
