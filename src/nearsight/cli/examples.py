"""What the arguments of a search are taken as: pictures, words, items of the collection."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nearsight.cli import render
from nearsight.core.errors import EncoderError, PictureError, QueryError

if TYPE_CHECKING:
    from nearsight.search.collection import Collection
    from nearsight.search.query import Query, Source

PICTURE, WORDS, ITEM, REGION = "picture", "words", "item", "region"
STDIN = "-"
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Example:
    """What was given, what it was taken as (PICTURE, WORDS, ITEM or REGION), what is searched for, and its weight."""

    given: str
    kind: str
    source: Source
    weight: float = 1.0
    box: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """For people: stdin, the words, the file's name."""
        return "stdin" if self.given == STDIN else self.given if self.kind == WORDS else Path(self.given).name

    @property
    def named(self) -> Source:
        """What is searched for by the name of its file, not by its content, where it has one."""
        from nearsight.search.query import Region

        path = Path(self.given)
        if isinstance(self.source, Region):
            return Region(path, self.source.box) if isinstance(self.source.picture, bytes) else self.source
        return path if self.kind == PICTURE and self.given != STDIN else self.source

    def facts(self) -> dict[str, object]:
        """For programs."""
        facts: dict[str, object] = {"as": self.kind, "given": self.given, "weight": self.weight}
        return facts | {"box": list(self.box)} if self.box else facts


def understood(
    kept: Collection,
    *,
    wanted: Sequence[str] = (),
    texts: Sequence[str] = (),
    pictures: Sequence[str] = (),
    keys: Sequence[int] = (),
    minus: Sequence[str] = (),
    query: Query | None = None,
    judged: bool = False,
) -> list[Example]:
    """The examples that these are, those in `minus` with weight -1, those of a written `query` with their own.

    `wanted` and `minus` may be pictures or words: what is the name of a file is a picture; what only looks like one
    (it ends as pictures do, or has a separator in it) is an error; anything else is words. Words that stand beside each
    other in `wanted` are one text: nobody needs quotation marks for a sentence. Raises QueryError (code ``query/empty``
    for nothing to look for, ``query/options``, ``query/words``), PictureError, and EncoderError (code
    ``encoder/no-text``) for words where the collection cannot be searched by them. With `judged`, answers say enough.
    """
    if [*wanted, *pictures, *minus].count(STDIN) > 1:
        raise QueryError("stdin holds one picture: '-' stands once", code="query/options")
    found: list[Example] = []
    for is_picture, beside in groupby(wanted, lambda text: _is_picture(kept, text)):
        some = list(beside)
        found += map(_picture, some) if is_picture else [_words(kept, " ".join(some))]
    found += [*(_words(kept, text) for text in texts), *map(_picture, pictures)]
    found += [Example(str(key), ITEM, key) for key in keys]
    found += [_of_a_query(kept, source, weight) for source, weight in (query.examples if query else ())]
    if not judged and not any(example.weight > 0 for example in found):
        hint = "name a picture, '-' for stdin, words, --key N, or --query QUERY"
        raise QueryError("nothing to look for", code="query/empty", hint=hint)
    found += [_picture(text, -1.0) if _is_picture(kept, text) else _words(kept, text, -1.0) for text in minus]
    return found


def _is_picture(kept: Collection, text: str) -> bool:
    if text == STDIN or _is_there(text):
        return True
    if _looks_like_a_path(text):
        hint = "check the path" + ("; if these are words: --text WORDS" if "text" in kept.modalities else "")
        raise PictureError(f"there is no picture {_short(text)}", code="picture/vanished", hint=hint)
    return False


def _picture(text: str, weight: float = 1.0) -> Example:
    from nearsight.data.images import read

    return Example(text, PICTURE, sys.stdin.buffer.read() if text == STDIN else read(Path(text)), weight)


def _of_a_query(kept: Collection, source: Source, weight: float) -> Example:
    """An example of a written query: what it is stands in it already."""
    from nearsight.search.query import Region, Text

    if isinstance(source, Text):
        return _words(kept, source.words, weight)
    if isinstance(source, Region):
        whole = _of_a_query(kept, source.picture, weight)
        region = Region(cast("bytes | int", whole.source), source.box)
        return Example(whole.given, REGION, region, weight, region.box)
    if isinstance(source, int):
        return Example(str(source), ITEM, source, weight)
    from nearsight.data.images import read

    path = cast(Path, source)
    if path.parts[:1] == ("~",):  # the shell leaves it alone within quotation marks
        path = path.expanduser()
    return Example(str(path), PICTURE, read(path), weight)


def _words(kept: Collection, text: str, weight: float = 1.0) -> Example:
    from nearsight.search.query import Text

    if "text" not in kept.modalities:
        raise EncoderError(
            f"there is no picture {_short(text)}, and this collection cannot be searched by words",
            code="encoder/no-text",
            hint="name a picture; for words, index into a new collection with an encoder that has them (--encoder)",
        )
    return Example(text, WORDS, Text(text), weight)


def _is_there(text: str) -> bool:
    """Whether it is the name of a file; a folder of that name is none, unless it is written as a path."""
    try:
        return Path(text).exists() and (not Path(text).is_dir() or _looks_like_a_path(text))
    except (OSError, ValueError):  # longer than any name, or with a NUL in it
        return False


def _looks_like_a_path(text: str) -> bool:
    from nearsight.search.grammar import SUFFIXES

    return text.lower().endswith(SUFFIXES) or any(mark in text for mark in {"/", os.sep, os.altsep or os.sep})


def _short(text: str) -> str:
    return render.clean(f"'{text}'" if len(text) <= _SHOWN else f"'{text[:_SHOWN]}...'")
