"""Captions and pictures measured both ways, as one HTML page that needs nothing else: numbers, curves, pairs.

The pairs are good, middling and worst queries. A caption that searches stands beside the picture it is of and those it
found; a picture that searches stands beside its captions and those it found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from nearsight.core.artefact import replace_file
from nearsight.learn.history import Epoch
from nearsight.measure.protocol import Card
from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS, CrossReport, Example, Found
from nearsight.study.pages import svg
from nearsight.study.pages.html import card_rows, document, image, skipped_rows, text_table
from nearsight.study.pages.report import measure_table
from nearsight.study.pages.sheet import thumbnail
from nearsight.study.pages.training_history import curves, doctor
from nearsight.study.pictures import Pictures
from nearsight.study.report import place

_SIDE = 132
_LETTERS = 280  # of a caption, on the page
_SKIPPED = 100  # named on the page; the report's JSON names them all
_TITLES = {TO_TEXTS: "Pictures search captions", TO_IMAGES: "Captions search pictures"}
_KINDS = {"good": "Good", "middling": "Middling", "worst": "Worst"}
_STYLE = (
    svg.STYLE
    + """
h3 { font-size: 1rem; margin: 1.6rem 0 .2rem } p { max-width: 48rem }
.sum { font-size: 1.3rem; color: var(--ink) } .sum b { font-variant-numeric: tabular-nums }
.example { border-top: 1px solid var(--line); padding: 1rem 0; display: grid; gap: 1rem 1.6rem;
  grid-template-columns: minmax(11rem, 17rem) 1fr; align-items: start }
.example figure { margin: 0 } .example figcaption { font-size: .84rem; line-height: 1.35; overflow-wrap: anywhere }
.example img { width: 100%; max-width: 132px; display: block; margin-bottom: .55rem }
.own img { outline: 4px solid var(--bar) }
.asked { color: var(--ink); font-weight: 600; margin: 0 0 .5rem; overflow-wrap: anywhere }
.found { display: flex; flex-wrap: wrap; gap: .9rem; margin: 0; padding: 0; list-style: none }
.found figure { width: 132px } .found .right img { outline: 4px solid var(--gain) }
ol.told { margin: 0; padding-left: 1.6rem } ol.told li { margin: .3rem 0; overflow-wrap: anywhere }
ul.own { margin: .5rem 0 0; padding-left: 1.1rem; font-size: .88rem; color: var(--faint) }
ul.own li { overflow-wrap: anywhere } .right b { color: var(--gain) } .wrong b { color: var(--loss) }
b, small { font-variant-numeric: tabular-nums } small { color: var(--faint) }
@media (max-width: 40rem) { .example { grid-template-columns: 1fr } }
"""
)


def both_ways_page(
    report: CrossReport,
    pictures: Pictures,
    *,
    title: str = "",
    history: Sequence[Epoch] = (),
    facts: Mapping[str, str] | None = None,
) -> str:
    """The whole document. `history` are the epochs of the training, for its curves; `facts` are told in a table."""
    card = report.to_texts.card
    title = title or f"{card.dataset}: captions and pictures"
    show = _Thumbnails(pictures)
    parts = [
        f"<h1>{escape(title)}</h1><p>{escape(report.summary())}</p>",
        _measures(report),
        curves(history),
        doctor(history),
        *(_pairs(way, report, show) for way, _ in report.ways),
        *(_card(way, one.card) for way, one in report.ways),
        f"<h2>Facts</h2>{text_table(facts.items())}" if facts else "",
        _skipped(report),
    ]
    return document(title, "".join(parts), style=_STYLE)


def write_both_ways_page(
    report: CrossReport,
    path: Path,
    pictures: Pictures,
    *,
    title: str = "",
    history: Sequence[Epoch] = (),
    facts: Mapping[str, str] | None = None,
) -> None:
    """The page at `path`, whole or not at all. Raises WriteFailed."""
    text = both_ways_page(report, pictures, title=title, history=history, facts=facts)
    replace_file(path, text.encode("utf-8", "replace"))


class _Thumbnails:
    """Pictures as HTML, each read once."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures
        self.made: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        if path not in self.made:
            picture = thumbnail(self.pictures.show(Path(path), 2 * _SIDE), 2 * _SIDE)
            self.made[path] = image(picture, Path(path).name)
        return self.made[path]


def _measures(report: CrossReport) -> str:
    rsum = report.rsum
    tables = "".join(
        f"<h3>{_TITLES[way]}</h3><p>{one.queries:,} queries, {one.gallery:,} to find among: "
        f"{escape(one.card.caption_rule)}.</p>{measure_table(one.measures)}"
        for way, one in report.ways
    )
    shared = (
        f" {report.shared:,} captions stand, letter by letter, under several pictures; only the query's own is right."
        if report.shared
        else ""
    )
    stamps = "".join(f"<p><b>Transductive:</b> {escape(told)}</p>" for told in report.to_texts.card.transductive)
    return (
        f'<h2>Measures</h2><p class="sum">rSum <b>{place(rsum.value)}</b> <small>{place(rsum.low)} – '
        f"{place(rsum.high)}, chance {place(rsum.floor)}, at most 600</small></p>{stamps}{tables}"
        "<p>Intervals draw pictures with all of their captions, both ways at once. The yellow line is what random "
        f"rankings would give.{shared}</p>"
    )


def _pairs(way: str, report: CrossReport, show: _Thumbnails) -> str:
    some = [example for example in report.examples if example.way == way]
    draw = _picture_asks if way == TO_TEXTS else _caption_asks
    parts = [
        f"<h3>{_KINDS[kind]}</h3>{''.join(draw(example, show) for example in group)}"
        for kind, group in groupby(some, key=lambda example: example.kind)
    ]
    told = "By the place of the first right answer; among equals those whose names have the smallest hash."
    return f"<h2>{_TITLES[way]}</h2><p>{told}</p>{''.join(parts)}" if some else ""


def _caption_asks(example: Example, show: _Thumbnails) -> str:
    cells = "".join(
        f'<li><figure class="{_kind(found)}">{show(found.picture)}<figcaption>{_mark(found)}</figcaption></figure></li>'
        for found in example.answers
    )
    return (
        f'<div class="example"><div><p class="asked" dir="auto">{_short(example.texts[0])}</p><figure class="own">'
        f"{show(example.picture)}<figcaption>its picture, at {_place(example)}<br>"
        f'<small>{escape(Path(example.picture).name)}</small></figcaption></figure></div><ol class="found">{cells}</ol>'
        "</div>"
    )


def _picture_asks(example: Example, show: _Thumbnails) -> str:
    own = "".join(f'<li dir="auto">{_short(text)}</li>' for text in example.texts)
    lines = "".join(
        f'<li class="{_kind(found)}">{_mark(found)} <bdi>{_short(found.text)}</bdi></li>' for found in example.answers
    )
    return (
        f'<div class="example"><div><figure class="own">{show(example.picture)}<figcaption>first right at '
        f"{_place(example)}<br><small>{escape(Path(example.picture).name)}</small></figcaption></figure>"
        f'<ul class="own">{own}</ul></div><ol class="told">{lines}</ol></div>'
    )


def _kind(found: Found) -> str:
    return "right" if found.right else "wrong"


def _mark(found: Found) -> str:
    """Right or wrong without colour too, and the score."""
    return f"<b>{'✓' if found.right else '✗'} {found.score:.3f}</b>"


def _place(example: Example) -> str:
    return f"place <b>{example.place:g}</b>"


def _short(text: str) -> str:
    """A caption for the page, escaped; of a very long one its beginning."""
    return escape(text if len(text) <= _LETTERS else f"{text[:_LETTERS]}…")


def _card(way: str, card: Card) -> str:
    return f"<h2>Protocol: {escape(way)}</h2>{text_table(card_rows(card))}"


def _skipped(report: CrossReport) -> str:
    skipped = report.to_texts.skipped
    if not skipped:
        return ""
    more = f" Shown are the first {_SKIPPED}; the report names them all." if len(skipped) > _SKIPPED else ""
    return (
        f"<h2>Left out</h2><p>Left out, of pictures and captions: {len(skipped):,}.{more}</p>"
        f"{text_table(skipped_rows(skipped[:_SKIPPED]))}"
    )
