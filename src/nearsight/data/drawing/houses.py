"""Inside the city: house fronts from across the street."""

from __future__ import annotations

from nearsight.data.drawing import buildings, plants, things, vehicles
from nearsight.data.drawing.land import places
from nearsight.data.drawing.light import RGB, Light, mix, vary
from nearsight.data.drawing.paint import Canvas
from nearsight.data.drawing.scene import Scene
from nearsight.data.drawing.sky import paint_sky
from nearsight.data.drawing.walls import (
    ASPHALT,
    SHUTTERS,
    SLUSH,
    WALL,
    Plane,
    flat,
    paving,
    quad,
    wall,
    windows,
)

_ROOFS: tuple[RGB, ...] = ((150, 74, 52), (96, 92, 96), (120, 62, 48), (78, 84, 92))


def inside_city(canvas: Canvas, scene: Scene, light: Light) -> None:
    """House fronts from across the street: several houses, one long front, or a corner shop."""
    chance, kerb = canvas.chance, scene.horizon
    paint_sky(canvas, scene, light, reach=0.7)
    if scene.view == "houses":
        x = -chance.uniform(0.0, 0.2)
        while x < 1.0:
            w = chance.uniform(0.2, 0.36)
            house_front(
                canvas,
                light,
                x,
                x + w,
                kerb - 0.03,
                kerb - chance.uniform(0.46, 0.74),
                scene.details["walls"],
                gabled=scene.details["roof"] == "gabled",
                snowy=scene.snowy,
            )
            x += w
    else:
        _front(canvas, scene, light, kerb - 0.03)
    stone = SLUSH if scene.snowy else ((120, 116, 110), (166, 162, 154), (204, 200, 190))
    canvas.polygon_textured(
        [(0, kerb - 0.035), (1, kerb - 0.035), (1, kerb + 0.02), (0, kerb + 0.02)], "plaster", light.ramp(stone)
    )
    canvas.box(0, kerb + 0.016, 1, kerb + 0.028, light.on((96, 94, 90)))
    paving(canvas, light, kerb + 0.026, SLUSH if scene.snowy else ASPHALT, 0.5, wet=scene.weather == "rain")
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
            buildings.street_lamp(canvas, light, x, kerb, 0.46, chance.choice((-1, 1)))
        elif noun == "person":
            things.person(canvas, light, x, kerb + chance.uniform(-0.01, 0.012), 0.17, colour)
        else:
            vehicles.car_side(canvas, light, x, kerb + chance.uniform(0.08, 0.11), 0.115, colour)


def house_front(
    canvas: Canvas,
    light: Light,
    x0: float,
    x1: float,
    base: float,
    top: float,
    material: str,
    *,
    gabled: bool,
    snowy: bool,
) -> None:
    """A house of two floors or more, from straight ahead; mostly of `material`."""
    chance = canvas.chance
    same = chance.random() < 0.6
    material = material if same else chance.choice(tuple(WALL))
    colour, plane = vary(WALL[material], chance, 0.12), flat(x0, x1, base, top)
    roof = light.on((232, 236, 242) if snowy else vary(chance.choice(_ROOFS), chance))
    middle, over = (x0 + x1) / 2, 0.012
    if gabled:
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
    shutters = chance.choice(SHUTTERS) if chance.random() < 0.45 else None
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
    shutters = chance.choice(SHUTTERS) if chance.random() < 0.3 else None
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
                flat(plane(u - w, 0)[0], plane(u + w, 0)[0], base, plane(0, high)[1]),
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
