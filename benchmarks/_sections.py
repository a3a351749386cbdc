"""The front of a benchmark that has sections: which of them run, and where what they train is kept."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks._results import Results


def parser(name: str, sections: Sequence[str]) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}", description=f"docs/results/{name}.json and .md, section by section"
    )
    found.add_argument("--quick", action="store_true", help="one epoch, few pictures; writes nothing")
    found.add_argument("--only", default=",".join(sections), help=f"some of {','.join(sections)}")
    found.add_argument(
        "--runs", default="runs", type=Path, help="where trainings are kept; those there are not repeated"
    )
    return found


def run(
    name: str, sections: Sequence[str], given: argparse.Namespace, more: Mapping[str, Mapping[str, int]] | None = None
) -> None:
    """`more`: section -> what it takes besides."""
    from nearsight.learn.devices import keep_freed_memory

    keep_freed_memory()
    chosen = given.only.split(",")
    results = Results(name, keep=set(chosen) != set(sections), write=not given.quick)
    for section in chosen:
        print(f"-- {section}", flush=True)
        runs = given.runs / "quick" if given.quick else given.runs
        module = importlib.import_module(f"benchmarks.{name}.{section}")
        module.measure(results, runs=runs, quick=given.quick, **(more or {}).get(section, {}))
