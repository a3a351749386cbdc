"""How to sync, and what may be known about a picture besides its pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import EllipsisType

from nearsight.core.errors import InputError
from nearsight.core.items import Value
from nearsight.data.images import Limits
from nearsight.search.store.catalogue import pack_json

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is known about a picture besides its pixels."""

    label: str | None = None
    captions: tuple[str, ...] = ()
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Options:
    """How to sync; see `nearsight.search.collection.Collection.sync`. Raises InputError for an unknown `drop`."""

    annotate: Callable[[Path], Annotation | None] | None = None
    """Relative path -> what is known of it; None leaves it as it is."""
    only: Callable[[Path], bool] | None = None
    """Relative path -> whether the collection is to have it; the others are as good as not there"""
    drop: str = "safe"
    """Pictures that are gone: ``safe`` (dropped, unless a mount seems to have vanished), ``always``, ``never``"""
    limits: Limits = DEFAULT_LIMITS
    workers: int | None = None
    """Threads that read and decode; None: one for each core."""
    isolate: bool = False
    """Decode in processes that can be killed (slower): for pictures from people you do not trust."""
    follow_links: bool = False
    profile: bool = False
    """Steps and Done tell where the time went (`nearsight.search.sync.stopwatch`)."""

    def __post_init__(self) -> None:
        if self.drop not in ("safe", "always", "never"):
            raise InputError(f"drop is safe, always or never, not {self.drop}")


def folder_label(path: Path) -> Annotation | None:
    """The name of the folder that a picture lies in, as its label; none directly under the root."""
    return Annotation(label=path.parent.name) if path.parent.name else None


def columns(
    *,
    label: str | EllipsisType | None = ...,
    captions: Sequence[str] | None = None,
    fields: Mapping[str, Value] | None = None,
) -> dict[str, str | None]:
    """Catalogue columns of an annotation; what is not given is left out."""
    change: dict[str, str | None] = {}
    if not isinstance(label, EllipsisType):
        change["label"] = label
    if captions is not None:
        change["captions"] = pack_json(list(captions))
    if fields is not None:
        change["fields"] = pack_json(dict(fields))
    return change
