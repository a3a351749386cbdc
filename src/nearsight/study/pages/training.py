"""What a training did, as one HTML page that needs nothing else: before and after, curves, maps, what still goes wrong.

It opens with a sentence that claims no more than the intervals do (`nearsight.study.verdict`). Everything on the page
is measured elsewhere and only told here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

from nearsight.core.artefact import replace_file
from nearsight.core.items import Item
from nearsight.learn.history import Epoch
from nearsight.study.pages import svg
from nearsight.study.pages.html import card_rows, document, figure, skipped_rows, text_table
from nearsight.study.pages.similarities import Histogram, similarity_svg
from nearsight.study.pages.svg import interval_bars
from nearsight.study.pages.training_history import curves, doctor, has_findings
from nearsight.study.pages.training_queries import classes, fallen, worst
from nearsight.study.pictures import Pictures
from nearsight.study.report import Report, Row
from nearsight.study.verdict import Judged, Outcome, Protocol, Verdict, judge

_SKIPPED = 100  # pictures named on the page; the report's JSON names them all
_KINDS: dict[Outcome, str] = {"gain": "rose", "loss": "fell"}  # the others stood
_SIGNS: dict[Outcome, str] = {"gain": "▲", "loss": "▼", "unclear": "≈", "same": "=", "unmeasured": "–"}
_STYLE = (
    svg.STYLE
    + """
h3 { font-size: 1rem; margin: 1.6rem 0 .2rem } p { margin: .5rem 0; max-width: 48rem }
.verdict { border-left: 5px solid var(--faint); background: var(--raised); border-radius: 0 8px 8px 0;
  padding: 1rem 1.3rem; margin: 1.2rem 0 } .verdict.gain { border-color: var(--gain) }
.verdict.loss { border-color: var(--loss) } .verdict.mixed { border-color: var(--chance) }
.verdict p { color: var(--ink) } .verdict > p:first-child { font-size: 1.3rem; font-weight: 600; line-height: 1.35;
  margin-top: 0; text-wrap: balance } .verdict dt { font-weight: 600; margin-top: .6rem }
.verdict dd { margin: 0; max-width: 60rem } .verdict p.aside { color: var(--faint) }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .92rem } a { color: var(--bar) }
td small { display: block; color: var(--faint) } td.rose, b.rose { color: var(--gain) }
td.fell, b.fell { color: var(--loss) } td.stood, b.stood { color: var(--faint) }
.findings { padding-left: 1.2rem; max-width: 60rem } .findings li { margin: .5rem 0 }
.findings span { color: var(--faint); font-size: .9rem }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1.2rem }
.pair figure { margin: 0 } .pair figcaption { margin-top: .3rem }
.queries { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: 1rem }
.queries figure { margin: 0 } .queries figcaption { font-size: .86rem; line-height: 1.35; overflow-wrap: anywhere }
.queries img { width: 100% } .queries b { color: var(--ink); font-variant-numeric: tabular-nums }
figure.sheet { overflow-x: auto } figure.sheet figcaption { position: sticky; left: 0; overflow-wrap: anywhere }
pre { background: var(--raised); padding: 1rem 1.2rem; border-radius: 8px; overflow-x: auto; font-size: .86rem;
  line-height: 1.5 } summary { cursor: pointer; color: var(--bar); padding: .3rem 0 }
@media (max-width: 40rem) { body { margin: 1.2rem auto; padding: 0 1rem } h1 { font-size: 1.4rem }
  .verdict { padding: .8rem 1rem } .verdict > p:first-child { font-size: 1.15rem }
  figure.sheet img { max-width: none; height: 150px; width: auto }
  .pair figure { overflow-x: auto } .pair img { max-width: none; width: 40rem }
  .pair figcaption { position: sticky; left: 0 } }
"""
)


@dataclass(frozen=True, slots=True)
class Trained:
    """What the page tells.

    title         of the page: what was trained on what
    recipe        the resolved recipe, TOML text
    before        the reports of the network as it was before, one a protocol
    after         the same protocols in the same order, after training
    history       every epoch
    facts         pictures trained on, classes, left out, the data's hash, seconds, machine, versions: name -> text
    maps          the embedding before and after (`space.picture_maps`)
    similarities  cosines before and after (`similarities.similarities`)
    notes         sentences that a reader should have in mind, below the headline
    queries       items of the protocols' queries, so that one that became worse can be shown; without them only those
                  that stand among a report's worst can
    """

    title: str
    recipe: str
    before: tuple[Report, ...]
    after: tuple[Report, ...]
    history: tuple[Epoch, ...]
    facts: Mapping[str, str]
    maps: tuple[Image.Image, Image.Image] | None = None
    similarities: tuple[Histogram, Histogram] | None = None
    notes: tuple[str, ...] = ()
    queries: tuple[Item, ...] = ()


def training_page(trained: Trained, pictures: Pictures) -> str:
    """The whole document. Raises MeasureError where the reports before and after cannot be compared."""
    verdict = judge(trained.before, trained.after)
    parts = [
        _measures(verdict.protocols),
        curves(trained.history),
        doctor(trained.history),
        classes(verdict.protocols),
        _maps(trained.maps),
        _similarities(trained.similarities),
        worst(verdict.protocols, pictures),
        fallen(verdict.protocols, trained.queries, pictures),
        _protocols(verdict.protocols),
        _recipe(trained.recipe),
        _facts(trained.facts),
        _skipped((*trained.before, *trained.after)),
    ]
    head = f"<header><h1>{escape(trained.title)}</h1>{_headline(verdict, trained)}{_contents(parts)}</header>"
    return document(trained.title, f"{head}<main>{''.join(parts)}</main>", style=_STYLE)


def write_training_page(trained: Trained, path: Path, pictures: Pictures) -> None:
    """The page at `path`, whole or not at all. Raises WriteFailed, and what `training_page` raises."""
    replace_file(path, training_page(trained, pictures).encode("utf-8", "replace"))


def _headline(verdict: Verdict, trained: Trained) -> str:
    lines = "".join(f"<dt>{escape(p.name)}</dt><dd>{escape(p.told)}</dd>" for p in verdict.protocols)
    encoders = (trained.before[0].encoder, trained.after[0].encoder)
    told = f"<p>Before: {escape(encoders[0])}<br>After: {escape(encoders[1])}</p>"
    notes = [*trained.notes]
    if has_findings(trained.history):
        notes.append("The doctor found something wrong during training: see below.")
    asides = "".join(f'<p class="aside">{escape(note)}</p>' for note in notes)
    return (
        f'{told}<div class="verdict {verdict.outcome}"><p>{escape(verdict.sentence)}</p><dl>{lines}</dl>{asides}</div>'
    )


def _contents(parts: Sequence[str]) -> str:
    """Links to the sections that there are."""
    links = []
    for part in parts:
        if part.startswith('<h2 id="'):
            name, _, rest = part.removeprefix('<h2 id="').partition('">')
            links.append(f'<a href="#{name}">{rest.partition("</h2>")[0]}</a>')
    return f'<nav aria-label="Sections">{"".join(links)}</nav>'


def _measures(protocols: Sequence[Protocol]) -> str:
    tables = "".join(
        f"<h3>{escape(p.name)}</h3><p>{p.after.queries:,} queries in {p.after.gallery:,} pictures.{_lone(p.after)}</p>"
        '<div class="wide"><table><tr><th>measure</th><th>before</th><th>after</th><th>difference</th><th></th>'
        f"<th>chance</th><th></th></tr>{''.join(_measure(m) for m in p.measures)}</table></div>"
        for p in protocols
    )
    defined = {m.change.label: m.before.definition for p in protocols for m in p.measures}
    return (
        f'<h2 id="measures">Before and after</h2>{tables}<p>Small: 95% intervals, a bootstrap over queries; that of '
        "the difference is over each query's own difference, so it can be clear where the two others overlap. They say "
        "what other queries would have given, not what another seed would have trained. In the bars, before stands "
        "above after, on a line from 0 to 1; the yellow line is what random rankings would give.</p>"
        f"<details><summary>How the measures are defined</summary>{text_table(defined.items())}</details>"
    )


def _measure(measure: Judged) -> str:
    change, kind = measure.change, _KINDS.get(measure.outcome, "stood")
    bars = ""
    if measure.before.unit == "share" and measure.outcome != "unmeasured":
        bars = interval_bars(_span(measure.before), _span(measure.after), kind, measure.after.floor)
    difference = change.difference
    return (
        f"<tr><td>{escape(change.label)}</td>{_value(measure, measure.before)}{_value(measure, measure.after, 'b')}"
        f'<td class="{kind}"><b>{measure.signed(difference.value)}</b><small>{measure.signed(difference.low)} to '
        f'{measure.signed(difference.high)}</small></td><td class="{kind}" style="text-align:left">'
        f"{_SIGNS[measure.outcome]} {measure.told}</td><td>{measure.show(measure.after.floor)}</td><td>{bars}</td></tr>"
    )


def _value(measure: Judged, row: Row, tag: str = "span") -> str:
    return (
        f"<td><{tag}>{measure.show(row.value)}</{tag}><small>{measure.show(row.low)} – {measure.show(row.high)}"
        "</small></td>"
    )


def _span(row: Row) -> tuple[float, float, float]:
    return row.value, row.low, row.high


def _lone(report: Report) -> str:
    return f" {report.lone} more have nothing to find in the gallery and are left out." if report.lone else ""


def _maps(maps: tuple[Image.Image, Image.Image] | None) -> str:
    if maps is None:
        return ""
    figures = "".join(
        figure(picture, f"{when} training: pictures that the network finds alike lie side by side; frames are classes")
        for when, picture in zip(("Before", "After"), maps, strict=True)
    )
    return (
        '<h2 id="maps">Maps of the embedding</h2><p>The same pictures on both, an even sample over classes. A plane '
        "keeps neighbours, not distances; trust the measures where the two disagree.</p>"
        f'<div class="pair">{figures}</div>'
    )


def _similarities(pair: tuple[Histogram, Histogram] | None) -> str:
    if pair is None:
        return ""
    figures, (before, after) = [], pair
    for when, own, other in (("Before training", before, after), ("After training", after, before)):
        told = "not measured" if math.isnan(own.auc) else f"AUC {own.auc:.4f}"
        figures.append(
            f'<figure class="chart"><figcaption><b>{when}</b> {told}</figcaption>'
            f"{similarity_svg(own, when, beside=[other])}</figure>"
        )
    counted = f"{before.positives:,} pairs of one class and {before.negatives:,} of two"
    if any(histogram.sampled for histogram in pair):
        counted += f", of an even sample of {before.pictures:,} of {before.of:,} pictures"
    return (
        '<h2 id="similarities">Cosines of pairs</h2><p>The less the two overlap, the better a class stands out. AUC: '
        "the chance that a pair of one class scores above a pair of two; 0.5 says nothing, 1 divides them. "
        f'{counted}.</p><div class="charts two">{"".join(figures)}</div>'
    )


def _protocols(protocols: Sequence[Protocol]) -> str:
    tables = []
    for protocol in protocols:
        rows = [
            (name, one if one == two else f"{one} before, {two} after")
            for (name, one), (_, two) in zip(
                card_rows(protocol.before.card), card_rows(protocol.after.card), strict=True
            )
        ]
        tables.append(f"<h3>{escape(protocol.name)}</h3>{text_table(rows)}")
    return (
        '<h2 id="protocol">Protocol</h2><p>Before and after were measured alike: their cards agree in all but the '
        f"encoder and how it was chosen.</p>{''.join(tables)}"
    )


def _recipe(recipe: str) -> str:
    return f'<h2 id="recipe">Recipe</h2><pre tabindex="0"><code>{escape(recipe.strip())}</code></pre>' if recipe else ""


def _facts(facts: Mapping[str, str]) -> str:
    return f'<h2 id="facts">Facts</h2>{text_table(facts.items())}' if facts else ""


def _skipped(reports: Sequence[Report]) -> str:
    skipped = {(event.path, event.code): event for report in reports for event in report.skipped}
    if not skipped:
        return ""
    shown = list(skipped.values())[:_SKIPPED]
    more = f" Shown are the first {len(shown)}; the reports name them all." if len(shown) < len(skipped) else ""
    told = "1 picture was" if len(skipped) == 1 else f"{len(skipped)} pictures were"
    told += " left out of all measures."
    return f'<h2 id="skipped">Skipped pictures</h2><p>{told}{more}</p>{text_table(skipped_rows(shown))}'
