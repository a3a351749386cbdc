"""This process: shard after shard, pictures read and decoded ahead in threads."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from nearsight.search.bulk.runners import Progress
from nearsight.search.bulk.shard import Work, encode_shard


class Local:
    """See `nearsight.search.bulk.runners.Runner`."""

    def run(self, work: Work, shards: Sequence[int]) -> Generator[Progress, None, None]:
        """One after the other."""
        encoder = work.encoder()
        for number in shards:
            for step in encode_shard(work, number, encoder):
                if step.done != step.total:
                    yield number, step.done, False
            yield number, step.done, True


def build() -> Local:
    """Without options."""
    return Local()
