"""Small inline drawings for report pages: curves over epochs, areas, bars in table cells.

Colours are classes of the page's style, so that they follow light and dark. Every drawing says in words what it shows;
those inside tables are silent, since the numbers stand beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 22, 38

STYLE = """
figure.chart { margin: 0; padding: .9rem 1rem .6rem; background: var(--raised); border-radius: 8px }
figure.chart svg { width: 100%; height: auto; display: block } figure.chart figcaption { margin-bottom: .4rem }
figure.chart figcaption b { color: var(--ink) }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem;
  margin: 1rem 0 } .charts.two { max-width: 56rem }
svg text { font: 11px system-ui, sans-serif; fill: var(--faint); font-variant-numeric: tabular-nums }
svg text.over { paint-order: stroke; stroke: var(--raised); stroke-width: 4px; stroke-linejoin: round }
.curve { fill: none; stroke: var(--bar); stroke-width: 2; stroke-linejoin: round }
.beside { fill: none; stroke: var(--other); stroke-width: 2; stroke-dasharray: 4 2 } .mark { stroke: var(--chance);
  stroke-width: 1.5; stroke-dasharray: 5 3 } .chosen { fill: var(--raised); stroke: var(--gain); stroke-width: 2.5 }
.pick { stroke: var(--gain); stroke-dasharray: 2 3 } svg text.pick { stroke-dasharray: none; fill: var(--gain) }
.area { stroke-width: 1.5; fill-opacity: .3 } .area.a { fill: var(--bar); stroke: var(--bar) }
.area.b { fill: var(--other); stroke: var(--other); stroke-dasharray: 4 2 }
.was { fill: var(--paper); stroke: var(--faint); stroke-width: 2 }
.rose { stroke: var(--gain); fill: var(--gain) } .fell { stroke: var(--loss); fill: var(--loss) }
.stood { stroke: var(--faint); fill: var(--faint) } .spread { stroke: none; fill-opacity: .35 }
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high` onto pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        span = self.high - self.low
        return self.start + (self.end - self.start) * ((value - self.low) / span if span else 0.5)

    @classmethod
    def across(cls, low: float, high: float) -> Scale:
        """From left to right of the plot."""
        return cls(low, high, LEFT, WIDTH - RIGHT)

    @classmethod
    def up(cls, low: float, high: float) -> Scale:
        """From the bottom to the top of the plot."""
        return cls(low, high, HEIGHT - BOTTOM, TOP)


def svg(title: str, inside: str, *, width: int = WIDTH, height: int = HEIGHT) -> str:
    """A drawing that scales with its place. `title` is what it shows, escaped already."""
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"><title>{title}</title>'
        f"{inside}</svg>"
    )


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers within [low, high], `about` as many as asked for."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    rough = span / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * by for by in (1, 2, 2.5, 5, 10) if power * by >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def whole_ticks(low: int, high: int, about: int) -> list[float]:
    """The first whole number, and round ones behind it that do not crowd it."""
    step = max(1.0, *(ticks(0, max(1, high - low), about)[1:2] or [1.0]))
    step = math.ceil(step)
    return [low, *(n for n in range(step, high + 1, step) if n - low > step / 2)]


def axes(x: Scale, y: Scale, across: Iterable[float], up: Iterable[float], *, below: str) -> str:
    """Grid lines with their numbers, and what the horizontal axis is."""
    parts = []
    for value in up:
        parts.append(f'<line class="line" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{_number(value)}</text>')
    for value in across:
        parts.append(
            f'<text x="{x(value):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{_number(value)}</text>'
        )
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 4}" text-anchor="middle">{below}</text>')
    return "".join(parts)


def curve(
    name: str,
    epochs: Sequence[int],
    values: Sequence[float | None],
    *,
    show: Callable[[float], str] = lambda value: f"{value:.4g}",
    mark: tuple[str, float] | None = None,
    chosen: int | None = None,
    within: tuple[float, float] | None = None,
    beside: tuple[str, Sequence[float | None]] | None = None,
) -> str:
    """One quantity over epochs as a figure, with its first and last value in words.

    `beside` is another on the same axes, dashed, with its name. `mark` is a level with its name (a floor), `chosen` the
    epoch that was kept, `within` bounds that the axis shows in any case. Values that are missing or not finite break
    the curve.
    """
    known, told = _known(epochs, values, show)
    other, other_told = _known(epochs, beside[1], show) if beside else ([], "")
    if beside and other:
        told += f"; {beside[0]} (dashed) {other_told}"
    title = escape(f"{name} by epoch: {told}" + (f"; {mark[0]} {show(mark[1])}" if mark else ""))
    caption = f'<figure class="chart"><figcaption><b>{escape(name)}</b> {escape(told)}</figcaption>'
    if not known:
        return f"{caption}</figure>"
    levels = [v for _, v in [*known, *other]] + ([mark[1]] if mark else []) + list(within or ())
    low, high = min(levels), max(levels)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    y = Scale.up(low - (0 if low == 0 else room), high + room)
    x = Scale.across(min(epochs), max(epochs))
    across = whole_ticks(min(epochs), max(epochs), 7)
    parts = [axes(x, y, across, ticks(y.low, y.high, 4), below="epoch")]
    if mark:
        level = y(mark[1])
        parts.append(f'<line class="mark" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>')
        over = level - 5 if level > TOP + 12 else level + 14
        parts.append(
            f'<text class="over" x="{WIDTH - RIGHT}" y="{over:.1f}" text-anchor="end">{escape(mark[0])}</text>'
        )
    if beside:
        parts += [f'<polyline class="beside" points="{run}"/>' for run in _runs(epochs, beside[1], x, y)]
    parts += [f'<polyline class="curve" points="{run}"/>' for run in _runs(epochs, values, x, y)]
    for epoch, value in known if len(known) <= 40 else known[-1:]:
        parts.append(
            f'<circle class="dot" cx="{x(epoch):.1f}" cy="{y(value):.1f}" r="2.6">'
            f"<title>epoch {epoch}: {escape(show(value))}</title></circle>"
        )
    parts += [_pick(epoch, value, x, y) for epoch, value in known if epoch == chosen]
    return f"{caption}{svg(title, ''.join(parts))}</figure>"


def change_bar(before: float, after: float, kind: str, *, floor: float | None = None) -> str:
    """From one share to another on a line from 0 to 1: hollow before, filled after. ``kind``: rose, fell or stood."""
    a, b = 5 + 150 * before, 5 + 150 * after
    tick = "" if floor is None else _tick(5 + 150 * floor, 3, 15)
    return (
        f'<svg width="160" height="18" aria-hidden="true"><line class="line" x1="5" x2="155" y1="9" y2="9"/>{tick}'
        f'<line class="{kind}" stroke-width="3" x1="{a:.1f}" x2="{b:.1f}" y1="9" y2="9"/>'
        f'<circle class="was" cx="{a:.1f}" cy="9" r="3.5"/><circle class="{kind}" cx="{b:.1f}" cy="9" r="4.5"/></svg>'
    )


def interval_bars(
    before: tuple[float, float, float], after: tuple[float, float, float], kind: str, floor: float
) -> str:
    """Two shares (value, low, high) on lines from 0 to 1, before above after, with the level of chance."""
    parts = ['<line class="line" x1="5" x2="205" y1="15" y2="15"/>', _tick(5 + 200 * floor, 2, 28)]
    for top, style, (value, low, high) in ((4, "stood", before), (16, kind, after)):
        a, b, at = (5 + 200 * end for end in (low, high, value))
        parts.append(
            f'<rect class="{style} spread" x="{a:.1f}" width="{max(b - a, 1):.1f}" y="{top}" height="9" rx="2"/>'
            f'<line class="{style}" stroke-width="2.5" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{top + 9}"/>'
        )
    return f'<svg width="210" height="30" aria-hidden="true">{"".join(parts)}</svg>'


def interval_dot(
    value: float, low: float, high: float, floor: float, *, top: float, told: str, ring: float | None = None
) -> str:
    """A value on a line from 0 to `top` with its interval, the level of chance, and a ring at another value, for a
    table's cell. `told`: what it shows."""

    def x(at: float) -> float:
        return 5 + 170 * at / top

    around = (
        ""
        if ring is None
        else f'<circle cx="{x(ring):.1f}" cy="9" r="5" fill="none" stroke="var(--other)" stroke-width="2"/>'
    )
    return (
        f'<svg width="180" height="18" role="img"><title>{escape(told)}</title>'
        '<line class="line" x1="5" x2="175" y1="9" y2="9"/>'
        f"{_tick(x(floor), 2, 16)}"
        f'<line class="span" stroke-width="4" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="9" y2="9"/>'
        f'<circle class="dot" cx="{x(value):.1f}" cy="9" r="4"/>{around}</svg>'
    )


def _tick(at: float, top: int, bottom: int) -> str:
    return f'<line class="chance" stroke-width="2" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{bottom}"/>'


def _pick(epoch: int, value: float, x: Scale, y: Scale) -> str:
    """A ring around the chosen epoch, and its number where there is room."""
    at, level = x(epoch), y(value)
    anchor = "end" if at > WIDTH - 90 else "start" if at < LEFT + 45 else "middle"
    return (
        f'<line class="pick" x1="{at:.1f}" x2="{at:.1f}" y1="{level:.1f}" y2="{HEIGHT - BOTTOM}"/>'
        f'<circle class="chosen" cx="{at:.1f}" cy="{level:.1f}" r="5"/>'
        f'<text class="over pick" x="{at:.1f}" y="{max(TOP - 8, level - 10):.1f}" text-anchor="{anchor}">'
        f"chosen: {epoch}</text>"
    )


def _known(
    epochs: Sequence[int], values: Sequence[float | None], show: Callable[[float], str]
) -> tuple[list[tuple[int, float]], str]:
    """The values that can be drawn with their epochs, and the first and last of them in words."""
    there = [(e, v) for e, v in zip(epochs, values, strict=True) if v is not None]
    known = [(e, v) for e, v in there if math.isfinite(v)]
    ends = [show(v) for _, v in known]
    told = " → ".join([*ends[:1], *ends[1:][-1:]]) or "no value"
    if odd := [e for e, v in there if not math.isfinite(v)]:
        told += f"; not finite at {len(odd)} of {len(epochs)} epochs, first at {odd[0]}"
    return known, told


def _runs(epochs: Sequence[int], values: Sequence[float | None], x: Scale, y: Scale) -> list[str]:
    """The points of each stretch of two or more neighbouring values."""
    runs: list[list[str]] = [[]]
    for epoch, value in zip(epochs, values, strict=True):
        if value is None or not math.isfinite(value):
            runs.append([])
        else:
            runs[-1].append(f"{x(epoch):.1f},{y(value):.1f}")
    return [" ".join(run) for run in runs if len(run) > 1]


def _number(value: float) -> str:
    """As short as it can be said: 0.25, 3e-4."""
    if value == 0 or abs(value) >= 1e-3:
        return f"{value:.6g}"
    mantissa, _, power = f"{value:e}".partition("e")
    return f"{float(mantissa):.3g}e{int(power)}"
