"""A report as one HTML page that needs nothing else: no other host, no script, thumbnails inside."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from PIL import Image

from nearsight.core.artefact import replace_file
from nearsight.study.pages.html import card_rows, document, figure, plain_table, skipped_rows, text_table
from nearsight.study.pages.sheet import Cell, contact_sheet
from nearsight.study.pictures import Pictures
from nearsight.study.report import Failure, Report, Row, place, share

_THUMBNAIL = 132


def page(report: Report, pictures: Pictures) -> str:
    """The whole document. Worst queries are drawn as contact sheets, as far as their pictures can still be read."""
    title = f"{report.card.dataset} {report.card.protocol}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(report.encoder)} · {escape(report.card.engine)} · {report.queries} queries in "
        f"{report.gallery} pictures · {report.search_ms:.2f} ms a query</p>",
        _measures(report),
        _notes(report),
        _classes(report),
        _worst(report, pictures),
        _card(report),
        _skipped(report),
    ]
    return document(title, "".join(parts))


def write_page(report: Report, path: Path, pictures: Pictures) -> None:
    """The page at `path`, whole or not at all. Raises WriteFailed."""
    replace_file(path, page(report, pictures).encode("utf-8", "replace"))


def _measures(report: Report) -> str:
    return (
        f"<h2>Measures</h2>{measure_table(report.measures)}"
        "<p>The interval is a bootstrap over queries. The yellow line is what random rankings would give.</p>"
    )


def measure_table(measures: Iterable[Row]) -> str:
    """Each measure with its interval, chance, a bar for shares, and its definition."""
    rows = []
    for row in measures:
        show = share if row.unit == "share" else place
        rows.append(
            f"<tr><td>{escape(row.label)}</td><td><b>{show(row.value)}</b></td>"
            f"<td>{show(row.low)} – {show(row.high)}</td><td>{show(row.floor)}</td>"
            f'<td>{_bar(row)}</td><td class="text">{escape(row.definition)}</td></tr>'
        )
    return (
        '<div class="wide"><table><tr><th>measure</th><th>value</th><th>95% interval</th>'
        f"<th>chance</th><th></th><th style='text-align:left'>definition</th></tr>{''.join(rows)}</table></div>"
    )


def _bar(row: Row) -> str:
    """Value, interval and chance on a line from 0 to 1."""
    if row.unit != "share":
        return ""
    x = {
        name: 4 + 152 * value for name, value in (("at", row.value), ("a", row.low), ("b", row.high), ("c", row.floor))
    }
    return (
        '<svg width="160" height="18" aria-hidden="true"><line class="line" x1="4" x2="156" y1="9" y2="9"/>'
        f'<line class="chance" stroke-width="2" x1="{x["c"]:.1f}" x2="{x["c"]:.1f}" y1="2" y2="16"/>'
        f'<line class="span" stroke-width="4" x1="{x["a"]:.1f}" x2="{x["b"]:.1f}" y1="9" y2="9"/>'
        f'<circle class="dot" cx="{x["at"]:.1f}" cy="9" r="4.5"/></svg>'
    )


def _notes(report: Report) -> str:
    notes = []
    if report.lone:
        notes.append(
            f"Lone queries: {report.lone}. They have nothing to find in the gallery and are left out of all measures."
        )
    if report.loss is not None:
        loss = report.loss
        notes.append(
            f"{report.measures[0].label} lacks {loss.total:.4f} to 1: {loss.model:.4f} in the vectors themselves, "
            f"{loss.index:.4f} in what the index did not bring, {loss.ties:.4f} in the order of ties."
        )
    return "".join(f"<p>{escape(note)}</p>" for note in notes)


def _classes(report: Report) -> str:
    if not report.classes:
        return ""
    head, *rows = report.class_table()
    note = f"<p>Chance is that of {escape(report.measures[0].label)}.</p>"
    return f"<h2>By class</h2>{plain_table(head, rows)}{note}"


def _worst(report: Report, pictures: Pictures) -> str:
    if not report.worst:
        return ""
    label = report.measures[0].label
    figures = "".join(failure_figure(failure, label, pictures) for failure in report.worst)
    return f"<h2>Worst queries</h2><p>By {escape(label)}, the worst first.</p>{figures}"


def failure_figure(failure: Failure, label: str, pictures: Pictures, *, kind: str = "") -> str:
    """One bad query as HTML: its sheet, and in words what it is and its value of the measure `label`."""
    told = f"{failure.label or 'no label'} · {label} {failure.value:.4f} · {failure.path}"
    return figure(failure_sheet(failure, pictures), told, kind=kind)


def failure_sheet(failure: Failure, pictures: Pictures, *, side: int = _THUMBNAIL) -> Image.Image:
    """One bad query and its answer on a line."""
    query = Cell(pictures.show(Path(failure.path), side), failure.label or Path(failure.path).name)
    found = [
        Cell(pictures.show(Path(answer.path), side), answer.label or Path(answer.path).name, answer.score, answer.right)
        for answer in failure.answers
    ]
    return contact_sheet([query], found, columns=1 + len(found), side=side)


def _card(report: Report) -> str:
    rows = text_table(card_rows(report.card))
    return f"<h2>Protocol</h2><p>Two reports are compared only where these agree.</p>{rows}"


def _skipped(report: Report) -> str:
    if not report.skipped:
        return ""
    return f"<h2>Skipped pictures</h2>{text_table(skipped_rows(report.skipped))}"
