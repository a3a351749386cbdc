"""Tall buildings."""

from __future__ import annotations

from PIL import Image

from nearsight.data.drawing import plants
from nearsight.data.drawing.houses import house_front
from nearsight.data.drawing.land import fliers, places, water
from nearsight.data.drawing.light import RGB, Light, mix, vary
from nearsight.data.drawing.paint import Canvas, Point
from nearsight.data.drawing.scene import Scene
from nearsight.data.drawing.sky import paint_sky
from nearsight.data.drawing.walls import (
    flat,
    quad,
    wall,
    windows,
)

_FACE: dict[str, tuple[RGB, ...]] = {
    "glass": ((92, 122, 150), (70, 104, 122), (120, 150, 160), (84, 92, 112)),
    "stone": ((196, 184, 162), (172, 166, 158), (214, 204, 188)),
    "brick": ((150, 82, 64), (128, 76, 62), (168, 104, 80)),
}


def tall_building(canvas: Canvas, scene: Scene, light: Light) -> None:
    """Towers: a skyline over a river, a park or roofs; or one to three from below."""
    chance, foot = canvas.chance, scene.horizon
    paint_sky(canvas, scene, light, reach=foot)
    count = scene.count("tower")
    if scene.view == "below":
        for x in places(canvas, count, 0.06, 0.94):
            wide = min(0.34, 0.72 / count) * chance.uniform(0.8, 1.0)
            _tower(
                canvas,
                scene,
                light,
                x,
                wide / 2,
                1.06,
                chance.uniform(0.06, 0.22),
                0.05,
                taper=0.62,
                lean=(0.5 - x) * 0.35,
            )
        fliers(canvas, scene, light, "bird", (40, 40, 44), 0.3)
        return
    for _ in range(16):  # the low town behind, in the haze
        x, w, h = chance.uniform(-0.05, 1.0), chance.uniform(0.05, 0.12), chance.uniform(0.04, 0.12)
        block = vary((134, 134, 138), chance, 0.2)
        plane = flat(x, x + w, foot, foot - h)
        canvas.polygon(quad(plane, 0, 0, 1, 1), light.on(block, 0.8))
        windows(canvas, light, plane, 4, 4, depth=0.8, frame=None, sills=False, lit=0.4)
    for i, x in enumerate(places(canvas, count, 0.08, 0.92)):
        half = min(0.1, 0.36 / count) * chance.uniform(0.8, 1.1)
        top = foot - chance.uniform(0.45, 0.8) * (1.0 if i == 0 else chance.uniform(0.7, 1.0)) * foot / 0.8
        _tower(canvas, scene, light, x, half, foot, max(0.06, top), 0.12 + 0.08 * i)
    _foreground(canvas, scene, light, foot)
    fliers(canvas, scene, light, "bird", (40, 40, 44), 0.3)


def _tower(
    canvas: Canvas,
    scene: Scene,
    light: Light,
    x: float,
    half: float,
    base: float,
    top: float,
    depth: float,
    *,
    taper: float = 1.0,
    lean: float = 0.0,
) -> None:
    """Two faces, one lit; a top of the scene's kind. `taper` narrows it upwards, as from below."""
    canvas.note("tower", None, x, top)
    chance, side = canvas.chance, light.side
    face = scene.details["face"] if chance.random() < 0.75 else chance.choice(tuple(_FACE))
    colour = vary(chance.choice(_FACE[face]), chance, 0.1)
    style = scene.details["top"] if chance.random() < 0.75 else "flat"
    head = x + lean
    parts = [(0.0, 1.0, 1.0)] if style != "stepped" else [(0.0, 0.6, 1.0), (0.6, 0.84, 0.74), (0.84, 1.0, 0.48)]
    lit_u = chance.uniform(0.52, 0.72)
    rows_all, columns_all = max(9, round((base - top) * 44 * 0.13 / max(half, 0.06))), chance.randint(5, 9)
    fill = chance.choice(((0.5, 0.55), (0.84, 0.42), (0.42, 0.86), (0.86, 0.84))) if face == "glass" else (0.46, 0.56)
    for v0, v1, wide in parts:

        def span(v: float, wide: float = wide) -> tuple[float, float, float]:
            y, k = base + (top - base) * v, 1 + (taper - 1) * v
            middle = x + (head - x) * v
            return middle - half * wide * k, middle + half * wide * k, y

        (a0, b0, y0), (a1, b1, y1) = span(v0), span(v1)
        cut = lit_u if side < 0 else 1 - lit_u
        for from_u, to_u, gain in ((0.0, cut, 1.1 if side < 0 else 0.66), (cut, 1.0, 0.66 if side < 0 else 1.1)):
            gain = gain if light.hard else 1 + (gain - 1) * 0.45

            def plane(
                u: float,
                v: float,
                f: float = from_u,
                t: float = to_u,
                a0: float = a0,
                b0: float = b0,
                y0: float = y0,
                a1: float = a1,
                b1: float = b1,
                y1: float = y1,
            ) -> Point:
                s = f + (t - f) * u
                low, high = a0 + (b0 - a0) * s, a1 + (b1 - a1) * s
                return (low + (high - low) * v, y0 + (y1 - y0) * v)

            wall(canvas, light, plane, face, colour, depth, gain)
            columns = max(2, round(columns_all * (to_u - from_u) * wide))
            rows = max(2, round(rows_all * (v1 - v0)))
            pane = mix(light.top, (40, 56, 74), 0.45) if face == "glass" else (56, 66, 80)
            if not light.lamps and face == "glass":
                pane = (pane[0] * 1.1, pane[1] * 1.15, pane[2] * 1.15)
            windows(
                canvas,
                light,
                plane,
                columns,
                rows,
                v0=0.01,
                v1=0.985,
                fill=fill,
                depth=depth,
                gain=gain,
                frame=None,
                pane=pane,
                lit=0.5,
                sills=False,
            )
    left, right = head - half * taper * parts[-1][2], head + half * taper * parts[-1][2]
    cap, tip = light.on(mix(colour, (60, 60, 66), 0.4), depth), (left + right) / 2
    if style == "spire":
        canvas.polygon([(left, top + 0.003), (tip, top - half * 1.1), (right, top + 0.003)], cap)
        canvas.polygon(
            [(tip, top - half * 1.1), (right, top + 0.003), (tip, top + 0.003)],
            light.on(colour, depth, 0.6 if side < 0 else 1.05),
        )
        canvas.line([(tip, top - half * 1.0), (tip, top - half * 1.7)], cap, 0.005)
    elif style == "slanted":
        canvas.polygon(
            [(left, top + 0.003), (left if side > 0 else right, top - half * 0.9), (right, top + 0.003)], cap
        )
    else:
        canvas.box(left, top - 0.01, right, top + 0.006, cap)
        if chance.random() < 0.5:
            canvas.line([(tip, top), (tip, top - half * 0.8)], cap, 0.004)


def _foreground(canvas: Canvas, scene: Scene, light: Light, foot: float) -> None:
    chance = canvas.chance
    front = scene.details["front"]
    if front == "river":
        n, line = canvas.n, round(foot * canvas.n)
        mirror = canvas.image.crop((0, max(0, 2 * line - n), n, line)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        water(canvas, light, foot, None, 0.8)
        canvas.image.paste(mirror, (0, line), Image.new("L", mirror.size, 120))
        for _ in range(30):
            x, y, w = chance.random(), chance.uniform(foot + 0.01, 0.99), chance.uniform(0.03, 0.12)
            canvas.line([(x, y), (x + w, y)], mix(light.low, light.top, chance.random()), 0.002)
        canvas.box(0, foot - 0.006, 1, foot + 0.006, light.on((96, 94, 92), 0.2))
    elif front == "park":
        canvas.polygon_textured(
            [(0, foot), (1, foot), (1, 1), (0, 1)], "grass", light.ramp(plants.grass(scene, chance)), shade="top"
        )
        for row in range(2):
            for x in places(canvas, 8 - 2 * row, -0.05, 1.05):
                h = chance.uniform(0.14, 0.2) * (1 + 0.5 * row)
                plants.broadleaf(canvas, scene, light, x, foot + 0.05 + 0.12 * row, h, 0.12 * (1 - row))
    else:
        canvas.box(0, foot, 1, 1, light.on((84, 78, 74), 0.1))
        for row in range(2):
            x = -0.1
            while x < 1:
                w = chance.uniform(0.14, 0.26)
                base = 1.02 if row else foot + 0.1
                house_front(
                    canvas,
                    light,
                    x,
                    x + w,
                    base,
                    base - chance.uniform(0.09, 0.14) - 0.02 * row,
                    "cream",
                    gabled=True,
                    snowy=scene.snowy,
                )
                x += w
