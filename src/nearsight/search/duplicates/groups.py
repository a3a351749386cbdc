"""From a collection to groups of one picture each, and which of them is kept."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nearsight.core.arrays import NO_KEY
from nearsight.core.errors import InputError
from nearsight.core.events import Done, Event, Step, outcome
from nearsight.search.duplicates.contents import Content, File, contents_of
from nearsight.search.duplicates.join import ROUNDING, Led, Places, Rows, led, near
from nearsight.search.duplicates.looking import Looks
from nearsight.search.duplicates.nearness import nearness
from nearsight.search.query import Query

if TYPE_CHECKING:
    from nearsight.search.collection import Collection

POLICIES: Mapping[str, str] = {
    "largest": "the most pixels, then the most bytes",
    "oldest": "the oldest file",
    "newest": "the newest file",
    "first": "the first path in order",
}
"""Which picture of a group is kept."""
_FURTHER = ("largest", "oldest", "first")
"""What decides where all policies that were asked for are content with several."""
_NEAREST = 100
ALIKE = 0.95
"""The cosine from which vectors alone call two pictures the same, unless told."""


@dataclass(frozen=True, slots=True)
class Copy:
    """An item that is the same picture as another: its key, the cosine of the two, and whether the files are equal
    byte for byte."""

    key: int
    score: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Group:
    """One picture, several times: the key of the item to keep, and the others, each the same picture as that one,
    exact copies first, then by falling score."""

    keep: int
    others: tuple[Copy, ...]

    def __len__(self) -> int:
        return 1 + len(self.others)

    @property
    def keys(self) -> tuple[int, ...]:
        """All of it, the one that is kept first."""
        return (self.keep, *(copy.key for copy in self.others))


def duplicates(
    collection: Collection,
    at_least: float | None = None,
    *,
    keep: str = "largest",
    look: bool = True,
    workers: int | None = None,
) -> Generator[Event, None, list[Group]]:
    """Groups of items that are one picture, the largest groups first, then by the key that is kept.

    A pair whose cosine is `at_least` is looked at: pixels decide, or with ``look=False`` the vectors alone. Where it is
    not given, it is what nearly all copies have (see `nearness`), and 0.95 for vectors alone. Every item of a group is
    the same picture as the one that is kept: the best by `keep`, a policy of `POLICIES`, or several with commas
    between, each for those among which the one before does not decide. Signatures of pictures are made once and kept in
    the collection where it is open for writing, also of a run that is closed early.

    Yields Step; Skipped for every picture that cannot be looked at any more, of which only exact copies are found;
    Done. Raises InputError (code ``duplicates/keep``, ``duplicates/at-least``, ``duplicates/no-pictures``), Damaged,
    WriteFailed.
    """
    policies = _policies(keep)
    least = yield from _least(collection, at_least, look)
    snapshot = collection.store.verified()
    contents = contents_of(collection, snapshot.living())
    places = snapshot.rows_of(np.array([content.files[0].key for content in contents], dtype=np.int64))
    chosen = np.arange(len(contents))
    looks = None
    if look:
        _require_pictures(collection, contents)
        near_ones = yield from near(Rows(lambda rows: snapshot.vectors(places[rows]), len(contents)), least)
        looks = Looks(collection, contents)
        chosen = yield from looks.sign(np.flatnonzero(near_ones), workers)

    def rank(row: int, file: File) -> tuple[int | bytes, ...]:
        pixels = looks.pixels(row) if looks else 0
        return tuple(value for policy in policies for value in _RANKS[policy](file, pixels))

    best = [min(content.files, key=lambda file: rank(row, file)) for row, content in enumerate(contents)]
    order = np.array(sorted(chosen.tolist(), key=lambda row: rank(row, best[row])), dtype=np.int64)
    same = looks.same(order) if looks else None
    found = yield from led(Rows(lambda rows: snapshot.vectors(places[order[rows]]), order.size), least, same)
    groups = _groups(contents, [file.key for file in best], order, found)
    yield Done("duplicates", {"groups": len(groups), "others": sum(len(group.others) for group in groups)})
    return groups


def copies(collection: Collection, picture: bytes, at_least: float | None = None, *, look: bool = True) -> list[Copy]:
    """Items that are the same picture as a new one, given as its file's content: exact copies, then by falling score.

    The 100 items nearest to it, with a cosine of `at_least`, are looked at; exact copies are found always.
    Raises PictureError, InputError (code ``duplicates/at-least``), Damaged.
    """
    least = outcome(_least(collection, at_least, look))
    exact = collection.twins(picture)
    vector = collection.vector(Query.like(picture))
    hits = collection.search_vectors(vector[None], min(_NEAREST, max(1, len(collection))))
    near_ones = (hits.keys[0] != NO_KEY) & (hits.scores[0] >= least - ROUNDING)
    scores = dict(zip(hits.keys[0, near_ones].tolist(), hits.scores[0, near_ones].tolist(), strict=True))
    other = [key for key in scores if key not in exact]
    if look:
        contents = contents_of(collection, np.array(other, dtype=np.int64))
        looks = Looks(collection, contents)
        outcome(looks.sign(np.arange(len(contents))))
        alike = {file.key for row in looks.like(picture).tolist() for file in contents[row].files}
        other = [key for key in other if key in alike]
    return [
        *(Copy(key, 1.0, True) for key in exact),
        *(Copy(key, scores[key], False) for key in other),
    ]


def _policies(keep: str) -> tuple[str, ...]:
    asked = tuple(name.strip() for name in keep.split(","))
    unknown = [name for name in asked if name not in POLICIES]
    if unknown:
        raise InputError(
            f"there is no policy '{unknown[0]}' to keep by",
            code="duplicates/keep",
            hint=f"there are: {', '.join(POLICIES)}",
        )
    return (*asked, *_FURTHER)


_RANKS: Mapping[str, Callable[[File, int], tuple[int | bytes, ...]]] = {
    "largest": lambda file, pixels: (-pixels, -file.size),
    "oldest": lambda file, pixels: (file.mtime_ns,),
    "newest": lambda file, pixels: (-file.mtime_ns,),
    "first": lambda file, pixels: (file.path, file.key),
}


def _least(collection: Collection, at_least: float | None, look: bool) -> Generator[Step, None, float]:
    """The threshold that was asked for, or the one that is right here."""
    if at_least is None:
        return (yield from nearness(collection)) if look else ALIKE
    if not -1 <= at_least <= 1:
        raise InputError(f"a cosine lies between -1 and 1, which {at_least} does not", code="duplicates/at-least")
    return at_least


def _require_pictures(collection: Collection, contents: Sequence[Content]) -> None:
    if contents and not any(content.sha256 for content in contents):
        raise InputError(
            f"the vectors of {collection.folder} came without pictures that could be looked at",
            code="duplicates/no-pictures",
            hint="let the vectors alone decide: look=False, on the command line --by-vectors",
        )


def _groups(contents: Sequence[Content], best: Sequence[int], order: Places, found: Led) -> list[Group]:
    """Those that are led, under their leaders, with the exact copies of all."""
    led_by: dict[int, list[tuple[int, float]]] = {
        row: [] for row, content in enumerate(contents) if len(content.files) > 1
    }
    for place in np.flatnonzero(found.leader >= 0).tolist():
        led_by.setdefault(int(order[found.leader[place]]), []).append((int(order[place]), float(found.cosine[place])))
    under = {row for members in led_by.values() for row, _ in members}
    groups = []
    for row, members in led_by.items():
        if row not in under:
            exact = [Copy(file.key, 1.0, True) for file in contents[row].files if file.key != best[row]]
            near_ones = [Copy(file.key, score, False) for other, score in members for file in contents[other].files]
            near_ones.sort(key=lambda copy: (-copy.score, copy.key))
            groups.append(Group(best[row], (*exact, *near_ones)))
    return sorted(groups, key=lambda group: (-len(group), group.keep))
