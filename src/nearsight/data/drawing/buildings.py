"""Lone buildings, tents and lamps. Each stands at (x, base) and is `h` high; they are lit in the dark."""

from __future__ import annotations

import math

from nearsight.data.drawing.light import RGB, Light
from nearsight.data.drawing.paint import Canvas
from nearsight.data.drawing.things import PAINT


def lighthouse(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str, depth: float) -> None:
    """A tower in bands (red and white) or white, its lamp lit in the dark."""
    canvas.note("lighthouse", colour, x, base)
    bands: tuple[RGB, RGB] = (PAINT["red"], PAINT["white"]) if colour == "red" else (PAINT["white"], PAINT["white"])
    for step in range(5):
        y0, y1 = base - h * 0.16 * step, base - h * 0.16 * (step + 1)
        w0, w1 = h * (0.12 - 0.011 * step), h * (0.12 - 0.011 * (step + 1))
        canvas.polygon([(x - w0, y0), (x - w1, y1), (x + w1, y1), (x + w0, y0)], light.on(bands[step % 2], depth))
        edge = light.on(bands[step % 2], depth, 0.7)
        canvas.polygon([(x, y0), (x, y1), (x - light.side * w1, y1), (x - light.side * w0, y0)], edge)
    canvas.box(x - h * 0.085, base - h * 0.84, x + h * 0.085, base - h * 0.8, light.on((52, 52, 56), depth))
    lamp = (255, 240, 180) if light.lamps else light.on((190, 206, 214), depth)
    canvas.box(x - h * 0.045, base - h * 0.93, x + h * 0.045, base - h * 0.84, lamp)
    canvas.polygon(
        [(x - h * 0.065, base - h * 0.93), (x, base - h), (x + h * 0.065, base - h * 0.93)],
        light.on((120, 34, 30), depth),
    )
    if light.lamps:
        canvas.glow(x, base - h * 0.885, h * 0.5, (255, 240, 186), 0.9)


def house(
    canvas: Canvas,
    light: Light,
    x: float,
    base: float,
    h: float,
    wall: RGB,
    roof: RGB,
    depth: float,
    *,
    snow: bool = False,
) -> None:
    """A barn or a cabin: a gable and a long side."""
    side = light.side
    w, long = h * 0.46, h * 0.95
    roof = (226, 232, 240) if snow else roof
    canvas.shadow(x, base, h * 1.1, h * 0.1, 0.45)
    left, ridge = x - side * w, base - h
    front = [
        (left, base),
        (left, base - h * 0.58),
        (left + side * w * 0.8, ridge),
        (left + side * w * 1.6, base - h * 0.58),
        (left + side * w * 1.6, base),
    ]
    back = left - side * long
    canvas.polygon(
        [(left, base), (left, base - h * 0.58), (back, base - h * 0.56), (back, base - h * 0.02)],
        light.on(wall, depth, 0.7),
    )
    canvas.polygon(front, light.on(wall, depth))
    canvas.polygon(
        [
            (left - side * h * 0.05, base - h * 0.54),
            (left + side * w * 0.8, ridge - h * 0.02),
            (back + side * w * 0.75, ridge),
            (back - side * h * 0.04, base - h * 0.53),
        ],
        light.on(roof, depth, 0.85),
    )
    canvas.line([front[1], front[2], front[3]], light.on(roof, depth, 0.6), h * 0.035)
    door = left + side * w * 0.8
    canvas.box(door - h * 0.1, base - h * 0.36, door + h * 0.1, base, light.on((60, 44, 34), depth))
    pane = (255, 214, 130) if light.lamps else light.on((84, 96, 108), depth)
    for t in (0.3, 0.65):
        wx = left + (back - left) * t
        canvas.box(wx - h * 0.07, base - h * 0.4, wx + h * 0.07, base - h * 0.24, pane)
        if light.lamps:
            canvas.glow(wx, base - h * 0.32, h * 0.25, (255, 206, 120), 0.5)


def windmill(canvas: Canvas, light: Light, x: float, base: float, h: float, depth: float) -> None:
    """A tower mill with four sails."""
    canvas.note("windmill", "white", x, base)
    w = h * 0.16
    canvas.shadow(x, base, w * 2, h * 0.05, 0.45)
    canvas.polygon(
        [(x - w, base), (x - w * 0.62, base - h * 0.68), (x + w * 0.62, base - h * 0.68), (x + w, base)],
        light.on((226, 222, 212), depth),
    )
    canvas.polygon(
        [(x, base), (x, base - h * 0.68), (x - light.side * w * 0.62, base - h * 0.68), (x - light.side * w, base)],
        light.on((226, 222, 212), depth, 0.74),
    )
    canvas.polygon(
        [(x - w * 0.7, base - h * 0.67), (x, base - h * 0.84), (x + w * 0.7, base - h * 0.67)],
        light.on((96, 60, 48), depth),
    )
    turn = canvas.chance.uniform(0, math.pi / 2)
    hub = (x, base - h * 0.7)
    for step in range(4):
        angle = turn + step * math.pi / 2
        dx, dy = math.cos(angle), math.sin(angle)
        tip = (hub[0] + dx * h * 0.38, hub[1] + dy * h * 0.38)
        canvas.polygon(
            [
                hub,
                tip,
                (tip[0] - dy * h * 0.08, tip[1] + dx * h * 0.08),
                (hub[0] + dx * h * 0.08 - dy * h * 0.08, hub[1] + dy * h * 0.08 + dx * h * 0.08),
            ],
            light.on((238, 234, 226), depth, 0.92),
        )
        canvas.line([hub, tip], light.on((70, 54, 44), depth), h * 0.018)


def tent(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str) -> None:
    """A ridge tent, lit from inside in the dark."""
    canvas.note("tent", colour, x, base)
    gain = 1.0
    canvas.shadow(x, base, h * 1.1, h * 0.14, 0.5)
    fly = PAINT[colour]
    near = light.on(fly, 0, gain) if not light.lamps else (min(255, fly[0] + 30), fly[1] * 0.9, fly[2] * 0.7)
    canvas.polygon([(x - h * 0.75, base), (x - h * 0.1, base - h), (x + h * 0.45, base)], near)
    canvas.polygon(
        [
            (x - h * 0.1, base - h),
            (x + h * 0.75, base - h * 0.85),
            (x + h * 1.05, base - h * 0.06),
            (x + h * 0.45, base),
        ],
        light.on(fly, 0, 0.66),
    )
    canvas.polygon([(x - h * 0.3, base), (x - h * 0.1, base - h * 0.8), (x + h * 0.06, base)], light.on((40, 36, 34)))
    if light.lamps:
        canvas.glow(x - h * 0.1, base - h * 0.35, h * 1.1, (255, 206, 130), 0.45)


def street_lamp(canvas: Canvas, light: Light, x: float, base: float, h: float, way: int = 1) -> None:
    """A lamp on a curved post."""
    canvas.note("street lamp", None, x, base)
    post = light.on((52, 56, 60))
    head = (x + way * h * 0.17, base - h * 0.97)
    canvas.line([(x, base), (x, base - h * 0.9), (x + way * h * 0.05, base - h * 0.98), head], post, h * 0.017)
    lamp = (255, 226, 160) if light.lamps else light.on((206, 208, 204))
    canvas.oval(head[0], head[1] + h * 0.012, h * 0.04, h * 0.018, lamp)
    if light.lamps:
        canvas.glow(head[0], head[1], h * 0.34, (255, 214, 140), 0.85)
