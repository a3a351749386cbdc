"""``nearsight compact``: give back the space of what was deleted and replaced."""

from __future__ import annotations

from nearsight.cli import places, render

EXAMPLES = "nearsight compact ~/Pictures"


def run(collection: places.CollectionArgument = None) -> None:
    """Give back the space of what was deleted and replaced.

    Brings the engine up to date, too. Searching goes on meanwhile.
    """
    with places.opened(places.find(collection), write=True) as kept:
        before = kept.stats()["bytes"]
        freed = kept.compact()
        after = kept.stats()["bytes"]
    render.out(f"{freed:,} dead vectors gone: {render.size(before)} before, {render.size(after)} now")
