"""The open scenes: coast, mountain, open country, forest."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.data.drawing import buildings, plants, things, vehicles
from nearsight.data.drawing.light import RGB, Light, mix, vary
from nearsight.data.drawing.paint import Canvas, ramp_array, shifted
from nearsight.data.drawing.scene import Scene
from nearsight.data.drawing.sky import paint_sky

SAND: tuple[RGB, ...] = ((150, 126, 92), (204, 180, 138), (238, 220, 182))
ROCK: tuple[RGB, ...] = ((46, 42, 42), (112, 104, 98), (186, 176, 164))
SNOW: tuple[RGB, ...] = ((150, 166, 196), (214, 222, 236), (252, 253, 255))


def places(canvas: Canvas, count: int, low: float = 0.08, high: float = 0.92) -> list[float]:
    """`count` x positions in random order, none near another."""
    step = (high - low) / max(count, 1)
    spots = [low + step * (i + 0.5 + canvas.chance.uniform(-0.22, 0.22)) for i in range(count)]
    canvas.chance.shuffle(spots)
    return spots


def fliers(canvas: Canvas, scene: Scene, light: Light, noun: str, colour: RGB, low: float) -> None:
    """The birds of the scene, spread over the sky above `low`."""
    count = scene.count(noun)
    for x in places(canvas, count, 0.1, 0.9):
        span = canvas.chance.uniform(0.045, 0.075)
        y = canvas.chance.uniform(0.08, low)
        canvas.note(noun, None, x, y)
        things.flier(canvas, light, x, y, span, colour)


def ridge(
    canvas: Canvas, x0: float, x1: float, base: float, height: float, rough: float, steps: int = 64
) -> list[tuple[float, float]]:
    """A skyline by midpoint displacement, from x0 to x1, `height` above `base` at most, about."""
    heights = np.zeros(steps + 1)
    span, jump = steps, height * 0.5
    while span > 1:
        for i in range(span // 2, steps, span):
            heights[i] = (heights[i - span // 2] + heights[i + span // 2]) / 2 + canvas.chance.uniform(-0.3, 1) * jump
        span //= 2
        jump *= rough
    peak = float(heights.max()) or 1.0
    return [(x0 + (x1 - x0) * i / steps, base - height * max(float(h), 0) / peak) for i, h in enumerate(heights)]


def water(
    canvas: Canvas, light: Light, top: float, sun: tuple[float, float] | None, choppy: float, bottom: float = 1.0
) -> None:
    """Water from `top` down to `bottom`: the sky's colours, waves in perspective, the glitter of a low sun."""
    first, near, gx, gz = canvas.plane(top, 0.45)
    rows = round(bottom * canvas.size) - first
    near, gx, gz = near[:rows], gx[:rows], gz[:rows]
    wave = canvas.sample(gx * 0.35, gz * 1.6) - 0.5
    fine = canvas.sample(gx * 1.3, gz * 4.0) - 0.5
    relief = (wave + 0.7 * fine) * np.clip(near * 4 + 0.15, 0, 1) * choppy
    far = mix(light.low, light.haze, 0.4)
    deep = light.on((30, 74, 96))
    mean = mix(far, light.top, 0.5)
    value = np.clip(0.35 + 0.55 * (1 - near) ** 2 + relief, 0, 1)
    rgb = ramp_array(
        value, [mix(deep, (0, 0, 0), 0.25), mix(deep, mean, 0.35), mix(mean, far, 0.4), mix(far, (255, 255, 255), 0.12)]
    )
    if sun is not None:
        xs = np.arange(canvas.size, dtype=np.float32)[None, :] / canvas.size
        path = np.exp(-(((xs - sun[0]) / (0.035 + 0.13 * near)) ** 2))
        sparkle = np.clip((fine + wave * 0.6 + 0.24) * 3.2, 0, 1) * path * (1 - 0.55 * near)
        rgb += (np.array(mix(light.low, (255, 240, 205), 0.55), np.float32) - rgb) * sparkle[..., None]
    canvas.put(rgb, first)


def ground(
    canvas: Canvas, light: Light, top: float, colours: tuple[RGB, ...], *, grain: float = 1.0, haze: float = 1.0
) -> None:
    """Ground in perspective from `top` to the lower edge, in a ramp of colours that fades into the haze."""
    first, near, gx, gz = canvas.plane(top, 1.0)
    coarse = canvas.sample(gx * 0.5, gz * 0.8)
    fine = canvas.sample(gx * 2.4 * grain, gz * 4.0 * grain)
    value = 0.5 + (0.5 * (coarse - 0.5) + 0.75 * (fine - 0.5)) * np.clip(near * 4 + 0.1, 0, 1)
    rgb = ramp_array(value, light.ramp(colours))
    seen = np.exp(-light.density * haze * (1 - near) ** 3)[..., None]
    canvas.put(np.array(light.haze, np.float32) + (rgb - np.array(light.haze, np.float32)) * seen, first)


# -- coast -----------------------------------------------------------------------------------------------------------
def coast(canvas: Canvas, scene: Scene, light: Light) -> None:
    """Sea to the horizon; a beach, rocks or nothing before it; an island or a headland far off."""
    chance, horizon = canvas.chance, scene.horizon
    sun = paint_sky(canvas, scene, light)
    far = scene.details["far"]
    if far == "island":
        x = chance.uniform(0.1, 0.6)
        line = ridge(canvas, x, x + chance.uniform(0.2, 0.4), horizon + 0.004, chance.uniform(0.03, 0.09), 0.5)
        canvas.polygon(line, light.on((74, 88, 84), 0.9))
    water(canvas, light, horizon, sun if scene.low else None, 1.0 if scene.details["sea"] == "choppy" else 0.45)
    if far == "headland":
        _headland(canvas, scene, light)
    boats = [g.colour or "white" for g in scene.groups if g.noun == "sailing boat" for _ in range(g.count)]
    shore = scene.details["shore"]
    floor = {"sandy beach": 0.62, "rocky shore": 0.66, "open sea": 0.85}[shore]
    for x, colour in zip(places(canvas, len(boats), 0.16, 0.84), boats, strict=True):
        t = chance.uniform(0.12, 0.5)
        base = horizon + (1 - horizon) * t * floor * 0.7
        vehicles.sailing_boat(canvas, light, x, base, 0.07 + 0.2 * t, colour, 0.5 * (1 - t))
    if scene.details["sea"] == "choppy":
        for _ in range(26):
            t = chance.random() ** 1.5 * floor
            y, w = horizon + (1 - horizon) * (0.06 + 0.9 * t), 0.012 + 0.07 * t
            x = chance.random()
            bow = [(x - w, y), (x - w * 0.3, y - 0.006 * (0.3 + t)), (x + w * 0.5, y - 0.003), (x + w, y + 0.002)]
            canvas.line(bow, light.on((236, 242, 244), 0.3 * (1 - t)), 0.0025 + 0.006 * t)
    if shore == "sandy beach":
        _beach(canvas, scene, light, horizon + (1 - horizon) * floor)
    elif shore == "rocky shore":
        _boulders(canvas, scene, light, horizon + (1 - horizon) * floor)
    fliers(canvas, scene, light, "gull", (238, 240, 240), horizon * 0.8)


def _headland(canvas: Canvas, scene: Scene, light: Light) -> None:
    chance, horizon, side = canvas.chance, scene.horizon, scene.side
    tall, reach = chance.uniform(0.1, 0.2), chance.uniform(0.34, 0.5)
    edge = 0.0 if side > 0 else 1.0
    tip = edge + side * reach
    foot = horizon + 0.03
    n = 22
    top = []
    for i in range(n + 1):
        t = i / n
        fall = (1 - t**5) * (0.75 + 0.25 * math.cos(t * 3)) + chance.uniform(-0.05, 0.05)
        top.append((edge + (tip - edge) * t, foot - tall * max(0.05, fall)))
    canvas.polygon_textured(
        [(edge, foot), *top, (tip + side * 0.02, foot)],
        "rock",
        light.ramp(ROCK, 0.4),
        shade="left" if light.side < 0 else "right",
    )
    green = light.ramp(plants.grass(scene, chance), 0.4)
    canvas.polygon_textured(
        [*top[:-2], *[(x, y + tall * 0.24 + chance.uniform(0, 0.02)) for x, y in reversed(top[:-2])]],
        "leaves",
        green,
        zoom=0.5,
    )
    if scene.count("lighthouse"):
        colour = next(g.colour for g in scene.groups if g.noun == "lighthouse") or "white"
        x, y = top[round(n * 0.62)]
        buildings.lighthouse(canvas, light, x, y + 0.012, chance.uniform(0.16, 0.22), colour, 0.2)


def _beach(canvas: Canvas, scene: Scene, light: Light, top: float) -> None:
    chance = canvas.chance
    size = canvas.size
    slant, bend, phase = chance.uniform(-0.09, 0.09), chance.uniform(0.01, 0.04), chance.uniform(0, 6)
    xs = np.arange(size, dtype=np.float32) / size
    edge = top + slant * (xs - 0.5) + bend * np.sin(xs * 5 + phase) + 0.012 * np.sin(xs * 17 + phase * 2)
    first = int(edge.min() * size) - round(0.05 * size)
    ys = (np.arange(first, size, dtype=np.float32) / size)[:, None]
    rows = size - first
    below = ys - edge[None, :]
    sand = SNOW if scene.snowy else tuple(vary(c, chance, 0.06) for c in SAND)
    grain = 0.55 * canvas.noise(rows, 0.25, 0.12) + 0.45 * canvas.noise(rows, 1.6, 0.5)
    rgb = ramp_array(np.clip(grain, 0, 1), light.ramp(sand))
    wet = np.clip(1 - below / 0.06, 0, 1)[..., None]
    rgb += (rgb * 0.62 + np.array(light.low, np.float32) * 0.12 - rgb) * wet
    froth = canvas.noise(rows, 0.5, 0.35)
    foam = np.clip(1 - np.abs(below - 0.004) / 0.012, 0, 1) + np.clip(1 - np.abs(below + 0.035) / 0.008, 0, 1) * (
        froth > 0.45
    )
    foam = np.clip(foam * (0.55 + froth), 0, 1)
    rgb += (np.array(light.on((246, 250, 250), 0, 1.0), np.float32) - rgb) * foam[..., None]
    canvas.put(rgb, first, np.maximum(np.clip(below * size / 2, 0, 1), foam * 0.9))
    nouns = [
        (g.noun, g.colour or "white")
        for g in scene.groups
        if g.noun in ("person", "parasol", "palm tree")
        for _ in range(g.count)
    ]
    for (noun, colour), x in sorted(
        zip(nouns, places(canvas, len(nouns), 0.06, 0.94), strict=True), key=lambda one: one[0][0]
    ):
        t = chance.uniform(0.25, 0.75)
        base = top + 0.06 + (0.97 - top - 0.06) * t
        if noun == "person":
            things.person(canvas, light, x, base, 0.1 + 0.09 * t, colour)
        elif noun == "parasol":
            things.parasol(canvas, light, x, base, 0.11 + 0.09 * t, colour)
        else:
            plants.palm(canvas, light, x, base, chance.uniform(0.42, 0.6))


def _boulders(canvas: Canvas, scene: Scene, light: Light, top: float) -> None:
    chance = canvas.chance
    colours = tuple(vary(c, chance, 0.1) for c in ROCK)
    for step in range(26):
        t = step / 25
        x, y = chance.uniform(-0.05, 1.05), top - 0.05 + (1.08 - top) * t
        r = 0.03 + 0.13 * t * chance.uniform(0.5, 1)
        corners = [
            (
                x + math.cos(a) * r * chance.uniform(0.8, 1.2),
                y - max(-0.3, math.sin(a)) * r * 0.6 * chance.uniform(0.75, 1.1),
            )
            for a in np.linspace(0, 2 * math.pi, 11)[:-1]
        ]
        canvas.oval(x, y + r * 0.18, r * 1.2, r * 0.14, light.on((226, 236, 238), 0.2))
        canvas.polygon_textured(
            corners, "rock", light.ramp(colours, 0.25 * (1 - t)), shade="left" if light.side < 0 else "right"
        )
        if scene.snowy:
            canvas.polygon([p for p in corners if p[1] < y - r * 0.2] or corners[:3], light.on(SNOW[1], 0.2 * (1 - t)))


# -- mountain --------------------------------------------------------------------------------------------------------
def mountain(canvas: Canvas, scene: Scene, light: Light) -> None:
    """A massif with lit and shaded faces under the sky; a lake, pines, a meadow or rocks before it."""
    chance, foot = canvas.chance, scene.horizon
    sharp = scene.details["peak"] == "sharp"
    paint_sky(canvas, scene, light, reach=foot)
    back = ridge(canvas, -0.1, 1.1, foot, foot * chance.uniform(0.35, 0.55), 0.55)
    canvas.polygon([(-0.1, foot), *back, (1.1, foot)], light.on((92, 102, 122), 1.0))
    massif(canvas, scene, light, foot, foot * chance.uniform(0.68, 0.86), sharp=sharp)
    view = scene.view
    if view == "lake":
        hill = ridge(canvas, -0.1, 1.1, foot + 0.01, 0.06, 0.6)
        plants_ramp = light.ramp(plants.leaves("winter" if scene.snowy else "summer", chance), 0.45)
        canvas.polygon_textured([(-0.1, foot + 0.012), *hill, (1.1, foot + 0.012)], "leaves", plants_ramp, zoom=0.45)
        n, cut = canvas.n, round((foot + 0.012) * canvas.n)
        mirror = canvas.image.crop((0, max(0, 2 * cut - n), n, cut)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        water(canvas, light, foot + 0.012, None, 0.5)
        canvas.image.paste(mirror, (0, cut), Image.new("L", mirror.size, 150))
        for _ in range(14):
            x, y, w = chance.random(), chance.uniform(foot + 0.03, 0.98), chance.uniform(0.04, 0.16)
            canvas.line([(x, y), (x + w, y)], mix(light.low, light.haze, 0.5), 0.0022)
    elif view == "pines":
        ground(canvas, light, foot, plants.grass(scene, chance))
        for row in range(4):
            t = row / 3
            for x in np.linspace(-0.03, 1.03, 15 - row * 3):
                plants.pine(
                    canvas,
                    scene,
                    light,
                    float(x) + chance.uniform(-0.03, 0.03),
                    foot + 0.03 + 0.3 * t * (1 - foot) + 0.12 * t,
                    0.09 + 0.16 * t * chance.uniform(0.7, 1.1),
                    0.5 * (1 - t),
                )
    elif view == "meadow":
        colours = plants.grass(scene, chance)
        ground(canvas, light, foot, colours)
        for x in places(canvas, 9, -0.02, 1.02):
            plants.pine(canvas, scene, light, x, foot + chance.uniform(0.0, 0.02), chance.uniform(0.05, 0.1), 0.5)
        plants.tufts(canvas, light, colours, foot + 0.1)
    else:
        ground(canvas, light, foot, SNOW if scene.snowy else ((70, 62, 54), (128, 116, 98), (170, 160, 140)))
        _boulders(canvas, scene, light, foot + 0.12)
    placed = [(g.noun, g.colour) for g in scene.groups if g.noun in ("cabin", "tent", "sheep") for _ in range(g.count)]
    for (noun, colour), x in zip(placed, places(canvas, len(placed), 0.16, 0.86), strict=True):
        t = chance.uniform(0.25, 0.8)
        base = foot + 0.03 + (0.93 - foot) * t
        if noun == "cabin":
            base = foot + (0.06 if view == "meadow" else 0.02)
            canvas.note(noun, colour, x, base)
            buildings.house(canvas, light, x, base, 0.1, (116, 80, 54), (84, 60, 50), 0.15, snow=scene.snowy)
        elif noun == "tent":
            buildings.tent(canvas, light, x, base, 0.08 + 0.04 * t, colour or "orange")
        else:
            things.beast(canvas, light, x, base, 0.05 + 0.05 * t, "sheep", colour)
    fliers(canvas, scene, light, "bird", (40, 38, 40), foot * 0.35)


def massif(canvas: Canvas, scene: Scene, light: Light, foot: float, height: float, *, sharp: bool) -> None:
    """A relief lit from the side: heights by ridged noise under one to three peaks, snow above a ragged line."""
    chance, size = canvas.chance, canvas.size
    rows = round(foot * size)
    xs = np.arange(size, dtype=np.float32)[None, :] / size
    peaks = [(chance.uniform(0.25, 0.75), 1.0)]
    peaks += [(chance.uniform(0.0, 1.0), chance.uniform(0.5, 0.92)) for _ in range(chance.randint(1, 4))]
    steep = chance.uniform(1.2, 1.9) if sharp else chance.uniform(0.7, 1.1)
    skyline: NDArray[np.float32] = np.max(
        [h - steep * np.abs(xs - x) ** (0.9 if sharp else 1.25) for x, h in peaks], axis=0
    )
    skyline = skyline + (canvas.noise(1, 1.6) - 0.5) * 0.3 + (canvas.noise(1, 0.7) - 0.5) * 0.2
    skyline = np.maximum(skyline + (canvas.noise(1, 0.22) - 0.5) * (0.1 if sharp else 0.05), 0.16)
    top = foot - height * skyline / float(skyline.max())
    ys = (np.arange(rows, dtype=np.float32) / size)[:, None]
    below = ys - top
    centre = np.float32(peaks[0][0])
    across = (xs - centre) / (0.7 + 0.9 * np.clip(below, 0, 1))
    warp = canvas.noise(rows, 1.3, 1.3) - 0.5  # bends the ribs, so that they do not all run from the summit
    relief = canvas.sample(across * 210 + 150 * warp + 256, below * 150 - 60 * warp + 256)
    detail = canvas.sample(across * 560 + 260 * warp + 256, below * 430 + 256)
    rock_height = np.abs(relief - 0.5) * -2 + 0.4 * detail
    step = max(1, size // 128)
    slope = (shifted(rock_height, 0, step) - rock_height) * -scene.side + 0.3 * (
        rock_height - shifted(rock_height, step, 0)
    )
    shade = np.clip(0.46 + 2.4 * slope + 0.22 * (detail - 0.5) - 0.1 * scene.side * (xs - centre), 0, 1)
    tone = chance.choice(((1.0, 0.97, 0.94), (1.1, 0.95, 0.84), (0.9, 0.95, 1.03)))
    rock = [(c[0] * tone[0], c[1] * tone[1], c[2] * tone[2]) for c in ROCK]
    rgb = ramp_array(shade, light.ramp(rock, 0.25))
    if scene.details.get("cap", "snow") == "snow" or scene.snowy:
        line = 0.75 if scene.snowy else chance.uniform(0.2, 0.45)
        altitude = (foot - ys) / height
        cover = np.clip((altitude - (1 - line) + (relief - 0.5) * 0.5 + (shade - 0.5) * 0.5) * 7, 0, 1)
        rgb += (ramp_array(np.clip(shade + 0.12, 0, 1), light.ramp(SNOW, 0.2)) - rgb) * cover[..., None]
    if not scene.snowy:
        wood = np.clip(((ys - (foot - 0.3 * height)) / height + (detail - 0.5) * 0.2) * 9, 0, 1)
        rgb += (ramp_array(detail * 0.7, light.ramp(plants.leaves("summer", chance), 0.4)) - rgb) * wood[..., None]
    fade = (0.5 * np.clip((ys - top) / (foot - top + 1e-3), 0, 1) ** 2 * min(1.0, light.density))[..., None]
    rgb += (np.array(light.haze, np.float32) - rgb) * fade
    canvas.put(rgb, 0, np.clip(below * size + 0.5, 0, 1))
