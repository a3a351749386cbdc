"""``python -m benchmarks.crossmodal [--quick] [--only SECTION,...] [--runs PATH]``: docs/results/crossmodal.*."""

from __future__ import annotations

from benchmarks import _sections

SECTIONS = ("features", "modern", "waterfall", "report", "searching")

_sections.run("crossmodal", SECTIONS, _sections.parser("crossmodal", SECTIONS).parse_args())
