"""Five true sentences about a scene. They say nothing that the description does not."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nearsight.data.drawing.scene import Group, Scene

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
PLURALS = {"person": "people", "sheep": "sheep", "deer": "deer", "lorry": "lorries"}

_TIME = {
    "day": ("in daylight", "by day", "in the daytime"),
    "sunrise": ("at sunrise", "early in the morning", "in the first light of the morning"),
    "dusk": ("at dusk", "in the evening", "in the red evening light"),
    "night": ("at night", "in the dark", "by night"),
}
_WEATHER = {
    "clear": ("under a clear sky", "in clear weather", "in fair weather"),
    "cloudy": ("under a cloudy sky", "under clouds", "in cloudy weather"),
    "rain": ("in the rain", "in rainy weather", "while it rains"),
    "snow": ("in falling snow", "while it snows", "in a snowfall"),
    "fog": ("in fog", "in misty weather", "in the mist"),
}
_PLACE = {
    "coast": ("the coast", "the seaside", "the sea"),
    "forest": ("a forest", "the woods", "a wood"),
    "highway": ("a highway", "a motorway", "a main road"),
    "inside_city": ("a city block", "the inner city", "buildings in a city"),
    "mountain": ("a mountain", "the mountains", "a mountain landscape"),
    "open_country": ("open country", "the countryside", "farmland"),
    "street": ("a city street", "a street between houses", "a street in a town"),
    "tall_building": ("tall buildings", "high-rise buildings", "the towers of a city"),
}
_LAND = {
    "hills": "through hills",
    "forest": "through a forest",
    "fields": "across flat fields",
    "mountains": "towards mountains",
}
_CROP = {
    "meadow": ("a meadow", "grassland"),
    "wheat": ("a field of ripe wheat", "a golden wheat field"),
    "lavender": ("rows of lavender", "a lavender field"),
    "flowers": ("a field full of flowers", "a flowering field"),
    "ploughed": ("a ploughed field", "bare furrows"),
    "vineyard": ("rows of vines", "a vineyard"),
}
_FRONT = {"river": "above a river", "park": "behind a park with trees", "roofs": "behind the roofs of small houses"}


def captions(scene: Scene) -> tuple[str, ...]:
    """Five different captions: place and hour, things, layout, weather, and all in a few words."""
    chance = scene.chance("captions")
    place = _place(scene, chance)
    time, weather = chance.choice(_TIME[scene.time]), chance.choice(_WEATHER[scene.weather])
    things = joined([phrase(group) for group in scene.groups])
    lay = _layout(scene, chance)
    seen = f"{things} in a picture of {place}" if things else f"{place} with nobody in sight"
    empty = f"{lay}, {weather}"
    kind = scene.kind.replace("_", " ")
    found = (
        f"{place} {time}, {weather}",
        chance.choice((seen, f"{things} {_where(scene)}")) if things else seen,
        f"{lay} {time}" + (f", with {things}" if things and scene.kind != "tall_building" else ""),
        f"{_sky(scene, chance)} over {place}" + (f"; {things} can be seen" if things else f": {empty}"),
        f"{scene.time}, {_short(scene)}, {kind}: {lay}",
    )
    return tuple(one[0].upper() + one[1:] + "." for one in found)


def phrase(group: Group) -> str:
    """``two red cars``, ``a white lighthouse``."""
    noun = group.noun if group.count == 1 else plural(group.noun)
    if group.noun == "person" and group.colour:
        noun += f" in {group.colour}"
    elif group.colour:
        noun = f"{group.colour} {noun}"
    if group.count > 1:
        return f"{NUMBERS[group.count]} {noun}"
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def plural(noun: str) -> str:
    """More than one of them."""
    return PLURALS.get(noun, noun + "s")


def joined(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1] if parts else ""


def _place(scene: Scene, chance: random.Random) -> str:
    place = chance.choice(_PLACE[scene.kind])
    if scene.kind == "tall_building" and scene.count("tower") == 1:
        place = chance.choice(("a tall building", "a high-rise building", "a tower"))
    return place


def _where(scene: Scene) -> str:
    return {
        "coast": "by the sea",
        "forest": "among the trees",
        "highway": "on the road",
        "inside_city": "in front of the houses" if scene.view == "houses" else "in front of a building",
        "mountain": "at the foot of the mountain" if not scene.count("bird") else "in the mountains",
        "open_country": "in the country",
        "street": "in the street",
        "tall_building": "against the sky",
    }[scene.kind]


def _layout(scene: Scene, chance: random.Random) -> str:
    details, view = scene.details, scene.view
    if scene.kind == "coast":
        sea = {"calm": "a calm sea", "choppy": "a choppy sea"}[details["sea"]]
        shore = {"sandy beach": " before a beach", "rocky shore": " before a rocky shore", "open sea": ""}
        far = {"open": "an open horizon", "island": "an island far off", "headland": "a rocky headland"}[details["far"]]
        return f"{sea}{shore[details['shore']]} with {far}"
    if scene.kind == "forest":
        trees = {"pine": "pines", "broadleaf": "broad-leaved trees", "birch": "birches"}[details["trees"]]
        way = {
            "path": "a path between",
            "stream": "a stream between",
            "clearing": "a clearing among",
            "thicket": "a thicket of",
        }
        return f"{way[view]} {trees}"
    if scene.kind == "highway":
        course = {"straight": "runs straight", "left": "bends", "right": "bends"}[view]
        return f"a {details['lanes']}-lane road {course} {_LAND[details['land']]}"
    if scene.kind == "inside_city":
        walls = f"{details['walls']} walls"
        shop = f"a shop with {details.get('awning')} awnings in a building with {walls}"
        return {"houses": "a row of houses with rows of windows", "facade": f"a building with {walls}", "shop": shop}[
            view
        ]
    if scene.kind == "mountain":
        peak = f"a {'snow-capped' if scene.snowy or details['cap'] == 'snow' else 'bare'} {details['peak']} mountain"
        front = {"lake": "a lake", "pines": "pine trees", "meadow": "a meadow", "rocks": "boulders"}[view]
        return f"{peak} behind {front}"
    if scene.kind == "open_country":
        crop = "a field under snow" if scene.snowy else chance.choice(_CROP[view])
        return (
            crop + {"hills": " before hills", "flat": " on a plain", "trees": " before a line of trees"}[details["far"]]
        )
    if scene.kind == "street":
        crossing = " with a zebra crossing" if details["crossing"] == "yes" else ""
        road = {"asphalt": "an asphalt street", "cobbled": "a cobbled street"}[details["road"]]
        return f"{'a snowy street' if scene.snowy else road}{crossing} between two rows of houses"
    towers = NUMBERS[scene.count("tower")] + (" tower" if scene.count("tower") == 1 else " towers")
    return f"{towers} seen from below" if view == "below" else f"{towers} {_FRONT[details['front']]}"


def _sky(scene: Scene, chance: random.Random) -> str:
    dark = scene.time == "night"
    return {
        "clear": ("a dark clear sky", "a clear night sky")
        if dark
        else ("a clear sky", "a sky with few clouds or none"),
        "cloudy": ("dark clouds",) if dark else ("clouds", "a sky full of clouds"),
        "rain": ("rain falls", "it is raining"),
        "snow": ("snow falls", "it is snowing"),
        "fog": ("fog lies", "mist hangs"),
    }[scene.weather][chance.randrange(1 if dark and scene.weather == "cloudy" else 2)]


def _short(scene: Scene) -> str:
    return {"clear": "clear", "cloudy": "clouds", "rain": "rain", "snow": "snow", "fog": "fog"}[scene.weather]
