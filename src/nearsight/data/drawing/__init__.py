"""Scenes that we draw: a description is sampled (`scene`), painted (`draw`) and put into words (`captions`).

``scene`` what is in the picture; ``light`` the colours of the hour and the weather; ``paint`` brushes and textures;
``sky`` sky, rain, snow, fog; ``plants``, ``things``, ``vehicles``, ``buildings``, ``walls`` what stands in it;
``land``, ``fields``, ``road``, ``houses``, ``street``, ``towers`` the eight kinds. The same seed and index give the
same picture, whatever else is drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from nearsight.data.drawing import fields, houses, land, road, street, towers
from nearsight.data.drawing.light import Light, light_of
from nearsight.data.drawing.paint import Canvas
from nearsight.data.drawing.scene import Scene
from nearsight.data.drawing.sky import paint_weather

VERSION = 1
"""Counts changes that give other pictures or captions for the same seed."""

_PAINTERS: dict[str, Callable[[Canvas, Scene, Light], None]] = {
    "coast": land.coast,
    "forest": fields.forest,
    "highway": road.highway,
    "inside_city": houses.inside_city,
    "mountain": land.mountain,
    "open_country": fields.open_country,
    "street": street.street,
    "tall_building": towers.tall_building,
}


def draw(scene: Scene, size: int) -> Image.Image:
    """The scene as an RGB picture of `size` x `size` pixels."""
    return _develop(compose(scene, size).finish(), scene)


def compose(scene: Scene, size: int) -> Canvas:
    """The canvas as the painter leaves it, with its notes of what stands where."""
    canvas = Canvas(size, scene.chance("paint"))
    light = light_of(scene)
    _PAINTERS[scene.kind](canvas, scene, light)
    paint_weather(canvas, scene, light)
    return canvas


def _develop(picture: Image.Image, scene: Scene) -> Image.Image:
    """As a camera would: a little grain, darker corners, contrast of its own."""
    chance = scene.chance("camera")
    size = picture.width
    rng = np.random.Generator(np.random.PCG64(chance.getrandbits(64)))
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    corner = 1 - chance.uniform(0.02, 0.16) * (axis[:, None] ** 2 + axis[None, :] ** 2)
    grain = (rng.random((size, size), dtype=np.float32) - 0.5) * chance.uniform(4, 14)
    contrast = chance.uniform(0.96, 1.14)
    rgb = np.asarray(picture, dtype=np.float32)
    rgb = (rgb - 116) * contrast + 116
    rgb = rgb * corner[..., None] + grain[..., None]
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))
