"""``python -m benchmarks.server [--quick] [--only SECTION,...] [--runs PATH]``: docs/results/server.*."""

from __future__ import annotations

from benchmarks import _sections

SECTIONS = ("load", "writing", "fuzz", "region", "dedup", "imagededup")

_sections.run("server", SECTIONS, _sections.parser("server", SECTIONS).parse_args())
