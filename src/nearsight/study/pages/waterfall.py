"""The way from a published recipe to ours as one HTML page: a chart of what each change gives, and the table."""

from __future__ import annotations

from html import escape
from pathlib import Path

from nearsight.core.artefact import replace_file
from nearsight.study.crossmodal.report import TO_IMAGES, TO_TEXTS
from nearsight.study.crossmodal.waterfall import Stage, Waterfall
from nearsight.study.pages import svg
from nearsight.study.pages.html import document
from nearsight.study.pages.pair_table import axis_top, remarks, rsum_cell
from nearsight.study.pages.svg import Scale, ticks
from nearsight.study.pages.table import STYLE

_STYLE = svg.STYLE + STYLE + "figure.chart { max-width: 44rem } td.changed { font-size: .84rem; color: var(--faint) }"
_ROW, _FOOT, _EDGE = 36, 22, 10
_HEAD = (
    "with all above", "image-to-text<br>R@1 / 5 / 10", "text-to-image<br>R@1 / 5 / 10", "rSum", "gain",
    "seconds", "what is changed",
)  # fmt: skip


def waterfall_page(found: Waterfall) -> str:
    """The whole document."""
    top = axis_top([stage.measured for stage in found.stages])
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    lines = "".join(_line(stage, top) for stage in found.stages)
    notes = "".join(f"<p>{escape(note)}</p>" for note in found.notes)
    title = "From the report's recipe to ours"
    body = (
        f"<h1>{title}</h1><p>One change a row, measured on {escape(found.data)}. rSum is the sum of R@1, R@5 and R@10 "
        "both ways in percent, at most 600. In the chart a bar is what a change gives (green) or costs (red); the line "
        "on its end is the interval; the yellow line is what random rankings would give.</p>"
        f'{_chart(found.stages, top)}<div class="wide"><table><tr>{head}</tr>{lines}</table></div>{notes}'
    )
    return document(title, body, style=_STYLE)


def write_waterfall_page(found: Waterfall, path: Path) -> None:
    """The page at `path`, whole or not at all. Raises WriteFailed."""
    replace_file(path, waterfall_page(found).encode("utf-8", "replace"))


def _line(stage: Stage, top: float) -> str:
    found = stage.measured
    gain = "" if stage.gain is None else f"{stage.gain:+.1f}"
    return (
        f"<tr><td>{escape(stage.title)}{remarks(found)}</td><td>{found.recalls(TO_TEXTS)}</td>"
        f"<td>{found.recalls(TO_IMAGES)}</td>{rsum_cell(found, top)}<td>{gain}</td><td>{found.seconds:.0f}</td>"
        f'<td class="text changed">{"<br>".join(map(escape, stage.changed))}</td></tr>'
    )


def _chart(stages: tuple[Stage, ...], top: float) -> str:
    """A row a stage: its name above, below it the bar from the row before. As wide as a phone, so that it can be read
    on one."""
    x = Scale(0, top, _EDGE, svg.WIDTH - _EDGE)
    height = _ROW * len(stages) + _FOOT
    parts = []
    for value in ticks(0, top, 5):
        at = f"{x(value):.1f}"
        parts.append(f'<line class="line" x1="{at}" x2="{at}" y1="0" y2="{height - _FOOT}"/>')
        parts.append(f'<text x="{at}" y="{height - 6}" text-anchor="middle">{value:g}</text>')
    floors = [stage.measured.rsum.floor for stage in stages if stage.measured.rsum is not None]
    if floors:
        at = f"{x(floors[0]):.1f}"
        parts.append(f'<line class="mark" x1="{at}" x2="{at}" y1="0" y2="{height - _FOOT}"/>')
    parts += [_bar(stage, x, _ROW * number) for number, stage in enumerate(stages)]
    told = ", ".join(f"{stage.title} {stage.measured.told('rSum')}" for stage in stages)
    return f'<figure class="chart">{svg.svg(escape(f"rSum: {told}"), "".join(parts), height=height)}</figure>'


def _bar(stage: Stage, x: Scale, top: int) -> str:
    rsum = stage.measured.rsum
    end = "failed" if rsum is None else f"{rsum.value:.1f}"
    told = end if stage.gain is None else f"{end} ({stage.gain:+.1f})"
    words = (
        f'<text class="over" x="{_EDGE}" y="{top + 14}">{escape(stage.title)}</text>'
        f'<text class="over" x="{svg.WIDTH - _EDGE}" y="{top + 14}" text-anchor="end">{told}</text>'
    )
    if rsum is None:
        return words
    gain = rsum.value if stage.gain is None else stage.gain
    kind = "stood" if stage.gain is None else "rose" if gain >= 0 else "fell"
    left, right = sorted((x(rsum.value - gain), x(rsum.value)))
    return (
        f'{words}<rect class="{kind} spread" x="{left:.1f}" width="{max(right - left, 1):.1f}" y="{top + 20}" '
        f'height="11" rx="2"/><line class="{kind}" stroke-width="2.5" x1="{x(rsum.value):.1f}" '
        f'x2="{x(rsum.value):.1f}" y1="{top + 19}" y2="{top + 32}"/><line class="span" stroke-width="2" '
        f'x1="{x(rsum.low):.1f}" x2="{x(rsum.high):.1f}" y1="{top + 25.5}" y2="{top + 25.5}"/>'
    )
