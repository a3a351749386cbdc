"""Long work is a generator of events; faces (a terminal, a page, a log) draw them.

A generator that is closed early (Ctrl-C, ``.close()``) has kept everything it announced as committed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """``done`` of ``total`` (None while unknown) units of ``what`` are finished; where it was asked for, ``spent``
    says the seconds since the beginning by part of the work, of all threads together."""

    what: str
    done: int
    total: int | None = None
    spent: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Encoded:
    """``count`` more pictures are encoded **and committed**: they survive a crash from here on."""

    count: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file was left out. ``code`` is stable, ``why`` is for people, ``hint`` is the repair, if there is one."""

    path: str
    code: str
    why: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The end. ``counts`` by name, for instance added, updated, moved, dropped, unchanged, skipped; ``spent`` as in
    Step."""

    what: str
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    spent: Mapping[str, float] = field(default_factory=dict)


Event = Step | Encoded | Skipped | Done


def outcome(work: Generator[Event, None, T], see: Callable[[Event], object] | None = None) -> T:
    """Let long work run to its end, each event shown to `see`, and take what it returns."""
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            found: T = end.value
            return found
        if see is not None:
            see(event)
