from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from trainings import PICTURES, epoch, failure, report

from nearsight.core.errors import MeasureError
from nearsight.core.events import Skipped
from nearsight.core.items import Item
from nearsight.study.pages.similarities import BINS, Histogram
from nearsight.study.pages.training import Trained, training_page, write_training_page
from nearsight.study.report import ClassRow

LOW, HIGH = [0.2, 0.3, 0.4, 0.9] * 8, [0.6, 0.8, 0.7, 0.5] * 8


def bars(auc: float, pictures: int = 40) -> Histogram:
    positive, negative = np.zeros(BINS), np.zeros(BINS)
    positive[80:90], negative[50:60] = 0.1, 0.1
    return Histogram(positive, negative, auc, 1234, 5678, pictures, 40)


def trained(**given: Any) -> Trained:
    before = report({"mAP": LOW, "P@1": LOW}, encoder="net, as it came")
    after = report({"mAP": HIGH, "P@1": HIGH}, encoder="net, trained", worst=(failure(103, 0.5),), fingerprint="a" * 64)
    body: dict[str, Any] = {
        "title": "made, fine-tuned",
        "recipe": 'name = "made"\n[loss]\naddress = "supcon"\n',
        "before": (before,),
        "after": (after,),
        "history": tuple(epoch(n) for n in range(1, 6)),
        "facts": {"pictures": "120 of 2 classes", "machine": "2 cores"},
        "maps": (Image.new("RGB", (50, 60)), Image.new("RGB", (50, 60))),
        "similarities": (bars(0.6), bars(0.9)),
        "notes": ("Mind the gap.",),
    }
    return Trained(**(body | given))


class Seen(HTMLParser):
    """What a browser meets; every tag must be closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.given: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(page)
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)
        self.given += [(tag, name, value or "") for name, value in attrs]

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.given += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, name: str) -> list[str]:
        return [value for _, given, value in self.given if given == name]


def seen(**given: Any) -> Seen:
    return Seen(training_page(trained(**given), PICTURES))


def test_the_page_needs_nothing_else_and_runs_nothing(tmp_path: Path) -> None:
    write_training_page(trained(), tmp_path / "page.html", PICTURES)
    text = (tmp_path / "page.html").read_text()
    page = Seen(text)
    assert "script" not in page.tags
    assert not [name for _, name, _ in page.given if name.startswith("on")]
    assert page.all("src")
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.all("src"))
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text


def test_links_lead_to_the_sections_that_there_are() -> None:
    full, bare = seen(), seen(maps=None, similarities=None, history=(), recipe="", facts={})
    for page in (full, bare):
        anchors = [address.removeprefix("#") for address in page.all("href")]
        assert anchors == page.all("id")
    assert {"measures", "curves", "doctor", "classes", "maps", "similarities", "worst", "fallen", "protocol", "recipe",
            "facts"} == set(full.all("id"))  # fmt: skip
    assert set(bare.all("id")) == {"measures", "classes", "worst", "fallen", "protocol"}


def test_every_picture_and_drawing_says_what_it_is() -> None:
    text = training_page(trained(), PICTURES)
    for tag in re.findall(r"<img [^>]*", text):
        assert re.search(r'alt="[^"]+"', tag)
    for tag, inside in re.findall(r"<svg ([^>]*)>(.*?)</svg>", text, re.DOTALL):
        assert 'aria-hidden="true"' in tag or inside.startswith("<title>")


def test_the_headline_and_the_measures() -> None:
    page = seen()
    assert "Training helped: mAP is clearly better." in page.text
    assert "Mind the gap." in page.text
    for told in ("0.4500", "0.6500", "+0.2000", "clear gain", "net, as it came", "net, trained", "mAP, as defined"):
        assert told in page.text
    assert "could be chance" in seen(after=(report({"mAP": LOW[1:] + LOW[:1], "P@1": LOW}),)).text


def test_two_protocols_stand_side_by_side() -> None:
    other = report({"mAP": LOW, "P@1": LOW}, protocol="test-loo", lone=3)
    page = seen(before=(trained().before[0], other), after=(trained().after[0], other))
    assert "Training helped under test->train, but changed nothing under test-loo." in page.text
    assert "3 more have nothing to find" in page.text


def test_curves_mark_the_floor_and_the_chosen_epoch() -> None:
    history = tuple(epoch(n, best=n <= 3) for n in range(1, 6))
    page = seen(history=history)
    assert page.text.count("chosen: 3") == 2  # on the loss and on the validation
    assert "if collapsed" in page.text
    assert "Epoch 3 was best on what was held out." in page.text
    assert "It ended after epoch 5 of 9." in page.text
    assert "5 epochs in 10.0 s; 500 pictures" in page.text
    assert "Epoch 5, the last, was best" in seen().text
    lines = re.findall(r'<polyline class="curve" points="([^"]*)"', training_page(trained(history=history), PICTURES))
    assert [len(line.split()) for line in lines] == [5] * 6


def test_one_epoch_and_nothing_held_out() -> None:
    page = seen(history=(epoch(1, 1, validation=None, active=None, floor=None),))
    assert "1 epoch in 2.0 s" in page.text
    assert "Nothing was held out" in page.text
    for absent in ("chosen:", "if collapsed", "Validation", "Active triplets", "It ended after"):
        assert absent not in page.text
    assert "polyline" not in page.tags


def test_a_loss_that_is_no_number_breaks_the_curve_and_is_said() -> None:
    history = tuple(epoch(n, loss=math.nan if n == 3 else 1 / n) for n in range(1, 7))
    text = training_page(trained(history=history), PICTURES)
    assert "not finite at 1 of 6 epochs, first at 3" in text
    assert "nan," not in text
    assert 'points="nan' not in text
    loss = re.findall(r'<polyline class="curve" points="([^"]*)"', text)[:2]
    assert [len(line.split()) for line in loss] == [2, 3]
    everywhere = training_page(trained(history=(epoch(1, loss=math.inf), epoch(2, loss=math.nan))), PICTURES)
    assert "no value; not finite at 2 of 2 epochs, first at 1" in everywhere


def test_findings_are_told_once_with_their_epochs_and_repair() -> None:
    bad = ("doctor/dead", "3 dimensions are dead", "leave out the last ReLU")
    history = tuple(epoch(n, finding=bad if n != 3 else None) for n in range(1, 6))
    page = seen(history=history)
    assert page.text.count("3 dimensions are dead") == 1
    assert "doctor/dead, epochs 1–2, 4–5" in page.text
    assert "leave out the last ReLU" in page.text
    assert "The doctor found something wrong" in page.text
    assert "Nothing was found wrong" in seen().text
    assert "The doctor found" not in seen().text


def test_of_many_classes_those_that_changed_most() -> None:
    def many(shift: float) -> tuple[ClassRow, ...]:
        return tuple(ClassRow(f"kind{n:03}", 4, {"mAP": 0.4 + shift * n / 1000}, {"mAP": 0.1}) for n in range(300))

    before, after = (replace(r, classes=many(s)) for r, s in ((trained().before[0], 0), (trained().after[0], -1)))
    page = seen(before=(before,), after=(after,))
    assert "0 of 300 classes are better, 299 worse. Shown are the 20 that changed most." in page.text
    assert re.findall(r"kind\d+", page.text) == [f"kind{n}" for n in range(280, 300)]
    assert "Shown are" not in seen().text.partition("By class")[2].partition("Maps")[0]


def test_queries_that_fell_are_shown_the_most_fallen_first() -> None:
    values = list(LOW)
    values[0], values[1], values[4] = 0.05, 0.0, 1.0  # by -0.15, -0.3, +0.8
    after = replace(report({"mAP": values, "P@1": HIGH}), worst=(failure(101, 0.0, "/data/known.jpg"),))
    page = seen(after=(after,))
    told = page.text.partition("Queries that became worse")[2]
    assert "Queries by mAP: 1 better, 2 worse, 29 as before." in told
    assert told.index("0.3000 → 0.0000") < told.index("0.2000 → 0.0500")
    assert "known.jpg" in told
    assert "query 100" in told
    items = (Item(100, Path("/data/first.jpg"), "class a"),)
    named = seen(after=(after,), queries=items).text.partition("Queries that became worse")[2]
    assert "first.jpg" in named
    assert "query 100" not in named


def test_places_fall_upwards() -> None:
    ranks = [3.0, 4.0, 5.0] * 8
    page = seen(before=(report({"median rank": ranks}),), after=(report({"median rank": [9.0, *ranks[1:]]}),))
    told = page.text.partition("Queries that became worse")[2]
    assert "0 better, 1 worse, 23 as before" in told
    assert "3.0 → 9.0" in told
    assert "0 of 2 classes are better, 1 worse" in page.text


def test_no_worst_no_classes_and_nothing_measured() -> None:
    none = report({"mAP": [None] * 8}, classes=())
    page = seen(before=(none,), after=(none,))
    assert "Whether training helped could not be measured." in page.text
    assert {"worst", "classes", "fallen"}.isdisjoint(page.all("id"))
    assert "nan" not in page.text


def test_the_worst_are_drawn_with_their_answers() -> None:
    worst = tuple(failure(100 + n, n / 10) for n in range(9))
    page = seen(after=(replace(trained().after[0], worst=worst),), maps=None)
    sheets = [value for value in page.all("alt") if " · mAP 0." in value]
    assert sheets == [f"class a · mAP 0.{n}000 · /data/worst.jpg" for n in range(6)]


def test_cosines_say_their_overlap_and_a_sample() -> None:
    page = seen()
    assert "AUC 0.6000" in page.text
    assert "AUC 0.9000" in page.text
    assert "1,234 pairs of one class and 5,678 of two." in page.text
    assert "of an even sample of 30 of 40 pictures" in seen(similarities=(bars(0.6, 30), bars(0.9, 30))).text
    assert "not measured" in seen(similarities=(bars(math.nan), bars(0.9))).text


def test_the_card_says_what_differs() -> None:
    page = seen()
    assert f"{'f' * 64} before, {'a' * 64} after" in page.text
    assert "q" * 64 in page.text


def test_skipped_pictures_are_named_once_and_counted() -> None:
    skipped = tuple(Skipped(f"/data/{n}.jpg", "picture/damaged", "cut short") for n in range(150))
    pair = tuple(replace(r, skipped=skipped) for r in (trained().before[0], trained().after[0]))
    page = seen(before=pair[:1], after=pair[1:])
    assert "150 pictures were left out of all measures. Shown are the first 100" in page.text
    assert page.text.count("cut short") == 100


def test_hostile_names_stay_text() -> None:
    nasty = "<script>alert(1)</script>\"'&\udce9"
    after = replace(
        trained().after[0],
        encoder=nasty,
        worst=(replace(failure(103, 0.5), path=nasty, label=nasty),),
        skipped=(Skipped(nasty, "c", nasty),),
        classes=(ClassRow(nasty, 3, {"mAP": 0.2}, {"mAP": 0.1}),),
    )
    before = replace(trained().before[0], classes=after.classes)
    text = training_page(
        trained(
            title=nasty, recipe=nasty, facts={nasty: nasty}, notes=(nasty,), before=(before,), after=(after,),
            history=(epoch(1, finding=(nasty, nasty, nasty)),),
            queries=(Item(103, Path("<script>.jpg"), nasty),),
        ),
        PICTURES,
    )  # fmt: skip
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 15
    Seen(text)
    text.encode("utf-8", "replace")


def test_other_queries_are_refused() -> None:
    with pytest.raises(MeasureError):
        training_page(trained(after=(report({"mAP": HIGH[:8], "P@1": HIGH[:8]}),)), PICTURES)
