"""Drawings for docs/results: one SVG file each, light on its own ground, to be read wherever it is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from nearsight.study.pages.svg import Scale

_WIDTH, _HEIGHT = 860, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 190, 40, 48
_COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#8a6d00",
    "#56b4e9",
    "#7a4fbf",
    "#5a5a5a",
    "#a02c2c",
    "#1f7a7a",
)
_LINE = 15
"""Pixels between two names."""


class Curve(NamedTuple):
    """One who was measured: where on the axes, and whether the line is drawn strong. One point is drawn as a mark."""

    name: str
    across: Sequence[float]
    up: Sequence[float]
    strong: bool


def curves(path: Path, found: Sequence[Curve], *, title: str, across: str, up: str, shares: Sequence[float]) -> None:
    """Shares across, upwards a cost on a logarithmic scale; what falls short of the first of `shares` is cut off."""
    costs = [cost for one in found for share, cost in zip(one.across, one.up, strict=True) if share >= shares[0]]
    low, high = 10 ** math.floor(math.log10(min(costs))), 10 ** math.ceil(math.log10(max(costs)))
    x = Scale(_bent(shares[0]), _bent(shares[-1]), _LEFT, _WIDTH - _RIGHT)
    y = Scale(math.log10(low), math.log10(high), _HEIGHT - _BOTTOM, _TOP)
    parts = [_grid(x, y, shares, low, high, across, up)]
    names = []
    for one, colour in zip(found, _COLOURS * len(found), strict=False):
        points = [
            (x(_bent(share)), y(math.log10(cost)))
            for share, cost in zip(one.across, one.up, strict=True)
            if share >= shares[0]
        ]
        if points:
            parts.append(_drawn(points, colour, one.strong))
            names.append((points[-1], one, colour))
    parts.append(_named(names))
    head = f'<text x="{_LEFT}" y="20" class="head">{escape(title)}</text>'
    style = "text { font: 12px system-ui, sans-serif; fill: #333 } .head { font-weight: 600; font-size: 14px }"
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img"><title>{escape(title)}</title><style>{style}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{head}{"".join(parts)}</svg>\n'
    )


def _bent(share: float) -> float:
    """Near 1 the steps are drawn wider: what is missing counts, on a logarithmic scale down to a thousandth."""
    return -math.log10(max(1 - share, 1e-3))


def _grid(x: Scale, y: Scale, shares: Sequence[float], low: float, high: float, across: str, up: str) -> str:
    parts = []
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        at = y(power)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for share in shares:
        at = x(_bent(share))
        parts.append(f'<line y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" x1="{at:.1f}" x2="{at:.1f}" stroke="#eee"/>')
        told = f"{share:g}" if share < 1 else "≥ 0.999"
        parts.append(f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{told}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>')
    upright = f"translate(16 {(_TOP + _HEIGHT - _BOTTOM) / 2:.0f}) rotate(-90)"
    parts.append(f'<text transform="{upright}" text-anchor="middle">{escape(up)}</text>')
    return "".join(parts)


def _drawn(points: Sequence[tuple[float, float]], colour: str, strong: bool) -> str:
    line = " ".join(f"{at:.1f},{height:.1f}" for at, height in points)
    thick = 3 if strong else 1.5
    marks = "".join(
        f'<circle cx="{at:.1f}" cy="{height:.1f}" r="{thick + 1.5}" fill="{colour}"/>' for at, height in points
    )
    return f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="{thick}"/>{marks}'


def _named(names: Sequence[tuple[tuple[float, float], Curve, str]]) -> str:
    """The names at the right, in the order in which the curves end, none over another."""
    ordered = sorted(names, key=lambda one: one[0][1])
    level, levels = float(_TOP), []
    for (_, height), _, _ in ordered:
        level = max(level + _LINE, height)
        levels.append(level)
    over = max(0.0, levels[-1] - (_HEIGHT - _BOTTOM))
    parts = []
    for ((at, height), one, colour), found in zip(ordered, levels, strict=True):
        place = found - over
        start = _WIDTH - _RIGHT + 14
        weight = "; font-weight: 700" if one.strong else ""
        parts.append(
            f'<line x1="{at:.1f}" y1="{height:.1f}" x2="{start}" y2="{place:.1f}" stroke="{colour}" '
            f'stroke-width=".7" stroke-dasharray="2 2"/><text x="{start + 4}" y="{place + 4:.1f}" '
            f'style="fill: {colour}{weight}">{escape(one.name)}</text>'
        )
    return "".join(parts)
