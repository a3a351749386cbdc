"""The light of a scene: the colours of its sky, and what it does to every other colour near and far."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from nearsight.data.drawing.scene import Scene

RGB = tuple[float, float, float]
"""0 to 255."""

_CLEAR: dict[str, dict[str, RGB]] = {
    "day": {
        "top": (50, 108, 194),
        "low": (184, 211, 236),
        "direct": (1.05, 1.0, 0.93),
        "haze": (184, 204, 224),
        "lit": (255, 255, 252),
        "dark": (150, 160, 178),
        "grey": (188, 194, 202),
    },
    "sunrise": {
        "top": (106, 138, 198),
        "low": (255, 208, 158),
        "direct": (1.03, 0.86, 0.74),
        "haze": (240, 202, 178),
        "lit": (255, 228, 200),
        "dark": (168, 146, 170),
        "grey": (206, 192, 184),
    },
    "dusk": {
        "top": (48, 46, 104),
        "low": (248, 134, 68),
        "direct": (0.76, 0.52, 0.45),
        "haze": (186, 108, 94),
        "lit": (252, 142, 92),
        "dark": (82, 60, 96),
        "grey": (122, 94, 106),
    },
    "night": {
        "top": (9, 15, 44),
        "low": (50, 60, 104),
        "direct": (0.36, 0.42, 0.6),
        "haze": (44, 54, 88),
        "lit": (84, 92, 128),
        "dark": (24, 30, 56),
        "grey": (48, 54, 76),
    },
}
_GREYNESS = {"clear": 0.0, "cloudy": 0.3, "rain": 0.78, "snow": 0.74, "fog": 0.85}
_BRIGHTNESS = {"clear": 1.0, "cloudy": 0.95, "rain": 0.74, "snow": 1.0, "fog": 0.98}
_DENSITY = {"clear": 0.55, "cloudy": 0.75, "rain": 1.3, "snow": 1.4, "fog": 2.6}


@dataclass(frozen=True, slots=True)
class Light:
    """Colours of the sky (top, at the horizon, of clouds) and what daylight does to things.

    direct   factors for the colour of a thing nearby
    haze     what far things fade into; density: how soon (depth 1 is the horizon)
    hard     there are shadows; lamps: windows and lamps are lit
    """

    top: RGB
    low: RGB
    lit: RGB
    dark: RGB
    direct: RGB
    haze: RGB
    density: float
    hard: bool
    lamps: bool
    side: int

    def on(self, colour: RGB, depth: float = 0.0, gain: float = 1.0) -> RGB:
        """`colour` as it looks in this light at that depth."""
        seen = math.exp(-self.density * max(depth, 0.0))
        r, g, b = self.direct
        return (
            min(255.0, colour[0] * r * gain) * seen + self.haze[0] * (1 - seen),
            min(255.0, colour[1] * g * gain) * seen + self.haze[1] * (1 - seen),
            min(255.0, colour[2] * b * gain) * seen + self.haze[2] * (1 - seen),
        )

    def ramp(self, colours: Sequence[RGB], depth: float = 0.0, gain: float = 1.0) -> list[RGB]:
        """`on` for the colours of a texture, dark to bright."""
        return [self.on(colour, depth, gain) for colour in colours]


def mix(a: RGB, b: RGB, t: float) -> RGB:
    """`a` at t = 0, `b` at t = 1."""
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


def vary(colour: RGB, chance: random.Random, amount: float = 0.12) -> RGB:
    """A neighbour of `colour`: brighter or darker, and each channel a little by itself."""
    k = 1 + chance.uniform(-amount, amount)
    r, g, b = (min(255.0, c * k * (1 + chance.uniform(-amount, amount) / 2)) for c in colour)
    return (r, g, b)


def light_of(scene: Scene) -> Light:
    """The light that the scene's time and weather make, with a variation of its own."""
    chance = scene.chance("light")
    base = _CLEAR[scene.time]
    greyness, brightness = _GREYNESS[scene.weather] * chance.uniform(0.9, 1.1), _BRIGHTNESS[scene.weather]
    warmth = chance.uniform(-0.1, 0.1)

    def sky(name: str, pull: float = 1.0) -> RGB:
        r, g, b = vary(mix(base[name], base["grey"], min(1.0, greyness * pull)), chance, 0.1)
        return (min(255.0, r * brightness * (1 + warmth)), g * brightness, min(255.0, b * brightness * (1 - warmth)))

    mean = sum(base["direct"]) / 3
    soft = mix(base["direct"], (mean * 0.97, mean, mean * 1.03), greyness)
    gain = 0.82 + 0.18 * brightness - 0.12 * greyness
    low = sky("low", 0.9)
    if scene.kind == "forest" and scene.time in ("dusk", "night"):
        gain *= 1.3  # under trees the eye opens wider
    return Light(
        top=sky("top"),
        low=low,
        lit=sky("lit", 0.7),
        dark=mix(sky("dark"), base["grey"], 0.15),
        direct=(soft[0] * gain * (1 + warmth / 2), soft[1] * gain, soft[2] * gain * (1 - warmth / 2)),
        haze=mix(sky("haze"), low, 0.5),
        density=_DENSITY[scene.weather] * chance.uniform(0.85, 1.15),
        hard=scene.weather == "clear" and scene.time != "night",
        lamps=scene.time in ("dusk", "night"),
        side=scene.side,
    )
