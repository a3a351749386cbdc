"""The built scenes: a street, houses seen from across it, towers."""

from __future__ import annotations

import numpy as np

from nearsight.data.drawing import plants, things
from nearsight.data.drawing.land import fliers, places, water
from nearsight.data.drawing.light import RGB, Light, mix, vary
from nearsight.data.drawing.paint import Canvas, Point, ramp_array
from nearsight.data.drawing.scene import Scene
from nearsight.data.drawing.sky import paint_sky
from nearsight.data.drawing.walls import WALL, Plane, flat, quad, receding, wall, windows

_ROOFS: tuple[RGB, ...] = ((150, 74, 52), (96, 92, 96), (120, 62, 48), (78, 84, 92))
_SHUTTERS: tuple[RGB, ...] = ((58, 94, 74), (74, 98, 130), (128, 58, 48), (92, 70, 54))


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


ASPHALT: tuple[RGB, ...] = ((62, 62, 66), (100, 100, 104), (140, 140, 142))
STONES: tuple[RGB, ...] = ((70, 64, 60), (124, 116, 108), (170, 162, 150))
_SLUSH: tuple[RGB, ...] = ((138, 144, 154), (192, 198, 208), (232, 236, 242))


# -- street ----------------------------------------------------------------------------------------------------------
def street(canvas: Canvas, scene: Scene, light: Light) -> None:
    """Two rows of houses that run to a vanishing point, a roadway between them."""
    chance, horizon = canvas.chance, scene.horizon
    vanish = {"middle": 0.5, "left": 0.36, "right": 0.64}[scene.view] + chance.uniform(-0.04, 0.04)
    paint_sky(canvas, scene, light, reach=horizon)
    _distance(canvas, light, horizon, vanish)
    colours = _SLUSH if scene.snowy else STONES if scene.details["road"] == "cobbled" else ASPHALT
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
        shutters = chance.choice(_SHUTTERS) if chance.random() < 0.4 else None
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
        todo.append((0.95 + 0.4 * i + chance.uniform(0, 0.2), "person", colour, (0.43, -0.43, 0.5, -0.49)[i % 4]))
    for i in range(scene.count("tree")):
        todo.append((1.3 + 0.75 * i, "tree", "", (-0.41, 0.41)[i % 2]))
    for i in range(scene.count("street lamp")):
        todo.append((1.15 + 0.7 * i, "street lamp", "", (0.385, -0.385)[i % 2]))
    for z, noun, colour, lane in sorted(todo, reverse=True):
        x, base = vanish + lane / z, horizon + foot * 0.62 / z
        if noun == "car":
            things.car_end(canvas, light, x, base, 0.155 / z, colour, front=lane < 0)
        elif noun == "person":
            things.person(canvas, light, min(0.96, max(0.04, x)), base, 0.2 / z, colour)
        elif noun == "tree":
            plants.broadleaf(canvas, scene, light, x, base, 0.46 / z, 0.1 * z)
        else:
            things.street_lamp(canvas, light, x, base, 0.5 / z, -1 if lane > 0 else 1)


# -- inside city -----------------------------------------------------------------------------------------------------
def inside_city(canvas: Canvas, scene: Scene, light: Light) -> None:
    """House fronts from across the street: several houses, one long front, or a corner shop."""
    chance, kerb = canvas.chance, scene.horizon
    paint_sky(canvas, scene, light, reach=0.7)
    if scene.view == "houses":
        x = -chance.uniform(0.0, 0.2)
        while x < 1.0:
            w = chance.uniform(0.2, 0.36)
            _house(canvas, scene, light, x, x + w, kerb - 0.03, kerb - chance.uniform(0.46, 0.74))
            x += w
    else:
        _front(canvas, scene, light, kerb - 0.03)
    stone = _SLUSH if scene.snowy else ((120, 116, 110), (166, 162, 154), (204, 200, 190))
    canvas.polygon_textured(
        [(0, kerb - 0.035), (1, kerb - 0.035), (1, kerb + 0.02), (0, kerb + 0.02)], "plaster", light.ramp(stone)
    )
    canvas.box(0, kerb + 0.016, 1, kerb + 0.028, light.on((96, 94, 90)))
    paving(canvas, light, kerb + 0.026, _SLUSH if scene.snowy else ASPHALT, 0.5, wet=scene.weather == "rain")
    nouns = [(g.noun, g.colour or "") for g in scene.groups for _ in range(g.count)]
    order = {"tree": 0, "street lamp": 1, "person": 2, "car": 3}
    cars = scene.count("car")
    slots = iter(places(canvas, len(nouns) - cars, 0.07, 0.93))
    bays = iter(places(canvas, cars, 0.04, 0.96))
    for noun, colour in sorted(nouns, key=lambda one: order[one[0]]):
        x = next(bays if noun == "car" else slots)
        if noun == "tree":
            plants.broadleaf(canvas, scene, light, x, kerb, chance.uniform(0.36, 0.5), 0.05)
        elif noun == "street lamp":
            things.street_lamp(canvas, light, x, kerb, 0.46, chance.choice((-1, 1)))
        elif noun == "person":
            things.person(canvas, light, x, kerb + chance.uniform(-0.01, 0.012), 0.17, colour)
        else:
            things.car_side(canvas, light, x, kerb + chance.uniform(0.08, 0.11), 0.115, colour)


def _house(canvas: Canvas, scene: Scene, light: Light, x0: float, x1: float, base: float, top: float) -> None:
    chance = canvas.chance
    same = chance.random() < 0.6
    material = scene.details["walls"] if same else chance.choice(tuple(WALL))
    colour, plane = vary(WALL[material], chance, 0.12), flat(x0, x1, base, top)
    roof = light.on((232, 236, 242) if scene.snowy else vary(chance.choice(_ROOFS), chance))
    middle, over = (x0 + x1) / 2, 0.012
    if scene.details["roof"] == "gabled":
        peak = top - (x1 - x0) * chance.uniform(0.3, 0.5)
        canvas.polygon([(x0, top + 0.01), (middle, peak), (x1, top + 0.01)], light.on(colour, 0, 0.92))
        canvas.line([(x0 - over, top + 0.016), (middle, peak), (x1 + over, top + 0.016)], roof, 0.022)
        canvas.oval(middle, top - (top - peak) * 0.38, 0.018, 0.018, light.on((70, 80, 92)))
    else:
        canvas.polygon([(x0, top), (x0 + 0.02, top - 0.07), (x1 - 0.02, top - 0.07), (x1, top)], roof)
        for t in (0.25, 0.72):
            cx = x0 + (x1 - x0) * t
            canvas.box(cx - 0.016, top - 0.12, cx + 0.016, top - 0.04, light.on((128, 84, 68)))
    wall(canvas, light, plane, material, colour, 0.05)
    floors = max(2, round((base - top) / 0.17))
    columns = max(2, round((x1 - x0) / 0.105))
    shutters = chance.choice(_SHUTTERS) if chance.random() < 0.45 else None
    windows(
        canvas,
        light,
        plane,
        columns,
        floors - 1,
        v0=1 / floors,
        v1=0.98,
        depth=0.05,
        shutters=shutters,
        fill=(0.42, 0.6),
    )
    canvas.polygon(quad(plane, 0, 0.975, 1, 1), light.on(mix(colour, (255, 255, 250), 0.5)))
    _door(canvas, light, plane, (chance.randrange(columns) + 0.5) / columns, 0.035 / (x1 - x0), 0.72 / floors)
    if light.hard:
        canvas.polygon(
            quad(plane, 0 if light.side > 0 else 0.965, 0, 0.035 if light.side > 0 else 1, 0.98),
            light.on(colour, 0.05, 0.7),
        )


def _door(canvas: Canvas, light: Light, plane: Plane, u: float, half: float, v: float) -> None:
    wood = light.on(canvas.chance.choice(((84, 52, 36), (40, 70, 62), (48, 58, 92), (120, 44, 38))))
    canvas.polygon(quad(plane, u - half * 1.3, 0, u + half * 1.3, v * 1.08), light.on((214, 208, 198)))
    canvas.polygon(quad(plane, u - half, 0, u + half, v), wood)
    canvas.polygon(
        quad(plane, u - half * 0.7, v * 0.76, u + half * 0.7, v * 0.94),
        (255, 214, 136) if light.lamps else light.on((84, 96, 110)),
    )


def _front(canvas: Canvas, scene: Scene, light: Light, base: float) -> None:
    """One building across the whole picture."""
    chance = canvas.chance
    material = scene.details["walls"]
    colour = vary(WALL[material], chance, 0.1)
    top = chance.uniform(-0.12, 0.14) if scene.view == "facade" else chance.uniform(0.08, 0.24)
    plane = flat(-0.03, 1.03, base, top)
    wall(canvas, light, plane, material, colour, 0.04)
    floors = max(3, round((base - top) / chance.uniform(0.17, 0.24)))
    columns = chance.randint(4, 7)
    shutters = chance.choice(_SHUTTERS) if chance.random() < 0.3 else None
    windows(
        canvas,
        light,
        plane,
        columns,
        floors - 1,
        v0=1 / floors,
        v1=0.97,
        depth=0.04,
        fill=(chance.uniform(0.34, 0.5), chance.uniform(0.54, 0.66)),
        shutters=shutters,
    )
    trim = light.on(mix(colour, (255, 252, 244), 0.55))
    for floor in range(1, floors):
        canvas.polygon(quad(plane, 0, floor / floors - 0.008, 1, floor / floors + 0.006), trim)
    canvas.polygon(quad(plane, 0, 0.97, 1, 1.0), trim)
    canvas.polygon(quad(plane, 0, 0.96, 1, 0.97), light.on(mix(colour, (30, 26, 24), 0.5)))
    if scene.snowy:
        canvas.polygon(quad(plane, 0, 0.995, 1, 1.02), light.on((242, 245, 250)))
    high = 1 / floors
    cloth: RGB = things.PAINT[scene.details.get("awning", "red")]
    for column in range(columns):
        u, w = (column + 0.5) / columns, 0.4 / columns
        if scene.view == "shop" and column != columns // 2:
            shine: RGB = (255, 220, 148) if light.lamps else light.on((96, 112, 124))
            canvas.polygon(quad(plane, u - w * 1.06, 0, u + w * 1.06, high * 0.82), light.on((70, 54, 44)))
            canvas.polygon(quad(plane, u - w, high * 0.1, u + w, high * 0.78), shine)
            for k in range(6):
                a, b = u - w * 1.1 + w * 2.2 * k / 6, u - w * 1.1 + w * 2.2 * (k + 1) / 6
                fold = light.on(cloth if k % 2 == 0 else (238, 234, 226))
                out = [plane(a, high * 0.92), plane(b, high * 0.92)]
                (ax, ay), (bx, by) = plane(a, high * 0.62), plane(b, high * 0.62)
                canvas.polygon([*out, (bx + 0.004, by), (ax + 0.004, ay)], fold)
        elif column % 3 == 1 or scene.view == "shop":
            _door(canvas, light, plane, u, w * 0.55, high * 0.74)
        else:
            windows(
                canvas,
                light,
                flat(*(p[0] for p in (plane(u - w, 0), plane(u + w, 0))), base, plane(0, high)[1]),
                1,
                1,
                v0=0.2,
                v1=0.9,
                depth=0.04,
                fill=(0.8, 0.8),
            )
    if light.lamps:
        for u in (0.2, 0.5, 0.8):
            x, y = plane(u, high * 0.5)
            canvas.glow(x, y, 0.22, (255, 200, 120), 0.3)


# -- tall building ---------------------------------------------------------------------------------------------------
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
        mirror = canvas.image.crop((0, max(0, 2 * line - n), n, line)).transpose(1)
        water(canvas, light, foot, None, 0.8)
        from PIL import Image

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
                _house(
                    canvas,
                    scene_with_walls(scene),
                    light,
                    x,
                    x + w,
                    base,
                    base - chance.uniform(0.09, 0.14) - 0.02 * row,
                )
                x += w


def scene_with_walls(scene: Scene) -> Scene:
    """The same scene, with the facts that a house needs and a skyline does not state."""
    from dataclasses import replace
    from types import MappingProxyType

    return replace(scene, details=MappingProxyType({**scene.details, "walls": "cream", "roof": "gabled"}))
