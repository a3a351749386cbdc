"""Hubness correction: items that are near to everything are found less often, others more.

In spaces of many dimensions some items are among the nearest of far too many queries (hubs), most of all between two
modalities. A correction looks at a *bank* of other queries, of the same modality as those to come and drawn from the
training split, sees which items they would find, and makes other scores of the similarities. A bank that holds the test
queries themselves makes a result transductive, and its protocol card says so.

To add one, write ``hubness/NAME.py`` with a docstring and ``build(variant=None, *, option=default, ...) -> Hubness``.
tests/contracts/test_hubness.py finds it and holds it to this: finite scores for banks and galleries of any size from
one; a query's scores depend on that query, the bank and the gallery only; items that look alike to the bank and to the
query have equal scores; neither the order of the bank nor how it is cut into blocks means anything; and its formula as
a loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from nearsight.core.arrays import Scores, Vectors
from nearsight.core.registry import Catalogue
from nearsight.measure.crossmodal import Correcting
from nearsight.measure.ranking import Correction, Gallery

HUBNESS = Catalogue("nearsight.search.hubness", "hubness correction")


@dataclass(frozen=True)
class Hubness(ABC):
    """What a file in `search/hubness` builds."""

    address: str
    """The component address that builds it again."""
    learns: ClassVar[bool] = True
    """Whether it looks at a bank at all."""

    @abstractmethod
    def fit(self, bank: Iterable[Scores]) -> Correction:
        """Blocks (b, n) of the similarities of bank queries to the n items of the gallery -> a correction.

        The correction takes (q, n) similarities of queries to the same items, may write into them, and gives (q, n)
        float32 scores to rank by; each row is judged by itself. Raises InputError (code ``hubness/bank``) for an empty
        bank where it learns from one.
        """


def correcting(hubness: Hubness, bank: Vectors) -> Correcting:
    """`hubness` with a bank of (b, d) query vectors, for whatever gallery is searched; block by block."""

    def correct(gallery: Gallery) -> Correction:
        return hubness.fit(scores for _, scores in gallery.blocks(bank))

    return correct
