"""Other people's programs beside ours: each in an environment of its own, and a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from benchmarks._results import ROOT

_MINUTES = 20
_SLOWED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Settings of an environment that would hold a library back."""


class Absent(Exception):
    """A peer that cannot be installed or does not run: its row is left out, and the reason is told."""


def python(runs: Path, name: str, packages: Sequence[str]) -> str:
    """A Python that has the packages: this one if it has them all, else that of ``RUNS/peers/NAME``, made once. Raises
    Absent."""
    if all(_here(package) for package in packages):
        return sys.executable
    folder = runs / "peers" / name
    found = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    done = folder / "installed"
    if not done.exists():
        print(f"  installing {', '.join(packages)}", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        command = [str(found), "-m", "pip", "install", "--quiet", "numpy", *packages]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=60 * _MINUTES)
        except subprocess.CalledProcessError as error:
            raise Absent(f"{name} cannot be installed: {_last(error.stderr)}") from None
        except subprocess.TimeoutExpired:
            raise Absent(f"{name} was not installed within {_MINUTES} minutes") from None
        done.write_text("\n".join(packages))
    return str(found)


def told(python: str, module: str, *given: str, minutes: int = _MINUTES) -> dict[str, Any]:
    """What ``PYTHON -m MODULE GIVEN...`` prints last, as JSON; on all cores. Raises Absent."""
    environment = {name: value for name, value in os.environ.items() if name not in _SLOWED}
    command = [python, "-m", module, *given]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True, timeout=60 * minutes
        )
    except subprocess.CalledProcessError as error:
        raise Absent(_last(error.stderr)) from None
    except subprocess.TimeoutExpired:
        raise Absent(f"not done after {minutes} minutes") from None
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _here(package: str) -> bool:
    try:
        distribution(package.partition("[")[0])
    except PackageNotFoundError:
        return False
    return True


def _last(told: str) -> str:
    return (told.strip().splitlines() or ["no reason was told"])[-1][:160]
