"""Faults thrown at collections, counted: kills, flipped bits, zeroed pages, junk, failing writes, a full disk.

Each function returns counts. What must be zero: ``lost`` (acknowledged and gone), ``phantom`` (there and never added),
``wrong`` (not as it was added), ``silent`` (an answer that differs from the truth without an error), ``unnamed`` (an
error for which `check` finds nothing), ``crashed`` (a signal, or an error that is not ours). Everything happens in
forked children, so that a crash is a count, too.

    python -m benchmarks._faults kills 300
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks._fault_bytes import flips, junk, pages, unsealed
from benchmarks._fault_kills import kills
from benchmarks._fault_migration import migrating, migration_kills
from benchmarks._fault_writes import disk_full, failpoints

__all__ = [
    "alone", "disk_full", "failpoints", "flips", "junk", "kills", "migrating", "migration_kills", "pages", "unsealed",
]  # fmt: skip


_ALL = (kills, flips, pages, junk, unsealed, failpoints, disk_full, migrating, migration_kills)


def alone(name: str, *numbers: int) -> dict[str, Any]:
    """One of the functions in a process that has computed nothing yet, so that it can fork safely."""
    command = [sys.executable, "-m", "benchmarks._faults", name, *map(str, numbers)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    """One of the functions, by name, with its number; prints JSON."""
    name, *given = sys.argv[1:]
    chosen = {f.__name__: f for f in _ALL}[name]
    started = time.monotonic()
    result = chosen(*map(int, given))
    print(json.dumps({**result, "seconds": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()
