"""Trees and undergrowth."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from PIL import ImageDraw

from nearsight.data.drawing.light import RGB, Light, vary
from nearsight.data.drawing.paint import Canvas, Point, ToPixels
from nearsight.data.drawing.scene import Scene

_LEAVES: dict[str, tuple[tuple[RGB, ...], ...]] = {
    "summer": (((14, 30, 14), (44, 82, 30), (126, 158, 66)), ((18, 34, 20), (58, 92, 42), (150, 170, 84))),
    "spring": (((24, 48, 18), (86, 132, 44), (186, 206, 96)), ((40, 52, 30), (120, 150, 70), (224, 214, 170))),
    "autumn": (((52, 24, 12), (158, 82, 24), (236, 168, 58)), ((50, 20, 12), (150, 52, 26), (226, 110, 50))),
    "winter": (((30, 38, 40), (104, 112, 116), (226, 232, 240)), ((36, 40, 44), (128, 134, 140), (238, 242, 248))),
}
_GRASS: dict[str, tuple[RGB, ...]] = {
    "summer": ((34, 52, 20), (86, 116, 42), (146, 164, 78)),
    "spring": ((38, 70, 24), (98, 146, 50), (168, 196, 92)),
    "autumn": ((66, 52, 24), (134, 112, 52), (190, 168, 96)),
    "winter": ((176, 186, 202), (222, 228, 236), (248, 250, 254)),
}
BARK: RGB = (74, 56, 42)


def leaves(season: str, chance: random.Random) -> tuple[RGB, ...]:
    """A foliage ramp of the season, dark to bright, of this tree's own shade."""
    k = chance.uniform(0.85, 1.12)
    r, g, b = (1 + chance.uniform(-0.1, 0.1) for _ in range(3))
    return tuple((c[0] * k * r, c[1] * k * g, c[2] * k * b) for c in chance.choice(_LEAVES[season]))


def grass(scene: Scene, chance: random.Random) -> tuple[RGB, ...]:
    """The ramp of a meadow; white where snow lies."""
    k = chance.uniform(0.88, 1.12)
    return tuple((c[0] * k, c[1] * k, c[2] * k) for c in _GRASS["winter" if scene.snowy else scene.season])


def crown(
    canvas: Canvas, light: Light, x: float, y: float, rx: float, ry: float, colours: tuple[RGB, ...], depth: float
) -> None:
    """A mass of leaves around (x, y)."""
    chance = canvas.chance
    blobs = [(x, y, rx * 0.8, ry * 0.8)]
    for step in range(17):
        angle, r = step * 2.4, chance.uniform(0.62, 0.86)
        size = chance.uniform(0.16, 0.34)
        blobs.append((x + math.cos(angle) * rx * r, y + math.sin(angle) * ry * r, rx * size, ry * size))
    canvas.textured(
        lambda pen, px: _ovals(pen, px, [(bx - a, by - b, bx + a, by + b) for bx, by, a, b in blobs]),
        (x - rx * 1.25, y - ry * 1.25, x + rx * 1.25, y + ry * 1.25),
        "leaves",
        light.ramp(colours, depth),
        shade="left" if light.side < 0 else "right",
    )


def broadleaf(canvas: Canvas, scene: Scene, light: Light, x: float, base: float, height: float, depth: float) -> None:
    """A tree with a round crown, standing at (x, base)."""
    canvas.note("tree", None, x, base)
    chance = canvas.chance
    wide = height * chance.uniform(0.26, 0.38)
    trunk = light.on(vary(BARK, chance), depth)
    canvas.shadow(x, base, wide * 1.1, height * 0.05, 0.5 if light.hard else 0.25)
    w = height * 0.028
    canvas.polygon(
        [
            (x - w * 1.3, base),
            (x - w * 0.6, base - height * 0.55),
            (x + w * 0.6, base - height * 0.55),
            (x + w * 1.3, base),
        ],
        trunk,
    )
    for lean in (-0.5, 0.45):
        canvas.line(
            [(x, base - height * 0.3), (x + lean * wide, base - height * 0.6)], trunk, max(0.6 / canvas.n, w * 0.7)
        )
    colours = leaves(scene.season, chance)
    crown(canvas, light, x, base - height * 0.66, wide, height * 0.34, colours, depth)


def pine(canvas: Canvas, scene: Scene, light: Light, x: float, base: float, height: float, depth: float) -> None:
    """A conifer: tiers of drooping branches, one side lit, snow on them in winter."""
    chance = canvas.chance
    dark = light.on(vary((24, 46, 34), chance), depth)
    lit = light.on(vary((62, 92, 58), chance), depth)
    snow = light.on((232, 238, 246), depth)
    wide = height * chance.uniform(0.17, 0.24)
    canvas.box(x - height * 0.018, base - height * 0.12, x + height * 0.018, base, light.on(BARK, depth))
    tiers = 5 if height < 0.12 else 9
    for tier in range(tiers):
        t = tier / tiers
        y0, y1 = base - height * (0.06 + 0.86 * t), base - height * min(1.0, 0.34 + 0.86 * t)
        w = wide * (1 - t) * chance.uniform(0.85, 1.1) + height * 0.012
        droop = height * 0.025
        middle = base - height * (0.1 + 0.86 * t)
        canvas.polygon(
            [(x - w, y0 + droop), (x - w * 0.5, middle), (x, y0), (x + w * 0.5, middle), (x + w, y0 + droop), (x, y1)],
            dark,
        )
        edge = -w if light.side < 0 else w
        canvas.polygon([(x + edge, y0 + droop), (x + edge * 0.45, middle), (x + edge * 0.1, y1 + droop), (x, y1)], lit)
        if scene.snowy:
            canvas.polygon([(x + edge * 0.9, y0 + droop * 0.6), (x + edge * 0.4, middle - droop), (x, y1)], snow)


def palm(canvas: Canvas, light: Light, x: float, base: float, height: float) -> None:
    """A palm that leans."""
    canvas.note("palm tree", None, x, base)
    chance = canvas.chance
    lean = chance.uniform(-0.25, 0.25) * height
    bark, leaf = light.on((112, 88, 62)), vary((52, 92, 44), chance)
    canvas.shadow(x, base, height * 0.2, height * 0.03)
    stem = [(x + lean * (t / 6) ** 2, base - height * 0.8 * t / 6) for t in range(7)]
    canvas.line(stem, bark, height * 0.028)
    top_x, top_y = stem[-1]
    for step in range(11):
        angle = math.pi * (0.05 + 0.9 * step / 10) + chance.uniform(-0.1, 0.1)
        reach, drop = height * chance.uniform(0.3, 0.4), height * chance.uniform(0.1, 0.2)
        upper = [
            (top_x + math.cos(angle) * reach * t, top_y - math.sin(angle) * reach * 0.6 * t + drop * t * t * 1.6)
            for t in (0, 0.35, 0.7, 1)
        ]
        lower = [(px, py + height * 0.045 * s) for (px, py), s in zip(upper[1:3], (1, 0.8), strict=True)]
        canvas.polygon([*upper, *reversed(lower)], light.on(leaf, 0, 0.75 + 0.5 * (step % 3) / 2))


def birch(
    canvas: Canvas, light: Light, x: float, base: float, width: float, depth: float, *, top: float = -0.02
) -> None:
    """A white trunk with dark marks, up to `top`."""
    chance = canvas.chance
    lean = chance.uniform(-0.03, 0.03)
    trunk(canvas, light, x, base, width, depth, (206, 202, 194), top=top, lean=lean)
    mark = light.on((46, 44, 44), depth)
    for _ in range(round(9 + 16 * (1 - depth))):
        t = chance.random()
        y, w = base + (top - base) * t, width * chance.uniform(0.15, 0.45)
        cx = x + lean * t + chance.choice((-1, 1)) * (width / 2 - w * 0.5)
        canvas.oval(cx, y, w * 0.5, width * chance.uniform(0.04, 0.12), mark)


def trunk(
    canvas: Canvas,
    light: Light,
    x: float,
    base: float,
    width: float,
    depth: float,
    colour: RGB = BARK,
    *,
    top: float = -0.02,
    lean: float = 0.0,
) -> None:
    """A straight stem, darker on the side away from the light."""
    taper = width * 0.36
    half = width / 2
    shape: list[Point] = [
        (x - half * 1.5, base),
        (x - half, base - width * 0.8),
        (x + lean - taper, top),
        (x + lean + taper, top),
        (x + half, base - width * 0.8),
        (x + half * 1.5, base),
    ]
    dark, bright = (c * 0.5 for c in colour), (min(255.0, c * 1.35) for c in colour)
    colours = [tuple(dark), colour, tuple(bright)]
    canvas.polygon_textured(
        shape,
        "plaster",
        light.ramp(colours, depth),  # type: ignore[arg-type]
        shade="left" if light.side < 0 else "right",
        zoom=0.5,
    )


def hedge(canvas: Canvas, scene: Scene, light: Light, y: float, height: float, depth: float, count: int = 26) -> None:
    """A far line of trees across the picture, with gaps of its own."""
    chance = canvas.chance
    colours = leaves(scene.season, chance)
    tops = [height * chance.uniform(0.35, 1.0) for _ in range(count + 1)]
    blobs = [
        (i / count + chance.uniform(-0.02, 0.02), top, chance.uniform(0.5, 1) / count) for i, top in enumerate(tops)
    ]
    canvas.textured(
        lambda pen, px: _ovals(pen, px, [(x - w * 1.6, y - top, x + w * 1.6, y + top * 0.6) for x, top, w in blobs]),
        (0, y - height, 1, y + height * 0.08),
        "leaves",
        light.ramp(colours, depth),
        shade="top",
        zoom=0.6,
    )


def tufts(canvas: Canvas, light: Light, colours: tuple[RGB, ...], y0: float, count: int = 60) -> None:
    """Blades of grass before everything, larger towards the lower edge."""
    chance = canvas.chance
    for _ in range(count):
        near = chance.random() ** 0.5
        x, y = chance.random(), y0 + (1.02 - y0) * near
        length = 0.012 + 0.035 * near
        colour = light.on(chance.choice(colours), 0, chance.uniform(0.7, 1.15))
        for _ in range(3):
            canvas.line([(x, y), (x + chance.uniform(-0.5, 0.5) * length, y - length)], colour, 0.0022)


def _ovals(pen: ImageDraw.ImageDraw, px: ToPixels, boxes: Sequence[tuple[float, float, float, float]]) -> None:
    for x0, y0, x1, y1 in boxes:
        pen.ellipse([*px([(x0, y0)])[0], *px([(x1, y1)])[0]], fill=255)
