"""``python -m benchmarks.bundled [--quick] [--only SECTION,...]``: docs/results/bundled.{json,md}."""

from __future__ import annotations

from benchmarks import _sections

SECTIONS = ("quality", "words", "cost", "install")

_sections.run("bundled", SECTIONS, _sections.parser("bundled", SECTIONS).parse_args())
