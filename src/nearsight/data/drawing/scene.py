"""What is in a picture, decided before it is drawn: the description that the painter and the captions share."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

KINDS = ("coast", "forest", "highway", "inside_city", "mountain", "open_country", "street", "tall_building")
TIMES = {"day": 0.46, "sunrise": 0.18, "dusk": 0.2, "night": 0.16}
WEATHERS = {"clear": 0.34, "cloudy": 0.3, "rain": 0.13, "snow": 0.1, "fog": 0.13}

CAR_COLOURS = ("red", "blue", "white", "black", "yellow", "green", "silver")
CLOTHES = ("red", "blue", "yellow", "white", "green", "orange")
WALLS = ("brick", "ochre", "cream", "pink", "grey", "white")


@dataclass(frozen=True, slots=True)
class Group:
    """`count` things of one kind and colour (None: of no colour worth saying), all of them to be seen."""

    noun: str
    colour: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture's content. Positions are in units of its side, y downwards.

    view     the layout, one of a few of its kind
    details  facts by name that its kind's painter and captions know (``shore``, ``crop``, ``walls``, ...)
    side     where the light comes from: -1 left, 1 right
    low      the sun or the moon stands in the picture
    """

    seed: int
    index: int
    kind: str
    time: str
    weather: str
    season: str
    view: str
    horizon: float
    side: int
    low: bool
    details: Mapping[str, str]
    groups: tuple[Group, ...]

    @property
    def snowy(self) -> bool:
        """Snow lies on the ground."""
        return self.weather == "snow" or self.season == "winter"

    def chance(self, purpose: str) -> random.Random:
        """Random numbers that depend on the seed, the index and the purpose alone."""
        return random.Random(f"{self.seed}/{self.index}/{purpose}")

    def count(self, noun: str) -> int:
        """How many things of that noun there are, in all colours."""
        return sum(group.count for group in self.groups if group.noun == noun)


def sample(seed: int, index: int) -> Scene:
    """The scene of picture `index`: its kind goes round the eight, all else is drawn; it does not depend on others."""
    kind = KINDS[index % len(KINDS)]
    chance = random.Random(f"{seed}/{index}/scene")
    time, weather = weighted(chance, TIMES), weighted(chance, WEATHERS)
    season = weighted(chance, {"summer": 0.5, "spring": 0.2, "autumn": 0.22, "winter": 0.08})
    season = "winter" if weather == "snow" else "autumn" if season == "winter" and weather == "rain" else season
    view, horizon, details, groups = _CONTENT[kind](chance, time, season)
    return Scene(
        seed,
        index,
        kind,
        time,
        weather,
        season,
        view,
        horizon,
        chance.choice((-1, 1)),
        weather in ("clear", "cloudy") and time != "day" and chance.random() < 0.8,
        MappingProxyType(details),
        tuple(group for group in groups if group.count),
    )


def weighted(chance: random.Random, weights: Mapping[str, float]) -> str:
    """One of the keys, by weight."""
    return chance.choices(tuple(weights), tuple(weights.values()))[0]


Content = tuple[str, float, dict[str, str], list[Group]]


def _some(chance: random.Random, noun: str, colours: Sequence[str | None], most: int, rate: float) -> list[Group]:
    """With probability `rate`, 1 to `most` things in one colour, or in two."""
    if chance.random() >= rate:
        return []
    count = chance.randint(1, most)
    first, second = chance.sample(list(colours), 2) if len(colours) > 1 else (colours[0], None)
    if count > 1 and second is not None and chance.random() < 0.5:
        apart = chance.randint(1, count - 1)
        return [Group(noun, first, apart), Group(noun, second, count - apart)]
    return [Group(noun, first, count)]


def _coast(chance: random.Random, time: str, season: str) -> Content:
    shore = weighted(chance, {"sandy beach": 0.5, "rocky shore": 0.3, "open sea": 0.2})
    details = {
        "shore": shore,
        "sea": chance.choice(("calm", "choppy")),
        "far": weighted(chance, {"open": 0.35, "island": 0.3, "headland": 0.35}),
    }
    warm = season == "summer" and shore == "sandy beach"
    groups = _some(chance, "sailing boat", ("white", "red", "yellow", "blue"), 3, 0.45)
    groups += _some(chance, "lighthouse", ("red", "white"), 1, 0.3 if details["far"] == "headland" else 0)
    if shore == "sandy beach":
        groups += _some(chance, "palm tree", (None,), 2, 0.45 if warm else 0)
        groups += _some(chance, "parasol", ("red", "yellow", "blue", "orange"), 3, 0.5 if warm and time == "day" else 0)
        groups += _some(chance, "person", CLOTHES, 3, 0.4)
    groups += _some(chance, "gull", (None,), 5, 0.35 if time != "night" else 0)
    return shore, chance.uniform(0.34, 0.56), details, groups


def _forest(chance: random.Random, time: str, season: str) -> Content:
    view = chance.choice(("path", "stream", "clearing", "thicket"))
    details = {"trees": weighted(chance, {"pine": 0.36, "broadleaf": 0.4, "birch": 0.24})}
    groups = _some(chance, "deer", (None,), 2, 0.3 if view == "clearing" else 0.12)
    groups += _some(chance, "person", CLOTHES, 2, 0.4 if view == "path" else 0)
    groups += _some(chance, "tent", ("orange", "blue", "yellow"), 1, 0.35 if view == "clearing" else 0)
    return view, chance.uniform(0.5, 0.64), details, groups


def _highway(chance: random.Random, time: str, season: str) -> Content:
    view = chance.choice(("straight", "left", "right"))
    details = {
        "lanes": chance.choice(("two", "four", "six")),
        "land": chance.choice(("hills", "forest", "fields", "mountains")),
        "lamps": chance.choice(("no", "no", "yes")),
    }
    groups = _some(chance, "car", CAR_COLOURS, 5, 0.88)
    groups += _some(chance, "lorry", ("white", "red", "blue", "orange"), 1, 0.4)
    groups += _some(chance, "road sign", ("blue", "green"), 1, 0.4)
    return view, chance.uniform(0.36, 0.56), details, groups


def _inside_city(chance: random.Random, time: str, season: str) -> Content:
    view = chance.choice(("houses", "facade", "shop"))
    details = {"walls": chance.choice(WALLS), "roof": chance.choice(("gabled", "flat"))}
    if view == "shop":
        details["awning"] = chance.choice(("red", "green", "blue", "yellow"))
    groups = _some(chance, "car", CAR_COLOURS, 2, 0.6)
    groups += _some(chance, "person", CLOTHES, 3, 0.55)
    groups += _some(chance, "tree", (None,), 2, 0.35)
    groups += _some(chance, "street lamp", (None,), 1, 0.35)
    return view, chance.uniform(0.78, 0.86), details, groups


def _mountain(chance: random.Random, time: str, season: str) -> Content:
    view = weighted(chance, {"lake": 0.28, "pines": 0.26, "meadow": 0.24, "rocks": 0.22})
    details = {"peak": chance.choice(("sharp", "broad")), "cap": weighted(chance, {"snow": 0.6, "bare": 0.4})}
    groups = _some(chance, "cabin", (None,), 1, 0.4 if view in ("meadow", "lake") else 0)
    groups += _some(chance, "tent", ("orange", "blue", "yellow"), 2, 0.3 if view == "meadow" else 0)
    groups += _some(chance, "sheep", ("white",), 5, 0.35 if view == "meadow" else 0)
    groups += _some(chance, "bird", (None,), 3, 0.25 if time != "night" else 0)
    return view, chance.uniform(0.6, 0.76), details, groups


def _open_country(chance: random.Random, time: str, season: str) -> Content:
    crops = {"meadow": 0.34, "wheat": 0.18, "lavender": 0.14, "flowers": 0.14, "ploughed": 0.1, "vineyard": 0.1}
    crop = "meadow" if season == "winter" else weighted(chance, crops)
    details = {"crop": crop, "far": chance.choice(("hills", "flat", "trees"))}
    grazing = crop == "meadow" and season != "winter"
    groups = _some(chance, "cow", ("brown", "black"), 4, 0.4 if grazing else 0)
    if not groups:
        groups += _some(chance, "sheep", ("white",), 6, 0.4 if grazing else 0)
    groups += _some(chance, "hay bale", (None,), 4, 0.5 if crop == "wheat" else 0)
    groups += _some(chance, "barn", ("red", "brown"), 1, 0.28)
    if not any(group.noun == "barn" for group in groups):
        groups += _some(chance, "windmill", ("white",), 1, 0.25)
    groups += _some(chance, "tree", (None,), 3, 0.5)
    groups += _some(chance, "hot-air balloon", ("red", "yellow", "blue"), 2, 0.2 if time in ("day", "sunrise") else 0)
    return crop, chance.uniform(0.36, 0.6), details, groups


def _street(chance: random.Random, time: str, season: str) -> Content:
    view = chance.choice(("middle", "left", "right"))
    details = {
        "walls": chance.choice(WALLS),
        "road": chance.choice(("asphalt", "cobbled")),
        "crossing": chance.choice(("yes", "no")),
    }
    groups = _some(chance, "car", CAR_COLOURS, 4, 0.7)
    groups += _some(chance, "person", CLOTHES, 4, 0.6)
    groups += _some(chance, "tree", (None,), 3, 0.3)
    groups += _some(chance, "street lamp", (None,), 2, 0.35)
    return view, chance.uniform(0.46, 0.6), details, groups


def _tall_building(chance: random.Random, time: str, season: str) -> Content:
    view = weighted(chance, {"skyline": 0.55, "below": 0.45})
    details = {
        "face": chance.choice(("glass", "stone", "brick")),
        "top": chance.choice(("flat", "stepped", "spire", "slanted")),
        "front": chance.choice(("river", "park", "roofs")) if view == "skyline" else "none",
    }
    towers = chance.randint(1, 3) if view == "below" else chance.randint(2, 5)
    groups = [Group("tower", None, towers)]
    groups += _some(chance, "bird", (None,), 3, 0.2 if time != "night" else 0)
    return view, chance.uniform(0.74, 0.86), details, groups


_CONTENT = {
    "coast": _coast,
    "forest": _forest,
    "highway": _highway,
    "inside_city": _inside_city,
    "mountain": _mountain,
    "open_country": _open_country,
    "street": _street,
    "tall_building": _tall_building,
}
