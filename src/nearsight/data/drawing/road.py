"""The highway."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from nearsight.data.drawing import buildings, plants, vehicles
from nearsight.data.drawing.land import ground, massif, ridge
from nearsight.data.drawing.light import RGB, Light
from nearsight.data.drawing.paint import Canvas, Point
from nearsight.data.drawing.scene import Scene
from nearsight.data.drawing.sky import paint_sky
from nearsight.data.drawing.walls import ASPHALT, paving

Road = Callable[[float, float], Point]
"""(across: -1 left edge to 1 right edge, t: 0 at the horizon to 1 at the lower edge) -> the picture."""


def highway(canvas: Canvas, scene: Scene, light: Light) -> None:
    """A road of two to six lanes to the horizon, straight or in a curve, through some kind of land."""
    chance, horizon = canvas.chance, scene.horizon
    paint_sky(canvas, scene, light)
    grass, land = plants.grass(scene, chance), scene.details["land"]
    if land == "mountains":
        massif(canvas, scene, light, horizon + 0.005, horizon * chance.uniform(0.4, 0.65), sharp=chance.random() < 0.5)
    elif land in ("hills", "fields"):
        for step in range(2):
            line = ridge(canvas, -0.1, 1.1, horizon + 0.01, (0.14 if land == "hills" else 0.05) - 0.03 * step, 0.4)
            canvas.polygon_textured(
                [(-0.1, horizon + 0.02), *line, (1.1, horizon + 0.02)],
                "leaves",
                light.ramp(grass, 0.95 - 0.35 * step),
                zoom=0.4,
            )
    ground(canvas, light, horizon, grass)
    half = {"two": 0.42, "four": 0.66, "six": 0.92}[scene.details["lanes"]]
    vanish = 0.5 + chance.uniform(-0.12, 0.12)
    bend = {"straight": 0.0, "left": -0.16, "right": 0.16}[scene.view]

    def at(across: float, t: float) -> tuple[float, float]:
        middle = vanish + (0.5 - vanish) * t + bend * (1 - t) ** 3
        return (middle + across * half * (t + 0.012), horizon + 0.004 + (1 - horizon) * t)

    if land == "forest":
        _woods(canvas, scene, light, at)
    ts = [float(t) for t in np.linspace(0, 1.05, 26) ** 1.5]
    outline = [at(-1.08, t) for t in ts] + [at(1.08, t) for t in reversed(ts)]
    before = canvas.image.copy()
    paving(
        canvas,
        light,
        horizon,
        ASPHALT if not scene.snowy else ((104, 108, 116), (138, 142, 150), (176, 180, 188)),
        vanish,
        wet=scene.weather == "rain",
    )
    mask = Image.new("L", canvas.image.size)
    ImageDraw.Draw(mask).polygon(canvas.px(outline), fill=255)
    before.paste(canvas.image, (0, 0), mask)
    canvas.image.paste(before)
    _markings(canvas, scene, light, at, ts)
    if scene.details["lamps"] == "yes":
        for t in (0.06, 0.12, 0.24, 0.5):
            x, y = at(1.16, t)
            buildings.street_lamp(canvas, light, x, y, 0.62 * (t + 0.03) ** 0.8, -1)
    _vehicles(canvas, scene, light, at)


def _woods(canvas: Canvas, scene: Scene, light: Light, at: Road) -> None:
    chance = canvas.chance
    conifers = chance.random() < 0.5
    for t in (0.02, 0.05, 0.09, 0.15, 0.25):
        for across in (-1.25, -1.7, -2.4, -3.4, 1.25, 1.7, 2.4, 3.4):
            x, y = at(across * chance.uniform(0.95, 1.25), t)
            if -0.15 < x < 1.15:
                h = 0.1 + 0.9 * t * chance.uniform(0.8, 1.1)
                tree = plants.pine if conifers else plants.broadleaf
                tree(canvas, scene, light, x, y, h, 0.6 * (1 - t) ** 4)


def _markings(canvas: Canvas, scene: Scene, light: Light, at: Road, ts: list[float]) -> None:
    lanes = {"two": 2, "four": 4, "six": 6}[scene.details["lanes"]]
    white: RGB = (232, 232, 226)
    yellow: RGB = (226, 178, 52)

    def stripe(across: float, t0: float, t1: float, width: float, colour: RGB) -> None:
        canvas.polygon(
            [at(across - width, t0), at(across + width, t0), at(across + width, t1), at(across - width, t1)],
            light.on(colour, 0.5 * (1 - t0) ** 3),
        )

    for a, b in itertools.pairwise(ts):
        for across in (-0.96, 0.96):
            stripe(across, a, b, 0.013, white)
        if lanes > 2:
            for across in (-0.022, 0.022):
                stripe(across, a, b, 0.009, yellow)
    for lane in range(1, lanes):
        across = -0.94 + 1.88 * lane / lanes
        if lanes > 2 and lane == lanes // 2:
            continue
        for step in range(12):
            z = 1.0 + step * 0.9 + canvas.chance.uniform(0, 0.02)
            stripe(across, 1 / (z + 0.4), 1 / z, 0.012, white)
    rail = light.on((176, 180, 184), 0.1)
    for across in (-1.13, 1.13):
        top = [(x, y - 0.06 * (t + 0.01)) for t in ts for x, y in (at(across, t),)]
        low = [(x, y - 0.035 * (t + 0.01)) for t in ts for x, y in (at(across, t),)]
        canvas.polygon(top + low[::-1], rail)
        for t in ts[6::2]:
            x, y = at(across, t)
            canvas.line([(x, y), (x, y - 0.04 * t)], light.on((110, 112, 116), 0.1), 0.004 * t + 0.001)


def _vehicles(canvas: Canvas, scene: Scene, light: Light, at: Road) -> None:
    """Lorry and cars, far to near, each in a lane and a distance of its own; then the sign over or beside the road."""
    chance = canvas.chance
    lanes = {"two": 2, "four": 4, "six": 6}[scene.details["lanes"]]
    todo = [("car", g.colour or "red") for g in scene.groups if g.noun == "car" for _ in range(g.count)]
    chance.shuffle(todo)
    distances = [0.66, 0.42, 0.29, 0.205, 0.15, 0.11]
    lorry = next((g.colour or "white" for g in scene.groups if g.noun == "lorry"), None)
    order = list(range(lanes if lorry is None else lanes - 1))  # a lorry hides what is before it: a lane of its own
    chance.shuffle(order)
    placed = sorted(
        (distances[i] * chance.uniform(0.92, 1.06), order[i % len(order)], noun, colour)
        for i, (noun, colour) in enumerate(todo)
    )
    if lorry is not None:
        placed = sorted([*placed, (chance.uniform(0.2, 0.5), lanes - 1, "lorry", lorry)])
    sign = next((g.colour or "blue" for g in scene.groups if g.noun == "road sign"), None)
    if sign is not None:
        _sign(canvas, light, at, sign)
    for t, place, noun, colour in placed:
        lane = place
        x, y = at(-0.94 + 1.88 * (lane + 0.5) / lanes, t)
        while not 0.06 < x < 0.94:  # the outer lanes leave the picture before they pass below it
            lane += 1 if x < 0.5 else -1
            x, y = at(-0.94 + 1.88 * (lane + 0.5) / lanes, t)
        if noun == "car":
            vehicles.car_end(canvas, light, x, y, 0.25 * t + 0.006, colour, front=lane < lanes / 2)
        else:
            vehicles.lorry_end(canvas, light, x, y, 0.52 * t + 0.008, colour)


def _sign(canvas: Canvas, light: Light, at: Road, colour: str) -> None:
    """A gantry across the road with one panel."""
    t = 0.16
    (x0, y0), (x1, y1) = at(-1.2, t), at(1.2, t)
    high = 0.34
    post = light.on((128, 132, 138), 0.15)
    for x, y in ((x0, y0), (x1, y1)):
        canvas.line([(x, y), (x, y - high)], post, 0.008)
    canvas.line([(x0, y0 - high), (x1, y1 - high)], post, 0.009)
    middle, w = x0 + (x1 - x0) * 0.64, min(0.15, (x1 - x0) * 0.4)
    canvas.note("road sign", colour, middle, y0 - high)
    plate: RGB = (30, 84, 160) if colour == "blue" else (24, 110, 66)
    canvas.box(
        middle - w,
        y0 - high - 0.05,
        middle + w,
        y0 - high + 0.075,
        (236, 238, 238) if light.lamps else light.on((236, 238, 238)),
    )
    face = light.on(plate) if not light.lamps else (plate[0] * 0.8, plate[1] * 0.8, plate[2] * 0.8)
    canvas.box(middle - w + 0.005, y0 - high - 0.045, middle + w - 0.005, y0 - high + 0.07, face)
    for row, long in enumerate((0.75, 0.5, 0.62)):
        y = y0 - high - 0.03 + row * 0.034
        canvas.box(middle - w * 0.8, y, middle - w * 0.8 + w * 1.6 * long, y + 0.012, light.on((232, 234, 234)))
