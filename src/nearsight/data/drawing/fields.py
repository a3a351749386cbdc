"""The green scenes: open country and forest."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from nearsight.data.drawing import buildings, plants, things, vehicles
from nearsight.data.drawing.land import fliers, ground, massif, places, ridge, water
from nearsight.data.drawing.light import RGB, Light, mix, vary
from nearsight.data.drawing.paint import Canvas, ramp_array
from nearsight.data.drawing.scene import Scene
from nearsight.data.drawing.sky import paint_sky

_CROPS: dict[str, tuple[RGB, ...]] = {
    "wheat": ((140, 104, 46), (206, 168, 84), (240, 212, 134)),
    "lavender": ((62, 66, 48), (118, 92, 160), (176, 146, 212)),
    "flowers": ((46, 72, 26), (104, 138, 48), (176, 186, 84)),
    "ploughed": ((64, 44, 32), (112, 80, 58), (160, 124, 94)),
    "vineyard": ((112, 88, 60), (84, 108, 46), (136, 164, 74)),
}


def open_country(canvas: Canvas, scene: Scene, light: Light) -> None:
    """Fields to the horizon: hills, a wood or nothing behind; a crop in rows or a meadow before."""
    chance, horizon = canvas.chance, scene.horizon
    paint_sky(canvas, scene, light)
    crop = scene.details["crop"]
    grass = plants.grass(scene, chance)
    if scene.details["far"] == "hills":
        for step in range(3):
            t = step / 2
            line = ridge(canvas, -0.1, 1.1, horizon + 0.01, 0.13 - 0.04 * step, 0.38)
            colours = tuple(mix(a, (96, 110, 120), 0.35 - 0.3 * t) for a in grass)
            canvas.polygon_textured(
                [(-0.1, horizon + 0.02), *line, (1.1, horizon + 0.02)],
                "leaves",
                light.ramp(colours, 0.95 - 0.4 * t),
                zoom=0.4,
            )
    elif scene.details["far"] == "trees":
        plants.hedge(canvas, scene, light, horizon + 0.01, chance.uniform(0.05, 0.09), 0.6)
    _patchwork(canvas, scene, light, grass)
    near = horizon + (1 - horizon) * 0.2
    if crop == "meadow":
        plants.tufts(canvas, light, grass, near + 0.12, 90)
    else:
        _rows(canvas, light, near, crop)
    if crop == "flowers":
        bloom: RGB = chance.choice(((240, 200, 40), (214, 44, 40), (236, 236, 228), (232, 140, 190)))
        for _ in range(620):
            t = chance.random() ** 0.8
            y = near + 0.01 + (1.0 - near) * t
            r = 0.0016 + 0.0065 * t
            canvas.oval(chance.random(), y, r, r * 0.75, light.on(vary(bloom, chance, 0.15), 0.3 * (1 - t)))
    if chance.random() < 0.4:
        plants.hedge(canvas, scene, light, near + 0.006, 0.03, 0.3, count=34)
    _farm(canvas, scene, light, near)
    for group in scene.groups:
        if group.noun == "hot-air balloon":
            for x in places(canvas, group.count, 0.12, 0.88):
                r = chance.uniform(0.035, 0.06)
                vehicles.balloon(
                    canvas, light, x, chance.uniform(0.09, max(0.1, horizon - 0.2)), r, group.colour or "red"
                )


def _patchwork(canvas: Canvas, scene: Scene, light: Light, grass: tuple[RGB, ...]) -> None:
    """Fields of several colours on the plain, parted along lines that run to the horizon."""
    chance = canvas.chance
    ground(canvas, light, scene.horizon, grass)
    y0, y1 = scene.horizon + 0.008, scene.horizon + (1 - scene.horizon) * 0.22
    for step in range(3):
        t0, t1 = step / 3, (step + 1) / 3
        a, b = y0 + (y1 - y0) * t0**1.4, y0 + (y1 - y0) * t1**1.4
        x = chance.uniform(-0.2, 0.1)
        while x < 1.1:
            w = chance.uniform(0.15, 0.5)
            tone = mix(
                grass[1], chance.choice(list(_CROPS.values()))[1], 0.0 if scene.snowy else chance.uniform(0.1, 0.75)
            )
            if chance.random() < 0.75:
                lean = chance.uniform(-0.06, 0.06)
                ramp = light.ramp([vary(tone, chance, 0.05), mix(tone, (255, 255, 230), 0.12)], 0.75 - 0.4 * t1)
                canvas.polygon_textured(
                    [(x, a), (x + w * 0.92, a), (x + w + lean, b), (x + lean, b)], "grass", ramp, zoom=0.3
                )
            x += w


def _rows(canvas: Canvas, light: Light, top: float, crop: str) -> None:
    """The near field, drawn up in rows that run to a vanishing point."""
    chance = canvas.chance
    colours = tuple(vary(c, chance, 0.06) for c in _CROPS[crop])
    horizon = top - 0.1
    first, _, _, _ = canvas.plane(top)
    rows = canvas.size - first
    ys = np.arange(first, canvas.size, dtype=np.float32)[:, None] / canvas.size
    depth = 1 / (ys - horizon + 0.02)
    xs = np.arange(canvas.size, dtype=np.float32)[None, :] / canvas.size
    across = (xs - chance.uniform(0.1, 0.9)) * depth
    pitch = {"wheat": 0.0, "flowers": 0.0, "lavender": 6.5, "ploughed": 9.0, "vineyard": 4.5}[crop]
    t = (ys - top) / (1 - top)
    fine = canvas.sample(across * 120, depth * 190) - 0.5
    tall = canvas.noise(rows, 0.12, 0.3) - 0.5
    value = 0.5 + (0.7 * fine + 0.6 * tall) * np.clip(t * 3 + 0.25, 0, 1)
    if pitch:
        stripes = np.cos(across * pitch * 2 * np.pi * 0.32 + 0.8 * fine)
        value = value * 0.7 + 0.15 + 0.42 * stripes * np.clip(t * 4 + 0.2, 0, 1)
    rgb = ramp_array(np.clip(value, 0, 1), light.ramp(colours))
    seen = np.exp(-light.density * 0.5 * (1 - t) ** 2)[..., None]
    haze = np.array(light.haze, np.float32)
    edge = np.clip((ys - top - 0.012 * canvas.noise(1, 0.4)) * canvas.size, 0, 1)
    canvas.put(haze + (rgb - haze) * seen, first, edge)


def _farm(canvas: Canvas, scene: Scene, light: Light, near: float) -> None:
    chance = canvas.chance
    nouns = ("barn", "windmill", "tree", "cow", "sheep", "hay bale")
    found = [(g.noun, g.colour) for noun in nouns for g in scene.groups if g.noun == noun for _ in range(g.count)]
    spots = places(canvas, len(found), 0.08, 0.92)
    later = []
    for (noun, colour), x in zip(found, spots, strict=True):
        if noun == "barn":
            wall: RGB = (152, 46, 38) if colour == "red" else (112, 78, 52)
            h = chance.uniform(0.1, 0.16)
            canvas.note(noun, colour, x, near + 0.02)
            buildings.house(canvas, light, x, near + 0.02, h, wall, (82, 74, 74), 0.18, snow=scene.snowy)
        elif noun == "windmill":
            buildings.windmill(canvas, light, x, near + 0.02, chance.uniform(0.26, 0.36), 0.15)
        elif noun == "tree":
            base = near + chance.uniform(0.02, 0.12)
            plants.broadleaf(canvas, scene, light, x, base, chance.uniform(0.24, 0.38), 0.12)
        else:
            later.append((near + (0.95 - near) * chance.uniform(0.3, 0.75), noun, colour, x))
    for base, noun, colour, x in sorted(later, key=lambda one: one[0]):
        t = (base - near) / (1 - near)
        if noun == "hay bale":
            things.hay_bale(canvas, light, x, base, 0.05 + 0.08 * t)
        else:
            things.beast(canvas, light, x, base, (0.07 if noun == "cow" else 0.05) + 0.06 * t, noun, colour)


def forest(canvas: Canvas, scene: Scene, light: Light) -> None:
    """Trunks and crowns, one row behind another into the haze; a path, a stream, a clearing or undergrowth before."""
    chance, horizon = canvas.chance, scene.horizon
    trees = scene.details["trees"]
    colours = plants.leaves("summer" if trees == "pine" and not scene.snowy else scene.season, chance)
    paint_sky(canvas, scene, light, reach=horizon)
    if scene.view == "clearing" and chance.random() < 0.4:
        massif(canvas, scene, light, horizon, horizon * 0.55, sharp=False)
    else:
        _backdrop(canvas, light, horizon, colours)
    floor = plants.grass(scene, chance) if scene.view == "clearing" else _litter(scene, colours)
    ground(canvas, light, horizon, floor, haze=0.7)
    if scene.view == "stream":
        _stream(canvas, light, horizon, _way(canvas, scene))
    elif scene.view == "path":
        _path(canvas, scene, light, horizon, _way(canvas, scene))
    rows = 4
    for row in range(rows):
        t = row / (rows - 1)
        depth = 0.75 * (1 - t)
        base = horizon + 0.02 + (1 - horizon) * (0.62 if scene.view == "clearing" else 0.8) * t**1.5
        count = round(13 - 8 * t)
        gap = {"thicket": 0.0, "clearing": 0.5}.get(scene.view, 0.22) * (0.35 + 0.65 * t)
        for i in range(count):
            x = (i + chance.uniform(0.1, 0.9)) / count * 1.2 - 0.1
            if abs(x - 0.5) < gap:
                continue
            y = base + chance.uniform(-0.01, 0.03)
            _tree(canvas, scene, light, trees, x, y, t, depth, colours)
        if scene.view == "thicket" or t < 0.7:
            for _ in range(round(7 - 3 * t)):
                x = chance.random()
                if abs(x - 0.5) > gap * 0.9:
                    r = 0.04 + 0.07 * t
                    plants.crown(canvas, light, x, base + 0.01, r * 1.5, r * 0.8, colours, depth * 0.8)
    if light.hard and scene.low is False and chance.random() < 0.7:
        _beams(canvas, light)
    _dwellers(canvas, scene, light)
    plants.tufts(canvas, light, floor, horizon + 0.16, 50)


def _litter(scene: Scene, colours: tuple[RGB, ...]) -> tuple[RGB, ...]:
    if scene.snowy:
        return ((160, 172, 190), (214, 222, 232), (246, 248, 252))
    base: RGB = (120, 84, 48) if scene.season == "autumn" else (74, 70, 40)
    return tuple(mix(c, base, 0.6) for c in colours)


def _backdrop(canvas: Canvas, light: Light, horizon: float, colours: tuple[RGB, ...]) -> None:
    """Far foliage, denser downwards, that lets the sky through above."""
    rows = round((horizon + 0.03) * canvas.size)
    ys = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    forms = canvas.noise(rows, 0.7, 0.9)
    dapple = canvas.noise(rows, 0.16, 0.16)
    cover = np.clip((forms * 0.6 + dapple * 0.4 + ys * 1.1 - canvas.chance.uniform(0.35, 0.65)) * 9, 0, 1)
    value = np.clip(0.15 + 0.45 * dapple + 0.3 * (1 - ys) * forms + 0.12 * (1 - ys), 0, 1)
    canvas.put(ramp_array(value, light.ramp(colours, 0.75)), 0, cover)


def _tree(
    canvas: Canvas,
    scene: Scene,
    light: Light,
    trees: str,
    x: float,
    y: float,
    t: float,
    depth: float,
    colours: tuple[RGB, ...],
) -> None:
    chance = canvas.chance
    if trees == "birch":
        plants.birch(canvas, light, x, y, 0.012 + 0.05 * t * chance.uniform(0.7, 1.1), depth)
        if t < 0.99:
            plants.crown(canvas, light, x, chance.uniform(0.0, 0.2), 0.09 + 0.05 * t, 0.09, colours, depth)
    elif trees == "pine":
        if t > 0.6 and chance.random() < 0.6:
            plants.trunk(canvas, light, x, y, 0.02 + 0.06 * t, depth, (96, 66, 48))
        else:
            plants.pine(canvas, scene, light, x, y, 0.3 + 0.5 * t * chance.uniform(0.75, 1.05), depth)
    else:
        lean = chance.uniform(-0.05, 0.05)
        plants.trunk(canvas, light, x, y, 0.014 + 0.075 * t * chance.uniform(0.6, 1.1), depth, lean=lean)
        for _ in range(2 if t < 0.9 else 3):
            cx = x + lean + chance.uniform(-0.14, 0.14)
            plants.crown(
                canvas,
                light,
                cx,
                chance.uniform(-0.02, 0.3 - 0.12 * t),
                0.09 + 0.09 * t,
                0.07 + 0.05 * t,
                colours,
                depth,
            )


def _way(canvas: Canvas, scene: Scene) -> list[tuple[float, float, float]]:
    """A winding way from the lower edge to the horizon: (middle, y, half width)."""
    chance, horizon = canvas.chance, scene.horizon
    bend, sway = chance.uniform(-0.16, 0.16), chance.uniform(1.5, 3.5)
    way = []
    for i in range(18):
        t = i / 17
        middle = 0.5 + bend * np.sin(sway * (1 - t)) * (1 - t) ** 0.5 * (0.3 + t)
        way.append((float(middle), horizon + 0.012 + (1.02 - horizon) * t**1.6, 0.012 + 0.21 * t**1.5))
    return way


def _outline(canvas: Canvas, way: list[tuple[float, float, float]], wide: float) -> list[tuple[float, float]]:
    rough = canvas.chance.uniform
    left = [(x - w * wide * rough(0.92, 1.08), y) for x, y, w in way]
    return left + [(x + w * wide * rough(0.92, 1.08), y) for x, y, w in reversed(way)]


def _path(canvas: Canvas, scene: Scene, light: Light, horizon: float, way: list[tuple[float, float, float]]) -> None:
    earth: tuple[RGB, ...] = ((96, 72, 50), (150, 120, 88), (198, 172, 136))
    if scene.snowy:
        earth = ((176, 180, 190), (204, 208, 216), (232, 234, 240))
    canvas.polygon_textured(
        _outline(canvas, way, 1.12), "plaster", light.ramp([mix(c, (40, 36, 24), 0.45) for c in earth], 0.15), zoom=0.6
    )
    canvas.polygon_textured(_outline(canvas, way, 0.95), "plaster", light.ramp(earth, 0.15), zoom=0.5)


def _stream(canvas: Canvas, light: Light, horizon: float, way: list[tuple[float, float, float]]) -> None:
    before = canvas.image.copy()
    water(canvas, light, horizon, None, 1.2)
    surface = canvas.image.copy()
    canvas.image.paste(before)
    bank = light.ramp(((40, 36, 30), (84, 76, 62), (130, 122, 104)), 0.15)
    canvas.polygon_textured(_outline(canvas, way, 1.2), "rock", bank, zoom=0.5)
    mask = Image.new("L", surface.size)
    ImageDraw.Draw(mask).polygon(canvas.px(_outline(canvas, way, 0.98)), fill=235)
    canvas.image.paste(surface, (0, 0), mask)
    chance = canvas.chance
    for x, y, w in way[5::2]:
        for _ in range(2):
            r = 0.25 * w * chance.uniform(0.4, 1)
            sx = x + chance.uniform(-0.9, 0.9) * w
            canvas.oval(sx, y + r * 0.25, r * 1.15, r * 0.3, light.on((214, 224, 226), 0.2))
            canvas.oval(sx, y, r, r * 0.62, light.on(vary((96, 92, 88), chance), 0.1))
            canvas.oval(sx - light.side * r * -0.2, y - r * 0.18, r * 0.6, r * 0.3, light.on((142, 138, 130), 0.1))


def _beams(canvas: Canvas, light: Light) -> None:
    """Sunlight through the crowns."""
    chance, n = canvas.chance, canvas.n
    quarter = n // 4
    mask = Image.new("L", (quarter, quarter))
    pen = ImageDraw.Draw(mask)
    for _ in range(5):
        x, w = chance.uniform(0.0, 1.0), chance.uniform(0.03, 0.09)
        lean = -light.side * chance.uniform(0.3, 0.4)
        corners = [(x, 0.0), (x + w, 0.0), (x + w * 1.8 + lean, 0.9), (x + lean, 0.9)]
        pen.polygon([(a * quarter, b * quarter) for a, b in corners], fill=chance.randint(26, 60))
    mask = mask.filter(ImageFilter.GaussianBlur(quarter / 40)).resize((n, n), Image.Resampling.BILINEAR)
    canvas.image.paste((255, 246, 206), (0, 0), mask)


def _dwellers(canvas: Canvas, scene: Scene, light: Light) -> None:
    chance, horizon = canvas.chance, scene.horizon
    found = [(g.noun, g.colour) for g in scene.groups for _ in range(g.count) if g.noun != "bird"]
    narrow = scene.view in ("path", "stream", "thicket")
    spots = places(canvas, len(found), 0.34 if narrow else 0.22, 0.66 if narrow else 0.78)
    for (noun, colour), x in zip(found, spots, strict=True):
        base = horizon + (1 - horizon) * chance.uniform(0.42, 0.7)
        if noun == "deer":
            things.deer(canvas, light, x, base, chance.uniform(0.2, 0.26))
        elif noun == "person":
            things.person(canvas, light, x, base, 0.19, colour or "red")
        else:
            buildings.tent(canvas, light, x, base + 0.06, 0.13, colour or "orange")
    fliers(canvas, scene, light, "bird", (30, 30, 30), 0.2)
