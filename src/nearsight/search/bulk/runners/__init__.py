"""Runners: who encodes which shard, and where.

To add one, write ``runners/NAME.py`` with a docstring and ``build(*, option=default, ...) -> Runner``. What a shard is,
is not for it to say: it calls `nearsight.search.bulk.shard.encode_shard` wherever it likes, for each number until its
file is there. tests/contracts/test_runners.py finds the file and judges it: all runners write the same shards.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from nearsight.core.registry import Catalogue
from nearsight.search.bulk.shard import Work

RUNNERS = Catalogue("nearsight.search.bulk.runners", "runner")

Progress = tuple[int, int, bool]
"""Shard, how many of its pictures are behind us, whether its file is there."""


class Runner(Protocol):
    """Encodes shards."""

    def run(self, work: Work, shards: Sequence[int]) -> Generator[Progress, None, None]:
        """Make the files of these shards, in any order, and tell of each that is whole exactly once.

        Closed early it leaves no process behind, and what it told of is there. Raises what `encode_shard` raises, and
        ClusterError where its own machinery fails: all that is there stays.
        """
        ...
