"""``python -m benchmarks.scale [--quick] [--only SECTION,...] [--runs PATH]``: docs/results/scale.*."""

from __future__ import annotations

from benchmarks import _sections

SECTIONS = (
    "indexing", "int8", "exact", "ann", "ten_million", "evaluation", "milvus_kills", "pgvector_kills", "ray", "billion",
    "search_peers", "index_peers", "growth",
)  # fmt: skip

_sections.run("scale", SECTIONS, _sections.parser("scale", SECTIONS).parse_args())
