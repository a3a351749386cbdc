"""Another encoder for a collection, while it goes on answering.

`recode` makes the vectors of a second generation, `migration` is the whole way, there and back.
"""

from nearsight.search.migration.migration import Migration, forget, made_by

__all__ = ["Migration", "forget", "made_by"]
