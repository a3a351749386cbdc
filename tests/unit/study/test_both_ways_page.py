"""The page of captions and pictures: whole, silent, and nobody's caption becomes markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trainings import epoch

from nearsight.core.arrays import unit
from nearsight.core.errors import PictureError
from nearsight.core.events import Skipped
from nearsight.core.items import Item
from nearsight.data.captions import captioned
from nearsight.data.datasets import Dataset
from nearsight.study.crossmodal.judge import judge
from nearsight.study.crossmodal.report import CrossReport
from nearsight.study.pages.both_ways import both_ways_page, write_both_ways_page
from nearsight.study.pictures import Pictures

ODD = (
    "<script>alert('x')</script> & \"quoted\" <img src=http://example.org/x.png onerror=a()>",
    "\N{DOG FACE}\N{ZERO WIDTH JOINER}\N{FIRE} surfing",
    "\u0441\u043e\u0431\u0430\u043a\u0430 \u043d\u0430 \u043f\u043b\u044f\u0436\u0435",
    "\u05db\u05dc\u05d1 \u05e2\u05dc \u05d4\u05d7\u05d5\u05e3",
    "\u4e24\u53ea\u72d7\u5728\u6c99\u6ee9\u4e0a",
    "caf\udce9",
    "word " * 9999 + "end",
)


@pytest.fixture(scope="module")
def report() -> CrossReport:
    rng = np.random.default_rng(0)
    items = tuple(
        Item(row, Path(f"/pictures/<i>{row}&.jpg"), None, "test", (*ODD[row % 7 :], f"plain {row}"))
        for row in range(14)
    )
    relation = captioned(Dataset("odd <set>", items), "test")
    centres = rng.normal(size=(14, 8))
    images = unit(centres + 0.3 * rng.normal(size=(14, 8)))
    texts = unit(centres[relation.of] + 1.5 * rng.normal(size=(len(relation.texts), 8)))
    lost = [Skipped("<b>.jpg", "picture/damaged", "not <whole>")]
    return judge(images, texts, relation, encoder=("colour | <words>", "f"), skipped=lost, hubness="csls", samples=50)


def pictures() -> Pictures:
    def decode(data: bytes, side: int) -> Image.Image:
        if data == b"3":
            raise PictureError("broken")
        return Image.new("RGB", (64, 40), (int(data) * 15, 90, 30))

    return Pictures(lambda path: re.sub(r"\D", "", path.name).encode(), decode)


class Seen(HTMLParser):
    """Tags, addresses, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.events: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action", "srcset"}]
        self.events += [name for name, _ in attrs if name.startswith("on")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Seen:
    seen = Seen()
    seen.feed(text)
    assert seen.open == []
    return seen


def test_the_page_needs_nothing_else_and_captions_stay_text(report: CrossReport, tmp_path: Path) -> None:
    write_both_ways_page(report, tmp_path / "page.html", pictures())
    seen = read((tmp_path / "page.html").read_text())
    assert "script" not in seen.tags
    assert not seen.events
    assert all(address.startswith("data:image/jpeg") for address in seen.addresses)
    said = "".join(seen.text)
    for caption in ODD[:5]:
        assert caption in said
    assert "word " * 9999 not in said
    assert "odd <set>" in said
    assert "not <whole>" in said


def test_both_ways_are_shown_with_marks_scores_and_true_pictures(report: CrossReport) -> None:
    text = both_ways_page(report, pictures())
    assert text.count('class="example"') == len(report.examples) == 24
    answers = [found for example in report.examples for found in example.answers]
    assert text.count("✓ ") == sum(found.right for found in answers)
    assert text.count("✗ ") == sum(not found.right for found in answers)
    assert text.count('<figure class="own">') == 24
    assert text.count("<img ") == 24 + sum(len(e.answers) for e in report.examples if e.way == "text->image")
    for kind in ("Good", "Middling", "Worst"):
        assert text.count(f"<h3>{kind}</h3>") == 2
    assert f"{answers[0].score:.3f}" in text


def test_numbers_protocol_and_what_was_left_out_are_told(report: CrossReport) -> None:
    said = "".join(read(both_ways_page(report, pictures(), title="A <title>", facts={"machine": "a & b"})).text)
    assert "A <title>" in said
    assert "a & b" in said
    assert f"{report.rsum.value:.1f}" in said
    for row in (*report.to_texts.measures, *report.to_images.measures):
        assert row.definition in said
    assert "Transductive: csls" in said
    assert "any of the picture's captions" in said
    assert "Left out, of pictures and captions: 1." in said
    assert f"{report.shared:,} captions stand" in said


def test_curves_come_with_a_history(report: CrossReport) -> None:
    bare = both_ways_page(report, pictures())
    assert "by epoch" not in bare
    told = both_ways_page(report, pictures(), history=[epoch(n) for n in range(1, 6)])
    for name in ("Loss by epoch", "Validation by epoch", "Learning rate by epoch"):
        assert name in told
    read(told)


def test_without_examples_or_with_unreadable_pictures_it_is_a_page(report: CrossReport) -> None:
    def gone(path: Path) -> bytes:
        raise OSError(path)

    read(both_ways_page(replace(report, examples=()), pictures()))
    text = both_ways_page(report, Pictures(gone, pictures().decode))
    assert text.count('class="example"') == 24
