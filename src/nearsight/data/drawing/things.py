"""Vehicles, people, animals and small buildings. Each stands at (x, base) and is `h` high; nearer ones come later."""

from __future__ import annotations

import math

from nearsight.data.drawing.light import RGB, Light, vary
from nearsight.data.drawing.paint import Canvas

PAINT: dict[str, RGB] = {
    "red": (190, 38, 34),
    "blue": (42, 84, 168),
    "white": (234, 234, 230),
    "black": (38, 39, 44),
    "yellow": (234, 190, 40),
    "green": (46, 124, 66),
    "silver": (164, 170, 177),
    "orange": (228, 122, 36),
    "brown": (112, 70, 44),
}
_GLASS: RGB = (62, 76, 92)
_SKIN: tuple[RGB, ...] = ((232, 190, 160), (198, 146, 110), (120, 80, 58))


def car_end(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str, *, front: bool) -> None:
    """A car seen from behind or from the front."""
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


def person(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str) -> None:
    """Somebody on foot, in clothes of that colour."""
    chance = canvas.chance
    stride, w = chance.uniform(0.03, 0.1) * h, h * 0.125
    canvas.shadow(x, base, h * 0.2, h * 0.045, 0.6)
    legs = light.on(chance.choice(((44, 50, 74), (60, 54, 50), (34, 34, 38))))
    for side in (-1, 1):
        canvas.line([(x, base - h * 0.48), (x + side * stride, base)], legs, h * 0.085)
    shirt = light.on(PAINT[colour])
    canvas.polygon(
        [
            (x - w, base - h * 0.8),
            (x + w, base - h * 0.8),
            (x + w * 0.85, base - h * 0.42),
            (x - w * 0.85, base - h * 0.42),
        ],
        shirt,
    )
    sleeve = light.on(PAINT[colour], 0, 0.8)
    for side in (-1, 1):
        canvas.line([(x + side * w, base - h * 0.78), (x + side * w * 1.5, base - h * 0.48)], sleeve, h * 0.06)
    canvas.oval(x, base - h * 0.89, h * 0.068, h * 0.085, light.on(chance.choice(_SKIN)))
    canvas.oval(x, base - h * 0.925, h * 0.07, h * 0.055, light.on(vary((54, 38, 28), chance, 0.4)))


def sailing_boat(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str, depth: float) -> None:
    """A boat under sail, with its reflection."""
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


def lighthouse(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str, depth: float) -> None:
    """A tower in bands (red and white) or white, its lamp lit in the dark."""
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


def parasol(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str) -> None:
    """A beach parasol, striped with white, over a towel."""
    canvas.shadow(x + h * 0.1, base, h * 0.6, h * 0.12, 0.5)
    canvas.polygon(
        [(x + h * 0.1, base), (x + h * 0.6, base), (x + h * 0.66, base + h * 0.1), (x + h * 0.12, base + h * 0.1)],
        light.on(vary((224, 220, 208), canvas.chance)),
    )
    canvas.line([(x, base), (x, base - h * 0.8)], light.on((226, 224, 216)), h * 0.035)
    for step in range(6):
        a, b = (-1 + step / 3) * h * 0.58, (-1 + (step + 1) / 3) * h * 0.58
        shade = light.on(PAINT[colour] if step % 2 == 0 else (240, 238, 232), 0, 1.05 - 0.05 * step * (light.side < 0))
        canvas.polygon(
            [
                (x, base - h),
                (x + a * 0.6, base - h * 0.86),
                (x + a, base - h * 0.62),
                (x + b, base - h * 0.62),
                (x + b * 0.6, base - h * 0.86),
            ],
            shade,
        )


def beast(canvas: Canvas, light: Light, x: float, base: float, h: float, noun: str, colour: str | None) -> None:
    """A cow, a sheep or a deer from the side."""
    chance = canvas.chance
    way = chance.choice((-1, 1))
    coat: RGB = {"brown": (124, 76, 46), "black": (44, 42, 44), "white": (226, 222, 210)}.get(
        colour or "", (136, 92, 58)
    )
    body, dark = light.on(coat), light.on(coat, 0, 0.68)
    legs = light.on((52, 46, 42)) if noun == "sheep" else dark
    long = {"cow": 0.62, "sheep": 0.56, "deer": 0.44}[noun]
    canvas.shadow(x, base, h * long * 1.1, h * 0.1, 0.5)
    foot = 0.36 if noun != "deer" else 0.5
    for px in (-0.72, -0.5, 0.5, 0.72):
        canvas.line(
            [(x + px * long * h, base - h * foot), (x + px * long * h, base)],
            legs,
            h * (0.07 if noun != "deer" else 0.045),
        )
    ry = {"cow": 0.24, "sheep": 0.3, "deer": 0.17}[noun]
    cy = base - h * (foot + ry * 0.8)
    canvas.oval(x, cy, h * long, h * ry, body)
    canvas.oval(x, cy + h * ry * 0.45, h * long * 0.8, h * ry * 0.45, dark)
    if noun == "sheep":
        for step in range(9):
            canvas.oval(
                x + (step / 8 - 0.5) * 2 * long * h * 0.85,
                cy - h * 0.1 * math.sin(step * 2.1) - h * 0.08,
                h * 0.16,
                h * 0.16,
                body,
            )
    if noun == "cow":
        patch = light.on((236, 230, 220))
        canvas.oval(x + way * h * 0.1, cy - h * 0.02, h * 0.14, h * 0.13, patch)
        canvas.oval(x - way * h * 0.32, cy + h * 0.04, h * 0.09, h * 0.1, patch)
    head_x, head_y = x + way * h * (long + 0.1), cy - h * {"cow": 0.1, "sheep": 0.04, "deer": 0.34}[noun]
    canvas.line([(x + way * h * long * 0.7, cy), (head_x, head_y)], legs if noun == "sheep" else body, h * 0.13)
    canvas.oval(head_x + way * h * 0.06, head_y, h * 0.12, h * 0.08, legs if noun == "sheep" else body)
    if noun == "deer":
        horn = light.on((96, 76, 58))
        for lean in (-0.06, 0.1):
            canvas.line(
                [
                    (head_x, head_y - h * 0.05),
                    (head_x + lean * h, head_y - h * 0.2),
                    (head_x + lean * h * 2.2, head_y - h * 0.26),
                ],
                horn,
                h * 0.025,
            )


def flier(canvas: Canvas, light: Light, x: float, y: float, span: float, colour: RGB) -> None:
    """A bird on the wing."""
    lift = span * canvas.chance.uniform(0.18, 0.38)
    shade = light.on(colour)
    for side in (-1, 1):
        canvas.polygon(
            [
                (x, y),
                (x + side * span * 0.28, y - lift),
                (x + side * span * 0.6, y - lift * 0.55),
                (x + side * span * 0.27, y - lift * 0.55),
                (x, y + span * 0.07),
            ],
            shade,
        )
    canvas.oval(x, y + span * 0.02, span * 0.09, span * 0.06, shade)


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


def balloon(canvas: Canvas, light: Light, x: float, y: float, r: float, colour: str) -> None:
    """A hot-air balloon, striped."""
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


def street_lamp(canvas: Canvas, light: Light, x: float, base: float, h: float, way: int = 1) -> None:
    """A lamp on a curved post."""
    post = light.on((52, 56, 60))
    head = (x + way * h * 0.17, base - h * 0.97)
    canvas.line([(x, base), (x, base - h * 0.9), (x + way * h * 0.05, base - h * 0.98), head], post, h * 0.017)
    lamp = (255, 226, 160) if light.lamps else light.on((206, 208, 204))
    canvas.oval(head[0], head[1] + h * 0.012, h * 0.04, h * 0.018, lamp)
    if light.lamps:
        canvas.glow(head[0], head[1], h * 0.34, (255, 214, 140), 0.85)


def hay_bale(canvas: Canvas, light: Light, x: float, base: float, h: float) -> None:
    """A round bale."""
    straw: RGB = (206, 168, 92)
    side = light.side
    canvas.shadow(x - side * h * 0.2, base, h * 0.95, h * 0.16, 0.6)
    canvas.oval(x - side * h * 0.35, base - h * 0.5, h * 0.36, h * 0.5, light.on(straw, 0, 0.7))
    canvas.box(min(x - side * h * 0.35, x), base - h, max(x - side * h * 0.35, x), base, light.on(straw, 0, 0.78))
    for step, wide in enumerate((1.0, 0.78, 0.54, 0.28)):
        canvas.oval(
            x, base - h * 0.5, h * 0.38 * wide, h * 0.5 * wide, light.on(straw, 0, (1.1, 0.92, 1.08, 0.86)[step])
        )
