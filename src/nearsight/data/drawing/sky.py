"""Sky and weather: gradients, clouds, sun, moon and stars behind a scene; rain, snow and fog before it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from nearsight.data.drawing.light import Light, mix
from nearsight.data.drawing.paint import Canvas, shifted
from nearsight.data.drawing.scene import Scene


def paint_sky(canvas: Canvas, scene: Scene, light: Light, *, reach: float | None = None) -> tuple[float, float]:
    """Fill the whole canvas with sky that ends at `reach` (default: the horizon); returns where sun or moon stand."""
    chance, size = canvas.chance, canvas.size
    reach = scene.horizon if reach is None else reach
    sun_x = 0.5 + scene.side * -chance.uniform(0.05, 0.36)
    low = scene.low and scene.time != "night"
    sun_y = reach * (chance.uniform(0.62, 0.9) if low else chance.uniform(0.15, 0.4))
    ys = np.arange(size, dtype=np.float32)[:, None] / size
    xs = np.arange(size, dtype=np.float32)[None, :] / size
    height = np.clip(ys / reach, 0, 1) ** chance.uniform(0.8, 1.3)
    top, bottom = np.array(light.top, np.float32), np.array(light.low, np.float32)
    rgb = top + (bottom - top) * height[..., None] * np.ones((1, size, 1), np.float32)
    distance = np.hypot(xs - sun_x, (ys - sun_y) * 1.25)

    if scene.time == "night" and scene.weather in ("clear", "cloudy"):
        stars = np.random.Generator(np.random.PCG64(chance.getrandbits(32))).random((size, size), dtype=np.float32)
        rgb += (np.clip(stars - 0.9975, 0, 1) * 400 * 190 * (1 - height))[..., None]
    if scene.low:
        warm = np.array((255, 236, 190) if scene.time != "night" else (206, 214, 236), np.float32)
        spread = 5.0 if scene.time != "night" else 11.0
        glow = np.exp(-distance * spread)[..., None] * (0.85 if scene.time != "night" else 0.4)
        rgb += (warm - rgb) * glow
        radius = chance.uniform(0.028, 0.045)
        disc = np.clip((radius - distance) * size, 0, 1)[..., None]
        rgb += (warm * 1.04 - rgb) * disc

    cover = {"clear": 0.16 if chance.random() < 0.55 else 0.0, "cloudy": chance.uniform(0.45, 0.72)}.get(
        scene.weather, 0.9
    )
    if cover:
        cloud = _clouds(canvas, reach)
        share = np.clip((cloud - (1 - cover)) / 0.22, 0, 1)
        share = share * share * (3 - 2 * share)
        shift = max(2, size // 40)
        relief = shifted(cloud, -shift, -scene.side * shift) - cloud  # thinner towards the light: bright
        body = np.clip(0.55 - 1.5 * relief - 0.35 * (share - 0.5), 0, 1)[..., None]
        lit, dark = np.array(light.lit, np.float32), np.array(light.dark, np.float32)
        colour = dark + (lit - dark) * body
        if scene.low:
            colour += (np.array((255, 216, 160), np.float32) - colour) * np.exp(-distance * 4)[..., None] * 0.5
        thick = {"rain": 0.75, "snow": 0.55, "fog": 0.18}.get(scene.weather, 0.94)
        fade = np.clip((reach - ys) / (0.16 * reach), 0.25, 1)
        rgb += (colour - rgb) * (share * thick * fade)[..., None]
    canvas.put(rgb)
    return sun_x, sun_y


def _clouds(canvas: Canvas, reach: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Noise on a ceiling in perspective: large forms overhead, thin bands at the horizon."""
    size, chance = canvas.size, canvas.chance
    ys = np.arange(size, dtype=np.float32)[:, None] / size
    xs = np.arange(size, dtype=np.float32)[None, :] / size
    depth = 1 / (np.clip(1 - ys / reach, 0, 1) * 0.85 + 0.2)
    zoom = chance.uniform(45, 100)
    return canvas.sample((xs - 0.5) * depth * zoom * 1.1 + 256, depth * zoom * 1.5)


def paint_weather(canvas: Canvas, scene: Scene, light: Light) -> None:
    """Rain, snow or fog between the viewer and the scene, in place."""
    chance, n = canvas.chance, canvas.n
    if scene.weather == "rain":
        lean = chance.uniform(-0.02, 0.02)
        drop = mix(light.lit, (255, 255, 255), 0.2)
        veil = canvas.image.copy()
        for _ in range(340):
            x, y, length = chance.random(), chance.uniform(-0.1, 1), chance.uniform(0.02, 0.07)
            canvas.line([(x, y), (x + lean * length * 20, y + length)], drop, 0.7 / n)
        canvas.image.paste(veil, (0, 0), _even(n, 0.52))
    elif scene.weather == "snow":
        flake = mix(light.lit, (255, 255, 255), 0.5)
        for _ in range(330):
            r = chance.choice((0.0014, 0.002, 0.0026, 0.0036, 0.005))
            canvas.oval(chance.random(), chance.random(), r, r, flake)
    elif scene.weather == "fog":
        size = canvas.size
        ys = np.arange(size, dtype=np.float32)[:, None] / size
        drift = canvas.noise(size, 3.0, 0.8)
        near = np.clip(1 - np.abs(ys - scene.horizon) * 1.5, 0.2, 1)
        haze = np.broadcast_to(np.array(light.haze, np.float32), (size, size, 3))
        canvas.put(haze, 0, near * (0.32 + 0.4 * drift))


def _even(n: int, share: float) -> Image.Image:
    return Image.new("L", (n, n), round(255 * share))
