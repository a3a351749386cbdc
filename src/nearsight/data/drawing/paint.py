"""The brushes: a canvas in unit coordinates, textures, noise. Everything is drawn at twice the size and reduced."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from nearsight.data.drawing.light import RGB

Point = tuple[float, float]
ToPixels = Callable[[Sequence[Point]], list[Point]]
Grey = NDArray[np.float32]

_TILE = 768  # textures are made for a canvas of 512 pixels, that is a picture of 256


class Canvas:
    """A square picture under work. All coordinates are in units of its side, (0, 0) top left."""

    def __init__(self, size: int, chance: random.Random) -> None:
        self.size = size
        self.n = 2 * size
        self.chance = chance
        self.image = Image.new("RGB", (self.n, self.n))
        self.pen = ImageDraw.Draw(self.image)
        self.drawn: list[tuple[str, str | None, float, float]] = []

    def note(self, noun: str, colour: str | None, x: float, y: float) -> None:
        """Put down that such a thing stands at (x, y): the tests hold this against the description."""
        self.drawn.append((noun, colour, x, y))

    def finish(self) -> Image.Image:
        """The picture at its size."""
        return self.image.reduce(2)

    # -- shapes ------------------------------------------------------------------------------------------------------
    def px(self, points: Sequence[Point]) -> list[Point]:
        """Unit coordinates -> pixels of the canvas."""
        return [(x * self.n, y * self.n) for x, y in points]

    def polygon(self, points: Sequence[Point], colour: RGB) -> None:
        self.pen.polygon(self.px(points), fill=ink(colour))

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: RGB) -> None:
        left, top, right, bottom = (round(c * self.n) for c in (x0, y0, x1, y1))
        if right > left and bottom > top:
            self.pen.rectangle((left, top, right - 1, bottom - 1), fill=ink(colour))

    def oval(self, x: float, y: float, rx: float, ry: float, colour: RGB) -> None:
        n = self.n
        self.pen.ellipse(((x - rx) * n, (y - ry) * n, (x + rx) * n, (y + ry) * n), fill=ink(colour))

    def line(self, points: Sequence[Point], colour: RGB, width: float) -> None:
        self.pen.line(self.px(points), fill=ink(colour), width=max(1, round(width * self.n)), joint="curve")

    def glow(self, x: float, y: float, radius: float, colour: RGB, strength: float = 1.0) -> None:
        """A soft light: `colour` in the middle, nothing at `radius`."""
        r = max(2, round(radius * self.n))
        mask = _halo().resize((2 * r, 2 * r), Image.Resampling.BILINEAR)
        if strength < 1:
            mask = mask.point([round(v * strength) for v in range(256)])
        self.image.paste(ink(colour), (round(x * self.n) - r, round(y * self.n) - r), mask)

    def shadow(self, x: float, y: float, rx: float, ry: float, strength: float = 0.45) -> None:
        """A soft dark oval, as under a thing."""
        w, h = max(2, round(2 * rx * self.n)), max(2, round(2 * ry * self.n))
        mask = (
            _halo()
            .resize((w, h), Image.Resampling.BILINEAR)
            .point([min(255, round(v * 2 * strength)) for v in range(256)])
        )
        self.image.paste((8, 10, 18), (round((x - rx) * self.n), round((y - ry) * self.n)), mask)

    def textured(
        self,
        draw: Callable[[ImageDraw.ImageDraw, ToPixels], None],
        bounds: tuple[float, float, float, float],
        tile: str,
        colours: Sequence[RGB],
        *,
        shade: str | None = None,
        zoom: float = 1.0,
    ) -> None:
        """Fill what `draw(pen, to_pixels)` paints in white within `bounds` (x0, y0, x1, y1) with a texture.

        The texture's greys become `colours`, dark to bright; `shade` adds a light from "left", "right" or "top".
        """
        n = self.n
        x0, y0 = max(0, math.floor(bounds[0] * n)), max(0, math.floor(bounds[1] * n))
        x1, y1 = min(n, math.ceil(bounds[2] * n)), min(n, math.ceil(bounds[3] * n))
        if x1 <= x0 or y1 <= y0:
            return
        mask = Image.new("L", (x1 - x0, y1 - y0))
        draw(ImageDraw.Draw(mask), lambda points: [(x * n - x0, y * n - y0) for x, y in points])
        grey = self.cut(tile, x1 - x0, y1 - y0, zoom)
        if shade is not None:
            grey = ImageChops.add(grey, _slope(shade).resize(grey.size, Image.Resampling.BILINEAR), 1, -128)
        self.image.paste(colourise(grey, colours), (x0, y0), mask)

    def polygon_textured(
        self, points: Sequence[Point], tile: str, colours: Sequence[RGB], *, shade: str | None = None, zoom: float = 1.0
    ) -> None:
        """`textured` for a polygon."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        self.textured(
            lambda pen, px: pen.polygon(px(points), fill=255),
            (min(xs), min(ys), max(xs), max(ys)),
            tile,
            colours,
            shade=shade,
            zoom=zoom,
        )

    def cut(self, tile: str, width: int, height: int, zoom: float = 1.0) -> Image.Image:
        """A random piece of a texture, `width` x `height` canvas pixels, greyscale."""
        k = self.n / 512 * zoom
        w, h = min(_TILE, max(1, round(width / k))), min(_TILE, max(1, round(height / k)))
        x, y = self.chance.randint(0, _TILE - w), self.chance.randint(0, _TILE - h)
        piece = texture(tile).crop((x, y, x + w, y + h))
        return piece if piece.size == (width, height) else piece.resize((width, height), Image.Resampling.BILINEAR)

    # -- arrays, at the picture's own size ---------------------------------------------------------------------------
    def put(self, rgb: NDArray[np.floating], top: int = 0, mask: NDArray[np.floating] | None = None) -> None:
        """Lay an (h, size, 3) array of 0..255 over the canvas from row `top` on, through `mask` (h, size) of 0..1."""
        box = (self.n, 2 * rgb.shape[0])
        layer = Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).resize(box, Image.Resampling.BILINEAR)
        if mask is None:
            self.image.paste(layer, (0, 2 * top))
        else:
            alpha = Image.fromarray((np.clip(mask, 0, 1) * 255).astype(np.uint8)).resize(box, Image.Resampling.BILINEAR)
            self.image.paste(layer, (0, 2 * top), alpha)

    def noise(self, rows: int, zoom_x: float = 1.0, zoom_y: float = 1.0) -> Grey:
        """(rows, size) of cloud-like noise, uniform in 0..1; larger zooms give larger forms."""
        ys = np.arange(rows, dtype=np.float32)[:, None] * (256 / self.size / zoom_y)
        xs = np.arange(self.size, dtype=np.float32)[None, :] * (256 / self.size / zoom_x)
        return self.sample(xs, ys)

    def sample(self, xs: NDArray[np.floating], ys: NDArray[np.floating]) -> Grey:
        """Noise at given places (pixels of a 256 picture), from a random origin."""
        tile = noise_tile()
        n = tile.shape[0]
        dx, dy = self.chance.randrange(n), self.chance.randrange(n)
        found: Grey = tile[(ys.astype(np.int64) + dy) % n, (xs.astype(np.int64) + dx) % n]
        return found

    def plane(self, horizon: float, stretch: float = 1.0, vanish: float = 0.5) -> tuple[int, Grey, Grey, Grey]:
        """The ground in perspective: (first row, near (h, 1) 0 at the horizon to 1, ground x, ground z (h, size))."""
        top = min(self.size - 2, round(horizon * self.size))
        rows = self.size - top
        near = ((np.arange(rows) + 0.5) / rows).astype(np.float32)[:, None]
        depth = (1 / (near + 0.03)).astype(np.float32)
        across = (np.arange(self.size, dtype=np.float32)[None, :] / self.size - vanish) * depth
        return top, near, (across * (60 / stretch)).astype(np.float32), np.broadcast_to(depth * 60, across.shape)


def ink(colour: RGB) -> tuple[int, int, int]:
    """A colour for Pillow."""
    return (
        max(0, min(255, int(colour[0]))),
        max(0, min(255, int(colour[1]))),
        max(0, min(255, int(colour[2]))),
    )


def colourise(grey: Image.Image, colours: Sequence[RGB]) -> Image.Image:
    """Greys 0..255 -> a ramp of colours at even distances."""
    at = np.linspace(0, 255, len(colours))
    bands = []
    for channel in range(3):
        table = np.interp(np.arange(256), at, [c[channel] for c in colours]).clip(0, 255).astype(int).tolist()
        bands.append(grey.point(table))
    return Image.merge("RGB", bands)


def shifted(values: NDArray[np.floating], down: int, right: int) -> Grey:
    """(h, w) moved by whole places, its edges repeated where nothing comes in."""
    h, w = values.shape
    ys, xs = np.clip(np.arange(h) - down, 0, h - 1), np.clip(np.arange(w) - right, 0, w - 1)
    moved: Grey = values[ys[:, None], xs[None, :]]
    return moved


def ramp_array(values: NDArray[np.floating], colours: Sequence[RGB]) -> NDArray[np.float32]:
    """(h, w) of 0..1 -> (h, w, 3), the same ramp for arrays."""
    table = np.stack(
        [np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(colours)), c) for c in zip(*colours, strict=True)], 1
    )
    picked: NDArray[np.float32] = table.astype(np.float32)[np.clip(values * 255, 0, 255).astype(np.uint8)]
    return picked


# -- textures: made once a process, from a fixed seed ----------------------------------------------------------------
@cache
def noise_tile() -> Grey:
    """512 x 512 fractal noise that wraps, ranked to be uniform in 0..1, so that a threshold is a share of the area."""
    rng = np.random.Generator(np.random.PCG64(7))
    n = 512
    total = np.zeros((n, n), np.float32)
    for octave in range(7):
        cells = 4 * 2**octave
        grid = np.pad(rng.random((cells, cells), dtype=np.float32), 2, mode="wrap")
        step = n // cells
        big = Image.fromarray(grid).resize((grid.shape[1] * step,) * 2, Image.Resampling.BICUBIC)
        total += np.asarray(big)[2 * step : 2 * step + n, 2 * step : 2 * step + n] * 0.56**octave
    ranks = np.empty(n * n, np.float32)
    ranks[np.argsort(total, axis=None, kind="stable")] = np.linspace(0, 1, n * n, dtype=np.float32)
    return ranks.reshape(n, n)


@cache
def texture(name: str) -> Image.Image:
    """A greyscale tile, 768 x 768."""
    return _TEXTURES[name]()


def _leaves() -> Image.Image:
    chance = random.Random("leaves")
    image = Image.new("L", (_TILE, _TILE), 34)
    pen = ImageDraw.Draw(image)
    for step in range(15000):
        x, y, r = chance.uniform(0, _TILE), chance.uniform(0, _TILE), chance.uniform(2.0, 6.5)
        grey = 20 + int(190 * chance.random() ** 1.2 * (0.4 + 0.6 * step / 15000))
        pen.ellipse((x - r, y - r * 0.75, x + r, y + r * 0.75), fill=grey)
    return image


def _grass() -> Image.Image:
    chance = random.Random("grass")
    image = Image.new("L", (_TILE, _TILE), 90)
    pen = ImageDraw.Draw(image)
    for _ in range(22000):
        x, y, length = chance.uniform(0, _TILE), chance.uniform(0, _TILE), chance.uniform(4, 15)
        pen.line((x, y, x + chance.uniform(-4, 4), y - length), fill=chance.randint(30, 225))
    return image


def _rock() -> Image.Image:
    coarse = noise_tile()
    n = coarse.shape[0]
    ys, xs = np.mgrid[0:_TILE, 0:_TILE]
    fine = coarse[(ys * 3) % n, (xs * 2 + 91) % n]
    edge = np.abs(coarse[ys % n, xs % n] - 0.5) * 2
    slope = np.roll(coarse, 3, 1) - coarse
    value = 0.45 + 1.6 * slope[ys % n, xs % n] + 0.3 * (fine - 0.5) - 0.25 * (edge < 0.06)
    return Image.fromarray((np.clip(value, 0, 1) * 255).astype(np.uint8))


def _plaster() -> Image.Image:
    coarse = noise_tile()
    n = coarse.shape[0]
    ys, xs = np.mgrid[0:_TILE, 0:_TILE]
    value = 0.5 + 0.35 * (coarse[(ys // 2) % n, xs % n] - 0.5) + 0.35 * (coarse[(ys * 5) % n, (xs * 5) % n] - 0.5)
    return Image.fromarray((np.clip(value, 0, 1) * 255).astype(np.uint8))


def _brick() -> Image.Image:
    chance = random.Random("brick")
    image = Image.new("L", (_TILE, _TILE), 214)
    pen = ImageDraw.Draw(image)
    for row in range(_TILE // 6):
        for column in range(-1, _TILE // 14 + 1):
            x, y = column * 14 + (row % 2) * 7, row * 6
            pen.rectangle((x, y, x + 12, y + 4), fill=chance.randint(40, 160))
    return image


_TEXTURES: dict[str, Callable[[], Image.Image]] = {
    "leaves": _leaves,
    "grass": _grass,
    "rock": _rock,
    "plaster": _plaster,
    "brick": _brick,
}


@cache
def _halo() -> Image.Image:
    axis = np.linspace(-1, 1, 128)
    distance = np.hypot(axis[:, None], axis[None, :])
    return Image.fromarray((np.clip(1 - distance, 0, 1) ** 2 * 255).astype(np.uint8))


@cache
def _slope(shade: str) -> Image.Image:
    """A lighting gradient around 128: bright at the top and towards the light."""
    axis = np.linspace(1, -1, 64)
    side = {"left": 1.0, "right": -1.0, "top": 0.0}[shade]
    value = 128 + 52 * axis[:, None] + 46 * side * axis[None, :]
    return Image.fromarray(np.clip(value, 0, 255).astype(np.uint8))
