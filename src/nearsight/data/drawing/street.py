"""A street between houses."""

from __future__ import annotations

from nearsight.data.drawing import buildings, plants, things, vehicles
from nearsight.data.drawing.light import RGB, Light, mix, vary
from nearsight.data.drawing.paint import Canvas, Point
from nearsight.data.drawing.scene import Scene
from nearsight.data.drawing.sky import paint_sky
from nearsight.data.drawing.walls import (
    ASPHALT,
    SHUTTERS,
    SLUSH,
    STONES,
    WALL,
    paving,
    quad,
    receding,
    wall,
    windows,
)


def street(canvas: Canvas, scene: Scene, light: Light) -> None:
    """Two rows of houses that run to a vanishing point, a roadway between them."""
    chance, horizon = canvas.chance, scene.horizon
    vanish = {"middle": 0.5, "left": 0.36, "right": 0.64}[scene.view] + chance.uniform(-0.04, 0.04)
    paint_sky(canvas, scene, light, reach=horizon)
    _distance(canvas, light, horizon, vanish)
    colours = SLUSH if scene.snowy else STONES if scene.details["road"] == "cobbled" else ASPHALT
    paving(
        canvas, light, horizon, colours, vanish, cobbled=scene.details["road"] == "cobbled", wet=scene.weather == "rain"
    )
    reach = chance.uniform(0.5, 0.72)
    for side in (-1, 1):
        _row(canvas, scene, light, vanish, side, reach * chance.uniform(0.85, 1.2))
    _kerbs(canvas, scene, light, vanish)
    if scene.details["crossing"] == "yes":
        y0, y1 = horizon + (1 - horizon) * 0.55, horizon + (1 - horizon) * 0.72
        for i in range(9):
            a, b = -0.6 + i * 0.14, -0.6 + i * 0.14 + 0.075
            stripe = light.on((226, 226, 220), 0.08)
            at = [(vanish + k * (y - horizon) * 1.25, y) for k, y in ((a, y0), (b, y0), (b, y1), (a, y1))]
            canvas.polygon(at, stripe)
    _traffic(canvas, scene, light, vanish)


def _distance(canvas: Canvas, light: Light, horizon: float, vanish: float) -> None:
    """What stands at the end of the street."""
    chance = canvas.chance
    for _ in range(5):
        x, w, h = vanish + chance.uniform(-0.14, 0.1), chance.uniform(0.03, 0.08), chance.uniform(0.03, 0.12)
        canvas.box(x, horizon - h, x + w, horizon + 0.01, light.on(vary((130, 124, 122), chance), 0.9))


def _row(canvas: Canvas, scene: Scene, light: Light, vanish: float, side: int, tall: float) -> None:
    """Houses on one side, far to near; z counts from the viewer, 1 is the picture's plane."""
    chance, horizon = canvas.chance, scene.horizon
    edge = chance.uniform(0.46, 0.56)
    foot = 1 - horizon
    gain = 1.08 if side != light.side else 0.72
    if not light.hard:
        gain = 0.95 if side != light.side else 0.86
    z, houses = 0.62, []
    while z < 6.5:
        long = chance.uniform(0.55, 1.0) * (0.8 + 0.25 * z)
        houses.append((z, z + long, tall * chance.uniform(0.72, 1.15)))
        z += long
    for near, far, height in reversed(houses):
        colour = vary(
            WALL[scene.details["walls"]] if chance.random() < 0.6 else WALL[chance.choice(tuple(WALL))], chance, 0.1
        )
        material = scene.details["walls"] if chance.random() < 0.6 else "plaster"
        depth = min(0.9, 0.11 * near)

        def at(z: float, up: float) -> Point:
            return (vanish + side * edge / z, horizon + (foot * 0.62 - up) / z)

        (x0, base0), (_, top0) = at(near, 0), at(near, height)
        (x1, base1), (_, top1) = at(far, 0), at(far, height)
        plane = receding(x0, base0, top0, x1, base1, top1)
        wall(canvas, light, plane, material, colour, depth, gain)
        floors, columns = max(2, round(height * 6.2)), max(2, round((far - near) * 3.4 / (0.7 + 0.12 * near)))
        ground_floor = 1 / (floors + 0.4)
        shutters = chance.choice(SHUTTERS) if chance.random() < 0.4 else None
        windows(
            canvas,
            light,
            plane,
            columns,
            floors - 1,
            v0=ground_floor,
            v1=0.95,
            depth=depth,
            gain=gain,
            shutters=shutters,
            fill=(0.4, 0.56),
        )
        trim = light.on(mix(colour, (255, 250, 240), 0.4), depth, gain)
        canvas.polygon(quad(plane, 0, 0.955, 1, 1.0), light.on(mix(colour, (60, 50, 46), 0.4), depth, gain))
        canvas.polygon(quad(plane, 0, ground_floor * 0.97, 1, ground_floor * 1.03), trim)
        for step in range(columns):
            u = (step + 0.5) / columns
            shop = chance.random() < 0.5
            w = (0.34 if shop else 0.2) / columns
            glass: RGB = (
                (255, 206, 120) if light.lamps and chance.random() < 0.6 else light.on((70, 60, 54), depth, gain)
            )
            canvas.polygon(quad(plane, u - w, 0, u + w, ground_floor * 0.74), glass)
            if shop and chance.random() < 0.6:
                cloth = light.on(
                    vary(chance.choice(((168, 48, 42), (48, 96, 74), (190, 150, 62))), chance), depth, gain
                )
                canvas.polygon(quad(plane, u - w * 1.15, ground_floor * 0.68, u + w * 1.15, ground_floor * 0.86), cloth)
        if scene.snowy:
            canvas.polygon(quad(plane, 0, 0.985, 1, 1.02), light.on((240, 243, 248), depth))


def _kerbs(canvas: Canvas, scene: Scene, light: Light, vanish: float) -> None:
    horizon, foot = scene.horizon, 1 - scene.horizon
    slab = light.on((178, 174, 166) if not scene.snowy else (230, 234, 240), 0.12)
    for side in (-1, 1):
        inner, outer = 0.37, 0.53
        canvas.polygon(
            [(vanish + side * inner / z, horizon + foot * 0.62 / z) for z in (0.55, 6.5)]
            + [(vanish + side * outer / z, horizon + foot * 0.62 / z) for z in (6.5, 0.55)],
            slab,
        )
        line = [(vanish + side * inner / z, horizon + foot * 0.63 / z) for z in (0.55, 6.5)]
        canvas.line(line, light.on((92, 90, 88), 0.15), 0.004)


def _traffic(canvas: Canvas, scene: Scene, light: Light, vanish: float) -> None:
    """Cars in the roadway, people on the pavements, trees and lamps along the kerb; far ones first."""
    chance, horizon, foot = canvas.chance, scene.horizon, 1 - scene.horizon
    cars = [g.colour or "red" for g in scene.groups if g.noun == "car" for _ in range(g.count)]
    people = [g.colour or "red" for g in scene.groups if g.noun == "person" for _ in range(g.count)]
    todo: list[tuple[float, str, str, float]] = []
    lanes = [-0.24, 0.24, -0.06, 0.1]
    for i, colour in enumerate(cars):
        todo.append((0.9 + 0.62 * i + chance.uniform(0, 0.2), "car", colour, lanes[i % 4]))
    for i, colour in enumerate(people):
        z, lane = 1.0 + 0.36 * i + chance.uniform(0, 0.15), (0.42, -0.42)[i % 2]
        lane = lane if 0.06 < vanish + lane / z < 0.94 else -lane
        todo.append((z, "person", colour, lane))
    for i in range(scene.count("tree")):
        todo.append((1.3 + 0.75 * i, "tree", "", (-0.41, 0.41)[i % 2]))
    for i in range(scene.count("street lamp")):
        todo.append((1.15 + 0.7 * i, "street lamp", "", (0.385, -0.385)[i % 2]))
    for z, noun, colour, lane in sorted(todo, reverse=True):
        x, base = vanish + lane / z, horizon + foot * 0.62 / z
        if noun == "car":
            vehicles.car_end(canvas, light, x, base, 0.155 / z, colour, front=lane < 0)
        elif noun == "person":
            things.person(canvas, light, x, base, 0.2 / z, colour)
        elif noun == "tree":
            plants.broadleaf(canvas, scene, light, x, base, 0.46 / z, 0.1 * z)
        else:
            buildings.street_lamp(canvas, light, x, base, 0.5 / z, -1 if lane > 0 else 1)
