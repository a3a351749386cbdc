"""Trainings of two heads on Flickr8k, kept as figures by the code behind ``nearsight reproduce``."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.foundation._data import data
from nearsight.core.events import Skipped
from nearsight.core.settings import override
from nearsight.learn.recipe import PairRecipe
from nearsight.study import recipes

T = TypeVar("T")
QUICK = ("loop.epochs=1",)


def there() -> bool:
    """Whether Flickr8k and the packed weights are; says so where not."""
    weights, listing = data("weights", "mobilenet_v2_imagenet1001_fp16.pth"), data("flickr8k", "dataset_flickr8k.json")
    if weights is None or listing is None:
        return False
    os.environ.setdefault("NEARSIGHT_DATA", str(listing.parent.parent))
    return True


def recipe(name: str, *assignments: str, quick: bool = False) -> PairRecipe:
    """A recipe that comes with nearsight, on Flickr8k."""
    given = ["data.source=karpathy/flickr8k", *assignments, *(QUICK if quick else ())]
    return override(recipes.of_pairs(recipes.read(name)), given)


def done(work: Generator[Any, None, T]) -> T:
    """Run it; what is left out is printed."""
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        if isinstance(event, Skipped):
            print(f"   {event.path}: {event.why.splitlines()[0]}; {event.hint}", flush=True)


def place(runs: Path) -> Path:
    """Where trainings of all sections are kept, so that those they share are made once."""
    return runs / "crossmodal"
