"""A reproduced table as one HTML page."""

from __future__ import annotations

from html import escape
from itertools import groupby
from pathlib import Path

from nearsight.core.artefact import replace_file
from nearsight.study.pages.html import document
from nearsight.study.pages.svg import interval_dot
from nearsight.study.training.reproduce import Cell, Table

STYLE = """
td.word { text-align: left; white-space: nowrap } tr.row td { border-top: 2px solid var(--line) }
td.value { font-weight: 600 } .findings { color: var(--other) }
td.note { max-width: 26rem; color: var(--faint); font-size: .88rem }
"""
"""Of every page with a table of rows that were trained."""
_OWN = "th:nth-child(2), th:nth-child(3) { text-align: left }"


def table_page(table: Table) -> str:
    """The whole document: a bar a figure, the published value as a ring on it, chance as a line."""
    lines = []
    for _, some in groupby(table.cells, key=lambda cell: cell.row):
        cells = list(some)
        for number, cell in enumerate(cells):
            lines.append(_line(cell, len(cells) if number == 0 else 0))
    head = "".join(
        f"<th>{name}</th>"
        for name in ("row", "searched by", "protocol", "published", "measured", "interval", "", "P@1", "minutes", "")
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    body = (
        f"<h1>{escape(table.title)}</h1><p>{escape(table.name)}: what was published beside what was measured. "
        "In the bars: measured with its interval (blue), published (ring), chance (yellow).</p>"
        f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>{notes}'
    )
    return document(table.title, body, style=STYLE + _OWN)


def write_table_page(table: Table, path: Path) -> None:
    """The page at `path`, whole or not at all. Raises WriteFailed."""
    replace_file(path, table_page(table).encode())


def _line(cell: Cell, span: int) -> str:
    several = f"{len(cell.seeds)} seeds" if len(cell.seeds) > 1 else "95%"
    first = ""
    last = ""
    if span:
        found = f'<br><span class="findings">{escape(", ".join(cell.findings))}</span>' if cell.findings else ""
        told = f"{escape(cell.row)}<br><small>{escape(cell.recipe)}</small>{found}"
        first = f'<td class="word" rowspan="{span}">{told}</td>'
        last = f'<td class="text note" rowspan="{span}">{escape(cell.note)}</td>'
    published = "–" if cell.published is None else f"{cell.published:.2f}"
    bar = interval_dot(
        cell.value, cell.low, cell.high, cell.chance, top=1.0, ring=cell.published,
        told=f"{cell.value:.3f} measured, {cell.chance:.3f} chance",
    )  # fmt: skip
    return (
        f"<tr{' class=row' if span else ''}>{first}"
        f'<td class="word">{escape(cell.engine)}</td><td class="word">{escape(cell.protocol)}</td>'
        f'<td>{published}</td><td class="value">{cell.value:.3f}</td>'
        f"<td>{cell.low:.3f} – {cell.high:.3f} <small>{several}</small></td><td>{bar}</td>"
        f"<td>{cell.first:.3f}</td><td>{cell.minutes:.1f}</td>{last}</tr>"
    )
