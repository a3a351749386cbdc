"""``python -m benchmarks.foundation [--quick] [--only SECTION,...]``: docs/results/foundation.{json,md}."""

from __future__ import annotations

import argparse
import importlib

from benchmarks._results import Results

SECTIONS = ("start", "quality", "rates", "scale", "faults")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.foundation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs; writes nothing")
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"some of {','.join(SECTIONS)}")
    given = parser.parse_args()
    sections = given.only.split(",")
    results = Results("foundation", keep=set(sections) != set(SECTIONS), write=not given.quick)
    for name in sections:
        print(f"-- {name}", flush=True)
        importlib.import_module(f"benchmarks.foundation.{name}").measure(results, quick=given.quick)


main()
