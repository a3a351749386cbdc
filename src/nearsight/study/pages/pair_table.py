"""A reproduced table of pictures and words as one HTML page."""

from __future__ import annotations

from html import escape
from itertools import groupby
from pathlib import Path

from nearsight.core.artefact import replace_file
from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS
from nearsight.study.crossmodal.tables import PairRow, PairTableDone
from nearsight.study.crossmodal.trials import RSUM, Summary
from nearsight.study.pages.html import document
from nearsight.study.pages.svg import interval_dot
from nearsight.study.pages.table import STYLE

_STYLE = (
    STYLE
    + """
.wide table { font-size: .9rem } td.size { text-align: right !important; white-space: normal; max-width: 9rem }
td.word p { max-width: 11rem; margin: 0; white-space: normal }
"""
)
_HEAD = (
    "row", "size", "published<br>losses", "published<br>accuracy", "losses<br>train / val", "triplet<br>accuracy",
    "image-to-text<br>R@1 / 5 / 10", "text-to-image<br>R@1 / 5 / 10", "rSum", "minutes",
)  # fmt: skip


def pair_table_page(table: PairTableDone) -> str:
    """The whole document: what was published beside what was measured, and rSum as a bar with chance as a line."""
    top = axis_top([row.measured for row in table.rows])
    lines = []
    for _, some in groupby(table.rows, key=lambda row: (row.title, row.recipe)):
        rows = list(some)
        for number, row in enumerate(rows):
            lines.append(_line(row, table, top, rows if number == 0 else []))
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    body = (
        f"<h1>{escape(table.title)}</h1><p>{escape(table.name)}: what was published beside what was measured on "
        f"{escape(table.data)}. R@k are percent, rSum is their sum both ways, at most 600. In the bars: rSum with its "
        "interval (blue) and that of random rankings (yellow).</p>"
        f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>{notes}'
    )
    return document(table.title, body, style=_STYLE)


def write_pair_table_page(table: PairTableDone, path: Path) -> None:
    """The page at `path`, whole or not at all. Raises WriteFailed."""
    replace_file(path, pair_table_page(table).encode("utf-8", "replace"))


def axis_top(rows: list[Summary]) -> float:
    """Where an axis for the rSum of some rows ends."""
    return max([50.0, *(row.rsum.high for row in rows if row.rsum is not None)]) * 1.05


def rsum_cell(found: Summary, top: float) -> str:
    """rSum with its interval, and both as a bar, as a cell; why there is none where every seed failed."""
    if found.rsum is None:
        return f'<td class="text">{escape("; ".join(found.failed))}</td>'
    at = found.rsum
    drawn = interval_dot(
        at.value, at.low, at.high, at.floor, top=top, told=f"rSum {at.value:.1f}, {at.floor:.1f} by chance"
    )
    several = f"{len(found.seeds)} seeds" if len(found.seeds) > 1 else "95%"
    return f"<td><b>{found.told(RSUM)}</b> <small>{at.low:.1f} – {at.high:.1f}, {several}</small><br>{drawn}</td>"


def remarks(found: Summary) -> str:
    """What the doctor found, and which seeds failed, under a row's title."""
    told = [*found.findings, *(found.failed if found.figures else ())]
    return f'<br><span class="findings">{escape(", ".join(told))}</span>' if told else ""


def _line(row: PairRow, table: PairTableDone, top: float, group: list[PairRow]) -> str:
    found = row.measured
    first = ""
    if group:
        note = f"<p><small>{escape(row.note)}</small></p>" if row.note else ""
        told = f"{escape(row.title)}<br><small>{escape(row.recipe)}</small>{note}"
        first = f'<td class="word" rowspan="{len(group)}">{told}</td>'
    cells = "".join(
        f"<td>{escape(told)}</td>"
        for told in (
            row.published_losses(), row.published_accuracy(), row.losses(), found.told(table.accuracy, ".3f"),
            found.recalls(TO_TEXTS), found.recalls(TO_IMAGES),
        )
    )  # fmt: skip
    return (
        f'<tr{" class=row" if group else ""}>{first}<td class="size">{row.dim}{remarks(found)}</td>{cells}'
        f"{rsum_cell(found, top)}<td>{found.seconds / 60:.1f}</td></tr>"
    )
