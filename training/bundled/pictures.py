"""Which pictures teach, and which kinds are kept out to judge by. No picture of a test or validation split is either.

Kinds to judge by were chosen once, by their place in the sorted names, before anything was trained.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nearsight.core.items import Item
from nearsight.data.datasets import load

FLOWERS = frozenset({"sunflower", "water_lilly", "lotus"})
"""Of caltech101: all kept out, for flowers are a kind that will be asked for."""


class Gathered(NamedTuple):
    """teaching: (name, file), in a fixed order; judging: kind -> labelled pictures; banned: sha256 of every picture of
    a test or validation split, none of which may be in either."""

    teaching: list[tuple[str, Path]]
    judging: dict[str, list[Item]]
    banned: set[str]


def gathered(root: Path, drawings: Path) -> Gathered:
    """All pictures at hand below `root`, and scenes drawn into `drawings`.

    Raises DatasetError where a set is missing.
    """
    flickr, mit = load("karpathy/flickr8k", root), load("mit_split", root)
    teaching = [(f"flickr8k/{item.path.name}", item.path) for item in flickr.split("train")]
    judging: dict[str, list[Item]] = defaultdict(list)

    def share(kind: str, files: Mapping[str, Sequence[Path]], kept: Iterable[str], most: int) -> None:
        """Of the labels in `kept`, at most so many pictures each judge; of the others, all teach."""
        kept = set(kept)
        for label, paths in sorted(files.items()):
            if label in kept:
                judging[kind] += [Item(0, path, label) for path in paths[:most]]
            else:
                teaching.extend((f"{kind}/{path.name}", path) for path in paths)

    by_class: dict[str, list[Path]] = defaultdict(list)
    for item in mit.split("train"):
        by_class[str(item.label)].append(item.path)
    for label, paths in sorted(by_class.items()):
        judging["mit_train"] += [Item(0, path, label) for path in paths[::10]]
        teaching += [(f"mit_split/{label}/{path.name}", path) for at, path in enumerate(paths) if at % 10]

    variety = root / "variety"
    caltech = _labelled(variety / "caltech101", lambda name: name.split("__")[1])
    share("caltech101", caltech, {*sorted(caltech)[3::6], *FLOWERS}, 18)
    grocery = _labelled(variety / "grocery_store", lambda name: name.split("__")[1])
    share("grocery_store", grocery, sorted(grocery)[2::4], 10)
    tiny = _labelled(variety / "tiny_imagenet", lambda name: name.split("_")[0])
    kept = set(sorted(tiny)[5::8])
    share("tiny_imagenet", tiny, kept, 16)
    intel = _labelled(variety / "intel_scenes", lambda name: name.split("__")[1])
    share("intel_scenes", intel, intel, 60)
    for path in sorted((root / "imagenet_samples" / "images").iterdir()):
        if path.name.split("_")[0] not in kept:  # a kind that judges is nowhere among what teaches
            teaching.append((f"imagenet_samples/{path.name}", path))
    for item in load("drawn?n=2000&size=192&seed=100", drawings).split("train"):
        teaching.append((f"drawn/{item.path.name}", item.path))
    judging["drawn"] = list(load("drawn?n=240&size=192&seed=101", drawings).split("test"))
    hidden = (*flickr.split("test"), *flickr.split("val"), *mit.split("test"))
    banned = {hashlib.sha256(item.path.read_bytes()).hexdigest() for item in hidden}
    return Gathered(teaching, dict(judging), banned)


def _labelled(folder: Path, label: Callable[[str], str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        found[label(path.name)].append(path)
    return found
