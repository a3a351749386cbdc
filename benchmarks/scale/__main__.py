"""``python -m benchmarks.scale [--quick] [--only SECTION,...] [--runs PATH]``: docs/results/scale.*."""

from __future__ import annotations

from benchmarks import _sections

SECTIONS = ("indexing", "int8", "exact", "ann", "evaluation", "milvus_kills", "pgvector_kills", "ray", "billion")

_sections.run("scale", SECTIONS, _sections.parser("scale", SECTIONS).parse_args())
