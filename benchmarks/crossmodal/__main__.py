"""``python -m benchmarks.crossmodal [--quick] [--only SECTION,...] [--runs PATH]``: docs/results/crossmodal.*."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from benchmarks._results import Results

SECTIONS = ("features", "modern", "waterfall", "report", "searching")


def main() -> None:
    from nearsight.learn.devices import keep_freed_memory

    keep_freed_memory()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crossmodal", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one epoch, few pictures; writes nothing")
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"some of {','.join(SECTIONS)}")
    parser.add_argument(
        "--runs", default="runs", type=Path, help="where trainings are kept; those there are not repeated"
    )
    given = parser.parse_args()
    sections = given.only.split(",")
    results = Results("crossmodal", keep=set(sections) != set(SECTIONS), write=not given.quick)
    for name in sections:
        print(f"-- {name}", flush=True)
        runs = given.runs / "quick" if given.quick else given.runs
        importlib.import_module(f"benchmarks.crossmodal.{name}").measure(results, runs=runs, quick=given.quick)


main()
