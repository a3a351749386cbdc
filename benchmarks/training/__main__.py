"""``python -m benchmarks.training [--quick] [--only SECTION,...] [--runs PATH]``: docs/results/training.{json,md}."""

from __future__ import annotations

from benchmarks import _sections

SECTIONS = ("report", "modern", "unseen", "step", "kills")


def main() -> None:
    parser = _sections.parser("training", SECTIONS)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of the report's two small networks")
    given = parser.parse_args()
    _sections.run("training", SECTIONS, given, {"report": {"seeds": given.seeds}})


main()
