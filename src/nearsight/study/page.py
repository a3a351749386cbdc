"""A report as one HTML page that needs nothing else: no other host, no script, thumbnails inside."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path

from PIL import Image

from nearsight.core.artefact import replace_file
from nearsight.study.pictures import Pictures
from nearsight.study.report import Failure, Report, Row, place, share
from nearsight.study.sheet import Cell, contact_sheet

_THUMBNAIL = 132
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e22; --faint: #646a73; --line: #dcdde0; --paper: #fafaf8; --bar: #2e5caa;
  --chance: #c9a227; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9e9ea; --faint: #a2a7af; --line: #3a3d43; --paper: #17181b;
  --bar: #7ba4e8; --chance: #e2c04f; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 74rem;
  margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { font-size: 1.2rem; margin-top: 2.6rem }
p, caption, figcaption { color: var(--faint); text-align: left }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th { font-weight: 600; color: var(--faint); white-space: nowrap !important }
th:first-child, td:first-child, td.text { text-align: left; white-space: normal; overflow-wrap: anywhere }
figure { margin: 1.2rem 0 } figure img { max-width: 100%; height: auto; border-radius: 4px }
svg { vertical-align: middle } .line { stroke: var(--line) } .span { stroke: var(--bar) } .dot { fill: var(--bar) }
.chance { stroke: var(--chance) }
"""


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
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)} · nearsight</title><style>{_STYLE}</style></head>"
    )
    return f"{head}<body>{''.join(parts)}</body></html>\n"


def write_page(report: Report, path: Path, pictures: Pictures) -> None:
    """The page at `path`, whole or not at all. Raises WriteFailed."""
    replace_file(path, page(report, pictures).encode("utf-8", "replace"))


def _measures(report: Report) -> str:
    rows = []
    for row in report.measures:
        show = share if row.unit == "share" else place
        rows.append(
            f"<tr><td>{escape(row.label)}</td><td><b>{show(row.value)}</b></td>"
            f"<td>{show(row.low)} – {show(row.high)}</td><td>{show(row.floor)}</td>"
            f'<td>{_bar(row)}</td><td class="text">{escape(row.definition)}</td></tr>'
        )
    return (
        '<h2>Measures</h2><div class="wide"><table><tr><th>measure</th><th>value</th><th>95% interval</th>'
        f"<th>chance</th><th></th><th style='text-align:left'>definition</th></tr>{''.join(rows)}</table></div>"
        "<p>The interval is a bootstrap over queries. The yellow line is what random rankings would give.</p>"
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
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    names = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    note = f"<p>Chance is that of {escape(report.measures[0].label)}.</p>"
    return f'<h2>By class</h2><div class="wide"><table><tr>{names}</tr>{lines}</table></div>{note}'


def _worst(report: Report, pictures: Pictures) -> str:
    if not report.worst:
        return ""
    label = report.measures[0].label
    figures = []
    for failure in report.worst:
        sheet = failure_sheet(failure, pictures)
        told = f"{failure.label or 'no label'} · {label} {failure.value:.4f} · {failure.path}"
        figures.append(
            f'<figure><img alt="{escape(told)}" width="{sheet.width}" height="{sheet.height}" src="{_data(sheet)}">'
            f"<figcaption>{escape(told)}</figcaption></figure>"
        )
    return f"<h2>Worst queries</h2><p>By {escape(label)}, the worst first.</p>{''.join(figures)}"


def failure_sheet(failure: Failure, pictures: Pictures, *, side: int = _THUMBNAIL) -> Image.Image:
    """One bad query and its answer on a line."""
    query = Cell(pictures.show(Path(failure.path), side), failure.label or Path(failure.path).name)
    found = [
        Cell(pictures.show(Path(answer.path), side), answer.label or Path(answer.path).name, answer.score, answer.right)
        for answer in failure.answers
    ]
    return contact_sheet([query], found, columns=1 + len(found), side=side)


def _card(report: Report) -> str:
    rows = []
    for name, value in report.card.to_json().items():
        if name == "metrics":
            continue  # told beside the measures
        if isinstance(value, dict):
            value = ", ".join(f"{key} {number}" for key, number in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        rows.append(
            f'<tr><td>{escape(name.replace("_", " "))}</td><td class="text">{escape(str(value)) or "–"}</td></tr>'
        )
    return f"<h2>Protocol</h2><p>Two reports are compared only where these agree.</p><table>{''.join(rows)}</table>"


def _skipped(report: Report) -> str:
    if not report.skipped:
        return ""
    rows = "".join(
        f'<tr><td>{escape(event.path)}</td><td class="text">{escape(event.code)}</td>'
        f'<td class="text">{escape(event.why)}</td></tr>'
        for event in report.skipped
    )
    return f"<h2>Skipped pictures</h2><table>{rows}</table>"


def _data(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
