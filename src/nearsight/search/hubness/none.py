"""No correction: the similarities as they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from nearsight.core.arrays import Scores
from nearsight.measure.ranking import Correction
from nearsight.search.hubness import Hubness


@dataclass(frozen=True)
class Nothing(Hubness):
    """Looks at no bank."""

    learns: ClassVar[bool] = False

    def fit(self, bank: Iterable[Scores]) -> Correction:
        return lambda scores: scores


def build(variant: str | None = None) -> Hubness:
    """The similarities as they are."""
    return Nothing("none")
