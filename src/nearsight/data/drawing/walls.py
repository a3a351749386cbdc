"""Walls, windows and paving. A wall, flat or in perspective, is a function from (u, v) in 0..1 to the picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nearsight.data.drawing.light import RGB, Light, mix, vary
from nearsight.data.drawing.paint import Canvas, Point, ramp_array

WALL: dict[str, RGB] = {
    "brick": (164, 84, 62),
    "ochre": (214, 168, 98),
    "cream": (226, 212, 178),
    "pink": (220, 158, 142),
    "grey": (160, 160, 160),
    "white": (232, 230, 224),
    "stone": (186, 176, 160),
}
SHUTTERS: tuple[RGB, ...] = ((58, 94, 74), (74, 98, 130), (128, 58, 48), (92, 70, 54))
ASPHALT: tuple[RGB, ...] = ((62, 62, 66), (100, 100, 104), (140, 140, 142))
STONES: tuple[RGB, ...] = ((70, 64, 60), (124, 116, 108), (170, 162, 150))
SLUSH: tuple[RGB, ...] = ((138, 144, 154), (192, 198, 208), (232, 236, 242))
_PANE: RGB = (64, 78, 94)
Plane = Callable[[float, float], Point]
"""(u along the wall, v upwards from its foot) -> the picture."""


def flat(x0: float, x1: float, base: float, top: float) -> Plane:
    """A wall seen from straight ahead."""
    return lambda u, v: (x0 + (x1 - x0) * u, base + (top - base) * v)


def receding(x0: float, base0: float, top0: float, x1: float, base1: float, top1: float) -> Plane:
    """A wall from a near edge (u = 0) to a far one; u is foreshortened as the heights say."""
    ratio = (base0 - top0) / max(base1 - top1, 1e-3)

    def at(u: float, v: float) -> Point:
        t = _foreshorten(u, ratio)
        foot, head = base0 + (base1 - base0) * t, top0 + (top1 - top0) * t
        return (x0 + (x1 - x0) * t, foot + (head - foot) * v)

    return at


def _foreshorten(u: float, ratio: float) -> float:
    """Steps along a wall whose near edge is `ratio` times the far one -> shares of its width on the picture."""
    return u * ratio / (1 + u * (ratio - 1))


def quad(plane: Plane, u0: float, v0: float, u1: float, v1: float) -> list[Point]:
    """A rectangle on the wall."""
    return [plane(u0, v0), plane(u1, v0), plane(u1, v1), plane(u0, v1)]


def wall(
    canvas: Canvas, light: Light, plane: Plane, material: str, colour: RGB, depth: float, gain: float = 1.0
) -> None:
    """The bare wall."""
    tile = "brick" if material == "brick" else "plaster"
    ramp = [mix(colour, (30, 22, 20), 0.34), colour, mix(colour, (240, 232, 220), 0.3)]
    if material == "brick":
        ramp = [mix(colour, (40, 20, 16), 0.45), colour, mix(colour, (214, 202, 190), 0.4)]
    canvas.polygon_textured(quad(plane, 0, 0, 1, 1), tile, light.ramp(ramp, depth, gain), shade="top", zoom=0.7)


def windows(
    canvas: Canvas,
    light: Light,
    plane: Plane,
    columns: int,
    rows: int,
    *,
    v0: float = 0.0,
    v1: float = 1.0,
    fill: tuple[float, float] = (0.5, 0.58),
    depth: float = 0.0,
    gain: float = 1.0,
    frame: RGB | None = (226, 222, 214),
    pane: RGB = _PANE,
    lit: float = 0.45,
    shutters: RGB | None = None,
    sills: bool = True,
) -> None:
    """Windows in a grid on the wall between heights v0 and v1; in the dark a share `lit` of them shines."""
    chance = canvas.chance
    w, h = fill[0] / columns / 2, fill[1] * (v1 - v0) / rows / 2
    polygon = canvas.polygon
    glass = [light.on(vary(pane, chance, 0.22), depth, gain) for _ in range(5)]
    glass.append(light.on(mix(pane, light.low, 0.55), depth, 1.0))
    rim = light.on(frame, depth, gain) if frame is not None else None
    shade = light.on((44, 38, 36), depth, gain)
    for row in range(rows):
        v = v0 + (v1 - v0) * (row + 0.5) / rows
        for column in range(columns):
            u = (column + 0.5) / columns
            shine = light.lamps and chance.random() < lit
            if shutters is not None:
                leaf = light.on(shutters, depth, gain)
                polygon(quad(plane, u - w * 1.75, v - h, u - w * 1.05, v + h), leaf)
                polygon(quad(plane, u + w * 1.05, v - h, u + w * 1.75, v + h), leaf)
            if rim is not None:
                polygon(quad(plane, u - w * 1.18, v - h * 1.12, u + w * 1.18, v + h * 1.12), rim)
            colour = vary((255, 212, 128), chance, 0.14) if shine else chance.choice(glass)
            polygon(quad(plane, u - w, v - h, u + w, v + h), colour)
            if rim is not None and columns * rows < 90:
                polygon(quad(plane, u - w * 0.08, v - h, u + w * 0.08, v + h), rim)
                polygon(quad(plane, u - w, v + h * 0.2, u + w, v + h * 0.3), rim)
            if sills and columns * rows < 120:
                polygon(quad(plane, u - w * 1.3, v - h * 1.32, u + w * 1.3, v - h * 1.1), shade)


def paving(
    canvas: Canvas,
    light: Light,
    top: float,
    colours: tuple[RGB, ...],
    vanish: float,
    *,
    cobbled: bool = False,
    wet: bool = False,
) -> None:
    """Asphalt or setts in perspective from `top` down; wet ones mirror the sky."""
    first, near, gx, gz = canvas.plane(top, 1.0, vanish)
    value = 0.5 + 0.6 * (canvas.sample(gx * 3, gz * 5) - 0.5) * np.clip(near * 3 + 0.1, 0, 1)
    value += 0.3 * (canvas.sample(gx * 0.5, gz * 0.5) - 0.5)
    if cobbled:
        joint = np.maximum(np.cos(gx * 0.9 + np.pi * (np.floor(gz * 0.22) % 2)), np.cos(gz * 0.22 * 2 * np.pi))
        value -= 0.45 * np.clip((joint - 0.55) * 3, 0, 1) * np.clip(near * 3 - 0.2, 0, 1)
    rgb = ramp_array(np.clip(value, 0, 1), light.ramp(colours))
    if wet:
        rgb += (np.array(light.low, np.float32) - rgb) * (0.18 + 0.3 * (canvas.sample(gx * 0.4, gz * 0.3) > 0.6))[
            ..., None
        ]
    haze = np.array(light.haze, np.float32)
    canvas.put(haze + (rgb - haze) * np.exp(-light.density * (1 - near) ** 4)[..., None], first)
