"""What is asked: pictures, regions of them, words, items and vectors with weights, and which answers count."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.errors import QueryError
from nearsight.search.filters import Filter

__all__ = ["VERDICTS", "Box", "Filter", "Query", "Region", "Source", "Text"]

VERDICTS = ("likely", "sure")
"""What can be asked of an answer's score, where the collection is calibrated."""

PROBE = 5
"""Good and bad answers, each, from which on a classifier of them ranks better than their means (docs/feedback.md)."""

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels; right and bottom are the first ones outside."""


@dataclass(frozen=True, slots=True)
class Text:
    """Words to look for: ``Text("two dogs on a beach")``. A plain str is the path of a picture.

    Raises QueryError (code ``query/words``) where there are none, or bytes among them that are no letters.
    """

    words: str

    def __post_init__(self) -> None:
        if not self.words.strip():
            raise QueryError("there are no words to look for", code="query/words", hint="say what the picture shows")
        if any("\ud800" <= letter <= "\udfff" for letter in self.words):  # bytes of a command line that are not UTF-8
            raise QueryError(f"{self.words!a} is not text: it holds half a letter", code="query/words")


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture: ``Region("cat.jpg", (10, 20, 200, 180))``, or of the picture of an item, by its key.

    `box` is (left, top, right, bottom) in pixels of the picture as it is shown, upright and at its full size, from
    which the part is cut before anything is shrunk. Raises QueryError (code ``query/region``) for an empty box, and
    when it is searched with, for one that is not within the picture.
    """

    picture: Path | str | bytes | Image.Image | int
    box: Box

    def __post_init__(self) -> None:
        if isinstance(self.picture, str):
            object.__setattr__(self, "picture", Path(self.picture))
        object.__setattr__(self, "box", tuple(self.box))
        if len(self.box) != 4 or not all(isinstance(edge, (int, np.integer)) for edge in self.box):
            raise QueryError(f"a box is four whole numbers, not {self.box}", code="query/region", hint=_BOX)
        left, top, right, bottom = self.box
        if left >= right or top >= bottom:
            raise QueryError(f"the box {list(self.box)} is empty", code="query/region", hint=_BOX)
        if left < 0 or top < 0:
            raise QueryError(f"the box {list(self.box)} begins outside of the picture", code="query/region", hint=_BOX)


_BOX = "left, top, right, bottom in pixels, from the upper left corner"

Source = Path | str | bytes | Image.Image | Region | Text | NDArray[np.floating] | int
"""A picture (path, content, or decoded), a part of one, words, a vector (d,), or the key of an item in the
collection."""


@dataclass(frozen=True, slots=True)
class Query:
    """One or several examples with weights (negative: less of that), a filter, and which answers count.

    min_score  answers with a lower score are left out; -1 to 1
    fold       answers whose vector has at least this cosine to that of a better answer stand under it, as `folded`,
               and k others are found; above 0, up to 1
    verdict    ``likely`` or ``sure``: answers that are less so are left out; the collection must be calibrated
    up, down   keys of items that were judged good and bad answers: the others are ranked by what these say (see
               `nearsight.search.feedback`); those that are bad are not shown again
    unjudged   those that are good are not shown again either

    ``str(query)`` is its written form, which `parse` reads. Raises QueryError: ``query/weight`` for a weight that is
    not a finite number, ``query/score``, ``query/fold``, ``query/verdict``, ``query/judged`` for an item that is good
    and bad.
    """

    examples: tuple[tuple[Source, float], ...]
    where: Filter = field(default_factory=Filter)
    min_score: float | None = None
    fold: float | None = None
    verdict: str | None = None
    up: tuple[int, ...] = ()
    down: tuple[int, ...] = ()
    unjudged: bool = False

    def __post_init__(self) -> None:
        plain = tuple((Path(source) if isinstance(source, str) else source, w) for source, w in self.examples)
        object.__setattr__(self, "examples", plain)
        for _, weight in plain:
            if not math.isfinite(weight):
                raise QueryError(f"a weight is a finite number, not {weight}", code="query/weight")
        if self.min_score is not None and not -1 <= self.min_score <= 1:
            raise QueryError(f"a score lies between -1 and 1, not at {self.min_score}", code="query/score")
        if self.fold is not None and not 0 < self.fold <= 1:
            raise QueryError(f"fold is a cosine above 0, up to 1, not {self.fold}", code="query/fold", hint="try 0.97")
        if self.verdict is not None and self.verdict not in VERDICTS:
            raise QueryError(f"a verdict is {' or '.join(VERDICTS)}, not {self.verdict}", code="query/verdict")
        for name in ("up", "down"):
            object.__setattr__(self, name, tuple(dict.fromkeys(int(key) for key in getattr(self, name))))
        if both := sorted({*self.up} & {*self.down}):
            raise QueryError(f"item {both[0]} is judged good and bad", code="query/judged", hint="say one of them")

    @property
    def method(self) -> str | None:
        """How the judgements count: ``rocchio``, from PROBE of each on ``probe``; None where there are none."""
        if min(len(self.up), len(self.down)) >= PROBE:
            return "probe"
        return "rocchio" if self.up or self.down else None

    @property
    def away(self) -> frozenset[int]:
        """Keys of the judged items that are not shown again."""
        return frozenset(self.down + self.up) if self.unjudged else frozenset(self.down)

    @classmethod
    def like(
        cls,
        *examples: Source,
        where: Filter | Mapping[str, Any] | None = None,
        min_score: float | None = None,
        fold: float | None = None,
        verdict: str | None = None,
    ) -> Query:
        """All examples with weight 1. Raises QueryError where there is none."""
        if not examples:
            raise QueryError("a query needs at least one example", code="query/empty")
        given = where if isinstance(where, Filter) else Filter.of(where or {})
        return cls(tuple((e, 1.0) for e in examples), given, min_score, fold, verdict)

    @classmethod
    def words(cls, *texts: str, where: Filter | Mapping[str, Any] | None = None) -> Query:
        """Pictures that show what the texts say; each weighs 1. Raises QueryError as `like` and `Text`."""
        return cls.like(*map(Text, texts), where=where)

    @classmethod
    def parse(cls, text: str) -> Query:
        """From its written form: ``horse + 2: stripes - "car" | year >= 2020; fold=0.97``. See docs/queries.md.

        Raises GrammarError, which says where, and QueryError as the parts do.
        """
        from nearsight.search.grammar import parse

        return parse(text)

    def __str__(self) -> str:
        """The written form. What lies in memory alone (bytes, decoded pictures, vectors) has none: ``<picture>``."""
        from nearsight.search.grammar import write

        return write(self)
