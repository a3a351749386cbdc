"""The colours of things; people, animals and what else stands about. Each is `h` high, on the ground at `base`."""

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
_SKIN: tuple[RGB, ...] = ((232, 190, 160), (198, 146, 110), (120, 80, 58))


def person(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str) -> None:
    """Somebody on foot, in clothes of that colour."""
    canvas.note("person", colour, x, base)
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


def parasol(canvas: Canvas, light: Light, x: float, base: float, h: float, colour: str) -> None:
    """A beach parasol, striped with white, over a towel."""
    canvas.note("parasol", colour, x, base)
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
    """A cow or a sheep from the side."""
    canvas.note(noun, colour, x, base)
    chance = canvas.chance
    way = chance.choice((-1, 1))
    coat: RGB = {"brown": (124, 76, 46), "black": (44, 42, 44), "white": (226, 222, 210)}.get(
        colour or "", (136, 92, 58)
    )
    body, dark = light.on(coat), light.on(coat, 0, 0.68)
    legs = light.on((52, 46, 42)) if noun == "sheep" else dark
    long = {"cow": 0.62, "sheep": 0.56}[noun]
    canvas.shadow(x, base, h * long * 1.1, h * 0.1, 0.5)
    foot = 0.36
    for px in (-0.72, -0.5, 0.5, 0.72):
        canvas.line(
            [(x + px * long * h, base - h * foot), (x + px * long * h, base)],
            legs,
            h * 0.07,
        )
    ry = {"cow": 0.24, "sheep": 0.3}[noun]
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
    head_x, head_y = x + way * h * (long + 0.1), cy - h * {"cow": 0.1, "sheep": 0.04}[noun]
    canvas.line([(x + way * h * long * 0.7, cy), (head_x, head_y)], legs if noun == "sheep" else body, h * 0.13)
    canvas.oval(head_x + way * h * 0.06, head_y, h * 0.12, h * 0.08, legs if noun == "sheep" else body)


def deer(canvas: Canvas, light: Light, x: float, base: float, h: float) -> None:
    """A deer from the side, its head up; `h` to the top of the head."""
    canvas.note("deer", None, x, base)
    way = canvas.chance.choice((-1, 1))
    coat: RGB = (158, 106, 66)
    body, belly, dark = light.on(coat), light.on((214, 184, 150)), light.on(coat, 0, 0.62)
    canvas.shadow(x, base, h * 0.42, h * 0.07, 0.5)

    def at(px: float, py: float) -> tuple[float, float]:
        return (x + way * px * h, base - py * h)

    for px, shade in ((-0.27, dark), (0.2, dark), (-0.21, body), (0.26, body)):
        knee, foot = at(px - 0.02, 0.2), at(px + 0.01, 0.0)
        canvas.line([at(px, 0.4), knee, foot], shade, h * 0.04)
    canvas.polygon(
        [
            at(-0.36, 0.55),
            at(-0.3, 0.64),
            at(0.12, 0.62),
            at(0.3, 0.66),
            at(0.33, 0.46),
            at(0.1, 0.36),
            at(-0.2, 0.38),
            at(-0.34, 0.44),
        ],
        body,
    )
    canvas.oval(*at(-0.24, 0.51), h * 0.12, h * 0.12, body)
    canvas.polygon([at(0.1, 0.37), at(-0.18, 0.385), at(-0.1, 0.42), at(0.08, 0.41)], belly)
    canvas.polygon([at(0.17, 0.63), at(0.32, 0.88), at(0.42, 0.86), at(0.34, 0.5)], body)
    canvas.polygon([at(0.3, 0.95), at(0.4, 0.95), at(0.55, 0.85), at(0.53, 0.81), at(0.36, 0.84)], body)
    canvas.polygon([at(0.31, 0.93), at(0.22, 1.0), at(0.34, 0.97)], dark)
    canvas.oval(*at(-0.37, 0.57), h * 0.045, h * 0.06, belly)
    horn = light.on((110, 88, 66))
    for lean in (0.0, 0.07):
        canvas.line([at(0.34 + lean, 0.95), at(0.28 + lean, 1.09), at(0.33 + lean, 1.22)], horn, h * 0.022)
        canvas.line([at(0.29 + lean, 1.08), at(0.4 + lean, 1.15)], horn, h * 0.018)


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


def hay_bale(canvas: Canvas, light: Light, x: float, base: float, h: float) -> None:
    """A round bale."""
    canvas.note("hay bale", None, x, base)
    straw: RGB = (206, 168, 92)
    side = light.side
    canvas.shadow(x - side * h * 0.2, base, h * 0.95, h * 0.16, 0.6)
    canvas.oval(x - side * h * 0.35, base - h * 0.5, h * 0.36, h * 0.5, light.on(straw, 0, 0.7))
    canvas.box(min(x - side * h * 0.35, x), base - h, max(x - side * h * 0.35, x), base, light.on(straw, 0, 0.78))
    for step, wide in enumerate((1.0, 0.78, 0.54, 0.28)):
        canvas.oval(
            x, base - h * 0.5, h * 0.38 * wide, h * 0.5 * wide, light.on(straw, 0, (1.1, 0.92, 1.08, 0.86)[step])
        )
