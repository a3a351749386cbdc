"""What stands behind the semicolons of a written query: which of its settings, how each is read and written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nearsight.search.query import VERDICTS

NUMBER = re.compile(r"-?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+")
_ITEMS = re.compile(r"@[0-9]{1,18}+(?:\s*+,\s*+@[0-9]{1,18}+)*+")
_VERDICT = re.compile(rf"(?:{'|'.join(VERDICTS)})(?![^\s;])")
_YES = re.compile(r"yes(?![^\s;])")


@dataclass(frozen=True, slots=True)
class Setting:
    """One of a `Query`: its pattern, an example of it, what it is called when it is missing."""

    pattern: re.Pattern[str]
    takes: str
    told: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


def number(value: float) -> str:
    """A number as it is written."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _keys(written: str) -> tuple[int, ...]:
    return tuple(int(part.strip().removeprefix("@")) for part in written.split(","))


def _items(keys: tuple[int, ...]) -> str:
    return ",".join(f"@{key}" for key in keys)


SETTINGS = {
    "min_score": Setting(NUMBER, "NUMBER", "a number", float, number),
    "fold": Setting(NUMBER, "NUMBER", "a number", float, number),
    "verdict": Setting(_VERDICT, "likely", " or ".join(VERDICTS), str, str),
    "up": Setting(_ITEMS, "@12,@15", "the key of an item, @12,", _keys, _items),
    "down": Setting(_ITEMS, "@12,@15", "the key of an item, @12,", _keys, _items),
    "unjudged": Setting(_YES, "yes", "yes", lambda text: text == "yes", lambda value: "yes"),
}
"""By the name of the field of `nearsight.search.query.Query` that each stands for."""
