"""Find pictures by looking or by words: train a descriptor on your own images, index them, search them, measure it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearsight.core.arrays import Hits
    from nearsight.core.errors import NearsightError
    from nearsight.core.items import CaptionMatch, Item, Match
    from nearsight.encode import Encoder, create
    from nearsight.search.collection import Collection
    from nearsight.search.query import Filter, Query, Region, Text

__version__ = "0.1.0"

# Names are looked up when they are used: `nearsight --help` and `import nearsight` wait for neither numpy nor FAISS.
_HOMES = {
    "CaptionMatch": "nearsight.core.items",
    "Collection": "nearsight.search.collection",
    "Encoder": "nearsight.encode",
    "Filter": "nearsight.search.query",
    "Hits": "nearsight.core.arrays",
    "Item": "nearsight.core.items",
    "Match": "nearsight.core.items",
    "NearsightError": "nearsight.core.errors",
    "Query": "nearsight.search.query",
    "Region": "nearsight.search.query",
    "Text": "nearsight.search.query",
    "create": "nearsight.encode",
}

__all__ = [
    "CaptionMatch",
    "Collection",
    "Encoder",
    "Filter",
    "Hits",
    "Item",
    "Match",
    "NearsightError",
    "Query",
    "Region",
    "Text",
    "__version__",
    "create",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nearsight' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
