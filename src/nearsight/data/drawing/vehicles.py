"""Cars, lorries, boats and balloons. Each stands at (x, base) and is `h` high."""

from __future__ import annotations

from nearsight.data.drawing.light import RGB, Light
from nearsight.data.drawing.paint import Canvas
from nearsight.data.drawing.things import PAINT

_GLASS: RGB = (62, 76, 92)


def car_end(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str, *, front: bool) -> None:
    """A car seen from behind or from the front."""
    canvas.note("car", colour, x, base)
    body, w = light.on(PAINT[colour]), h * 0.62
    dark = light.on(PAINT[colour], 0, 0.6)
    canvas.shadow(x, base, w * 1.25, h * 0.16, 0.7)
    for side in (-1, 1):
        canvas.box(x + side * w * 0.72 - h * 0.1, base - h * 0.22, x + side * w * 0.72 + h * 0.1, base, (20, 20, 23))
    canvas.polygon(
        [
            (x - w, base - h * 0.12),
            (x - w * 1.0, base - h * 0.5),
            (x - w * 0.86, base - h * 0.58),
            (x + w * 0.86, base - h * 0.58),
            (x + w * 1.0, base - h * 0.5),
            (x + w, base - h * 0.12),
        ],
        body,
    )
    canvas.polygon(
        [
            (x - w * 0.84, base - h * 0.56),
            (x - w * 0.6, base - h * 0.97),
            (x + w * 0.6, base - h * 0.97),
            (x + w * 0.84, base - h * 0.56),
        ],
        light.on(PAINT[colour], 0, 0.9),
    )
    glass = light.on(_GLASS, 0, 1.15 if light.hard else 0.9)
    canvas.polygon(
        [
            (x - w * 0.7, base - h * 0.6),
            (x - w * 0.53, base - h * 0.9),
            (x + w * 0.53, base - h * 0.9),
            (x + w * 0.7, base - h * 0.6),
        ],
        glass,
    )
    canvas.box(x - w, base - h * 0.24, x + w, base - h * 0.14, dark)
    canvas.box(x - w * 0.24, base - h * 0.33, x + w * 0.24, base - h * 0.25, light.on((220, 220, 214)))
    lamp: RGB = (255, 246, 214) if front else (214, 30, 26)
    for side in (-1, 1):
        lx, ly = x + side * w * 0.8, base - h * 0.4
        canvas.oval(lx, ly, h * 0.09, h * 0.065, lamp if light.lamps else light.on(lamp, 0, 0.95))
        if light.lamps:
            canvas.glow(lx, ly, h * (0.42 if front else 0.3), lamp, 0.8)


def car_side(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str) -> None:
    """A car seen from the side; about 2.9 times as long as high."""
    canvas.note("car", colour, x, base)
    chance = canvas.chance
    w, way = h * 1.45, chance.choice((-1, 1))
    body, dark = light.on(PAINT[colour]), light.on(PAINT[colour], 0, 0.62)
    canvas.shadow(x, base, w * 1.08, h * 0.16, 0.65)

    def at(px: float, py: float) -> tuple[float, float]:
        return (x + way * px * w, base - py * h)

    canvas.polygon(
        [at(-1, 0.16), at(-1, 0.5), at(-0.86, 0.6), at(0.5, 0.62), at(0.92, 0.52), at(1, 0.38), at(1, 0.16)], body
    )
    canvas.polygon([at(-0.82, 0.58), at(-0.56, 0.98), at(0.14, 1.0), at(0.52, 0.6)], body)
    canvas.polygon([at(-1, 0.16), at(-1, 0.27), at(1, 0.27), at(1, 0.16)], dark)
    glass = light.on((176, 196, 214) if light.hard else _GLASS)
    if light.lamps and chance.random() < 0.4:
        glass = (214, 176, 108)
    canvas.polygon([at(-0.7, 0.63), at(-0.5, 0.9), at(-0.2, 0.91), at(-0.2, 0.63)], glass)
    canvas.polygon([at(-0.13, 0.63), at(-0.13, 0.91), at(0.12, 0.92), at(0.4, 0.63)], glass)
    for px in (-0.6, 0.62):
        cx, cy = at(px, 0.17)
        canvas.oval(cx, cy, h * 0.185, h * 0.185, (22, 22, 25))
        canvas.oval(cx, cy, h * 0.095, h * 0.095, light.on((150, 152, 156)))
    for px, lamp in ((0.96, (255, 244, 210)), (-0.97, (206, 34, 30))):
        cx, cy = at(px, 0.46)
        canvas.oval(cx, cy, h * 0.06, h * 0.06, lamp if light.lamps else light.on(lamp))


def lorry_end(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str) -> None:
    """A lorry seen from behind."""
    canvas.note("lorry", colour, x, base)
    w = h * 0.36
    canvas.shadow(x, base, w * 1.4, h * 0.1, 0.7)
    for side in (-1, 1):
        canvas.box(x + side * w * 0.66 - h * 0.06, base - h * 0.16, x + side * w * 0.66 + h * 0.06, base, (20, 20, 23))
    canvas.box(x - w, base - h, x + w, base - h * 0.13, light.on(PAINT[colour]))
    canvas.box(x - w, base - h, x + w, base - h * 0.94, light.on(PAINT[colour], 0, 1.25))
    seam = light.on(PAINT[colour], 0, 0.6)
    canvas.box(x - w * 0.02, base - h * 0.93, x + w * 0.02, base - h * 0.15, seam)
    canvas.box(x - w, base - h * 0.17, x + w, base - h * 0.12, (44, 44, 48))
    for side in (-1, 1):
        canvas.oval(x + side * w * 0.85, base - h * 0.15, h * 0.028, h * 0.028, (222, 36, 30))
        if light.lamps:
            canvas.glow(x + side * w * 0.85, base - h * 0.15, h * 0.12, (230, 40, 34), 0.8)


def sailing_boat(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str, depth: float) -> None:
    """A boat under sail, with its reflection."""
    canvas.note("sailing boat", colour, x, base)
    way = canvas.chance.choice((-1, 1))
    sail, sail2 = light.on(PAINT[colour], depth, 1.05), light.on(PAINT[colour], depth, 0.8)
    hull = light.on((70, 52, 42), depth)
    canvas.shadow(x, base + h * 0.06, h * 0.34, h * 0.1, 0.4)
    for step in range(5):  # the sail, broken up in the water
        y, w = base + h * (0.1 + 0.11 * step), h * (0.24 - 0.04 * step)
        canvas.line([(x - w, y), (x + w, y)], light.on(PAINT[colour], depth + 0.5, 0.8), h * 0.022)
    canvas.polygon(
        [(x + way * h * 0.03, base - h * 0.12), (x + way * h * 0.03, base - h), (x + way * h * 0.42, base - h * 0.14)],
        sail,
    )
    canvas.polygon(
        [
            (x - way * h * 0.03, base - h * 0.12),
            (x - way * h * 0.03, base - h * 0.9),
            (x - way * h * 0.28, base - h * 0.14),
        ],
        sail2,
    )
    canvas.polygon(
        [
            (x - h * 0.36, base - h * 0.11),
            (x + h * 0.4, base - h * 0.11),
            (x + h * 0.28, base + h * 0.02),
            (x - h * 0.26, base + h * 0.02),
        ],
        hull,
    )
    canvas.line([(x, base - h * 1.02), (x, base - h * 0.1)], hull, h * 0.018)


def balloon(canvas: Canvas, light: Light, x: float, y: float, r: float, colour: str) -> None:
    """A hot-air balloon, striped."""
    canvas.note("hot-air balloon", colour, x, y)
    bands = (PAINT[colour], (240, 236, 226))
    rope = light.on((70, 56, 46))
    for side in (-1, 1):
        canvas.line([(x + side * r * 0.5, y + r * 0.8), (x + side * r * 0.16, y + r * 1.55)], rope, r * 0.03)
    canvas.box(x - r * 0.18, y + r * 1.5, x + r * 0.18, y + r * 1.75, light.on((120, 82, 52)))
    for step, wide in enumerate((1.0, 0.72, 0.42, 0.14)):
        canvas.oval(x, y, r * wide, r, light.on(bands[step % 2], 0.15, 1.05))
    canvas.polygon(
        [
            (x - r * 0.78, y + r * 0.62),
            (x + r * 0.78, y + r * 0.62),
            (x + r * 0.3, y + r * 1.2),
            (x - r * 0.3, y + r * 1.2),
        ],
        light.on(PAINT[colour], 0.15, 0.85),
    )
