"""How to encode in bulk."""

from __future__ import annotations

from dataclasses import dataclass

from nearsight.core.errors import InputError
from nearsight.data.images import Limits
from nearsight.search.store.store import DTYPES
from nearsight.search.sync.options import DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a table of paths are called; the others are kept as fields."""

    path: str = "path"
    label: str = "label"
    caption: str = "caption"
    """``caption_2``, ``caption_3`` and so on go with it; a cell may be a list."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to encode in bulk; see `nearsight.search.bulk.encode`. Raises InputError (code ``bulk/options``)."""

    columns: Columns = Columns()
    folder_labels: bool = True
    """The folder that a picture lies in is its label; tables say themselves."""
    rows: int = 5000
    """Pictures of a shard: what is lost when a worker dies, at most."""
    dtype: str = "float32"
    """How vectors are written."""
    limits: Limits = DEFAULT_LIMITS
    workers: int | None = None
    """Threads that read and decode in each process that encodes; None: one for each core."""
    isolate: bool = False
    """Decode in processes that can be killed (slower): for pictures from people you do not trust."""
    retry: bool = False
    """Encode shards again from which pictures were left out: a network was away, say."""

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES or self.rows < 1:
            raise InputError(
                f"vectors are written as {' or '.join(DTYPES)}, one picture or more a shard, not {self.dtype}, "
                f"{self.rows}",
                code="bulk/options",
            )
