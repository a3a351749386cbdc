"""A comparison of losses as one HTML page: the ranking, what tuning did, every trial, and the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from nearsight.core.artefact import replace_file
from nearsight.study.comparing.comparison import (
    BEST,
    BETTER,
    FAILED,
    UNCLEAR,
    WORSE,
    Comparison,
    Row,
    Trial,
    share,
    told,
)
from nearsight.study.pages.html import document, text_table
from nearsight.study.pages.svg import Scale

_STYLE = """
td.value { font-weight: 600 } small { color: var(--faint) }
.best { color: var(--gain) } .below, .failed { color: var(--loss) }
.could { color: var(--faint) } .hollow { fill: var(--paper); stroke: var(--bar); stroke-width: 1.5 }
.ring { fill: none; stroke: var(--gain); stroke-width: 2 } .seed { fill: var(--faint) } td.name { min-width: 11rem }
th.text { text-align: left }
details { margin: 1rem 0 } summary { cursor: pointer } tr.chosen td { font-weight: 600 }
"""
_KINDS = {BEST: "best", BETTER: "best", WORSE: "below", UNCLEAR: "could", FAILED: "failed"}
_TEXT = ("loss", "setting", "best setting", "searched", "doctor")
_WIDTH, _EDGE = 260, 8


def compare_page(found: Comparison) -> str:
    """The whole document."""
    title = f"Losses compared on {found.dataset}"
    body = (
        f"<h1>{escape(title)}</h1><p>{escape(_summary(found))}</p>"
        "<p>Every loss had the same trials, folds and passes over the pictures; settings were chosen on training "
        "classes alone. In the bars: test mAP with its 95% interval, each seed (grey), chance (yellow).</p>"
        f"{_ranking(found)}{_tuning(found)}{_chosen(found)}{_trials(found)}"
        f'<h2 id="protocol">Protocol</h2>{text_table([(key, value) for key, value in found.protocol.items()])}'
        + "".join(f"<p>{escape(note)}</p>" for note in found.notes)
    )
    return document(title, body, style=_STYLE)


def write_compare_page(found: Comparison, path: Path) -> None:
    """The page at `path`, whole or not at all. Raises WriteFailed."""
    replace_file(path, compare_page(found).encode())


def _summary(found: Comparison) -> str:
    best = next((row for row in found.rows if row.verdict == BEST), None)
    if best is None:
        return "No loss came to an end: every trial of every one failed."
    others = [row for row in found.rows if row.trials and row is not best]
    near = [row.name for row in others if row.verdict == UNCLEAR]
    text = f"Best: {best.name}, test mAP {share(best.value)}, chance {share(found.chance)}."
    if near:
        return f"{text} Its lead over {', '.join(near)} could be chance."
    if not others:
        return text
    few = ", though of one seed each" if all(len(row.seeds) < 2 for row in found.rows) else ""
    return f"{text} It is clearly above every other{few}."


def _ranking(found: Comparison) -> str:
    ends = [found.chance, *(end for row in found.rows for end in (row.low, row.high, *(row.spread or ())) if end)]
    x = Scale(min(ends) - 0.01, max(ends) + 0.01, _EDGE, 180 - _EDGE)
    scale = f"{max(0.0, x.low):.2f} … {min(1.0, x.high):.2f}"
    names = ("", "loss", "test mAP", scale, "95% interval", "P@1", "to the best", "validation", "minutes")
    lines = []
    for place, row in enumerate(found.rows, start=1):
        change = "– "
        if row.difference is not None:
            value, low, high = row.difference
            change = f"{value:+.3f} <small>{low:+.3f} … {high:+.3f}</small><br>"
        elif row.verdict in (BEST, FAILED):
            change = ""
        change += f'<span class="{_KINDS[row.verdict]}">{escape(row.verdict)}</span>'
        interval = "–" if row.low is None else f"{row.low:.3f} – {row.high:.3f}"
        around = ", ".join(f"{key} {value}" for key, value in row.objective.items() if key in ("sampler", "target"))
        lines.append(
            f'<tr><td>{place}</td><td class="text name">{escape(row.name)}<br><small>{escape(around)}</small></td>'
            f'<td class="value">{_three(row.value)}</td><td>{_bar(row, found.chance, x)}</td><td>{interval}</td>'
            f"<td>{_three(row.first)}</td><td>{change}</td><td>{_three(row.validation)}</td><td>{row.minutes:.1f}</td></tr>"
        )
    return _table(names, lines)


def _bar(row: Row, chance: float, x: Scale) -> str:
    """mAP on a line, the same for all rows."""
    parts = [
        f'<line class="line" x1="{_EDGE}" x2="{180 - _EDGE}" y1="10" y2="10"/>',
        f'<line class="chance" stroke-width="2" x1="{x(chance):.1f}" x2="{x(chance):.1f}" y1="3" y2="17"/>',
    ]
    if row.value is not None and row.low is not None and row.high is not None:
        parts.append(
            f'<line class="span" stroke-width="4" x1="{x(row.low):.1f}" x2="{x(row.high):.1f}" y1="10" y2="10"/>'
            f'<circle class="dot" cx="{x(row.value):.1f}" cy="10" r="4"/>'
        )
    if len(row.seeds) > 1:
        values = [seed.value for seed in row.seeds if seed.value is not None]
        parts += [f'<circle class="seed" cx="{x(value):.1f}" cy="10" r="1.8"/>' for value in values]
    return f'<svg width="180" height="20" aria-hidden="true">{"".join(parts)}</svg>'


def _tuning(found: Comparison) -> str:
    """A dot a trial, all contenders on one scale."""
    rows = [row for row in found.rows if row.trials]
    known = [trial.score for row in rows for trial in row.trials if trial.score is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    room = (high - low) * 0.06 or 0.01
    x = Scale(max(0.0, low - room), min(1.0, high + room), _EDGE, _WIDTH - _EDGE)
    lines = []
    for row in rows:
        first, best = row.trials[0].score, row.validation
        gain = "–" if first is None or best is None else f"{best - first:+.3f}"
        failed = sum(1 for trial in row.trials if trial.failed)
        lines.append(
            f'<tr><td class="text name">{escape(row.name)}</td><td>{_strip(row, x)}</td><td>{_three(first)}</td>'
            f'<td class="value">{_three(best)}</td><td>{gain}</td><td>{failed or "–"}</td></tr>'
        )
    scale = f"{x.low:.3f} … {x.high:.3f}"
    names = ("loss", f"validation mAP, {scale}", "defaults", "best", "gained", "failed")
    return (
        '<h2 id="tuning">What tuning did</h2><p>A dot a trial: hollow the defaults, ringed the best, which alone went '
        f"on to the test.</p>{_table(names, lines)}"
    )


def _strip(row: Row, x: Scale) -> str:
    parts = [f'<line class="line" x1="{_EDGE}" x2="{_WIDTH - _EDGE}" y1="11" y2="11"/>']
    for trial in reversed(row.trials):  # the defaults above all
        if trial.score is None:
            continue
        kind, at = "dot" if trial.number else "hollow", f"{x(trial.score):.1f}"
        said = escape(f"trial {trial.number}: {trial.score:.4f}; {told(trial.setting)}")
        parts.append(f'<circle class="{kind}" cx="{at}" cy="11" r="3.5"><title>{said}</title></circle>')
        if trial.number == row.best:
            parts.append(f'<circle class="ring" cx="{at}" cy="11" r="7"/>')
    name = escape(f"{row.name}: {len(row.trials)} trials by validation mAP")
    return f'<svg width="{_WIDTH}" height="22" role="img"><title>{name}</title>{"".join(parts)}</svg>'


def _chosen(found: Comparison) -> str:
    lines = []
    for row in (row for row in found.rows if row.trials):
        best = "all trials failed" if row.best is None else f"trial {row.best}: {told(row.setting)}"
        cells = (f'<td class="text">{escape(text)}</td>' for text in (best, "; ".join(row.spaces)))
        lines.append(f'<tr><td class="text name">{escape(row.name)}</td>{"".join(cells)}</tr>')
    failures = [f"{row.name}, {failure}" for row in found.rows for failure in row.failures]
    said = "".join(f'<p class="failed">{escape(failure)}</p>' for failure in failures)
    return f'<h2 id="best">Settings</h2>{_table(("loss", "best setting", "searched"), lines)}{said}'


def _trials(found: Comparison) -> str:
    """Every trial, behind a line that opens."""
    lines = [_trial(row, trial) for row in found.rows for trial in row.trials]
    names = ("loss", "trial", "setting", "validation", "folds", "pictures", "s", "doctor")
    return f"<details><summary>All {len(lines)} trials</summary>{_table(names, lines)}</details>"


def _trial(row: Row, trial: Trial) -> str:
    folds = " ".join(_three(score) for score in trial.folds)
    return (
        f'<tr{" class=chosen" if trial.number == row.best else ""}><td class="text name">{escape(row.name)}</td>'
        f'<td>{trial.number}</td><td class="text">{escape(told(trial.setting))}</td>'
        f"<td>{_three(trial.score) if trial.score is not None else 'failed'}</td><td>{folds}</td>"
        f"<td>{trial.pictures:,}</td><td>{trial.seconds:.0f}</td>"
        f'<td class="text">{escape(", ".join(trial.findings))}</td></tr>'
    )


def _table(names: Sequence[str], lines: Sequence[str]) -> str:
    head = "".join(f"<th{' class=text' if name in _TEXT else ''}>{escape(name)}</th>" for name in names)
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
