"""Small collections to harm, and the counted faults of the benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearsight.core.arrays import unit
from nearsight.encode.encoder import EncoderSpec, create
from nearsight.search.collection import Collection
from nearsight.search.store import disk
from nearsight.search.store.store import Record

ROOT = Path(__file__).parents[2]
DIM = 8
SPEC = EncoderSpec("made-up", DIM, ("image",), "cd" * 32, {})


def vectors(n: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((n, dim)))


def records(n: int, prefix: str = "p") -> list[Record]:
    return [Record(f"{prefix}{i}".encode(), label=f"l{i % 3}") for i in range(n)]


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def counted() -> Callable[..., dict[str, Any]]:
    """Run one of `benchmarks._faults` in a process that has computed nothing yet, so that it can fork."""

    def run(name: str, *numbers: int) -> dict[str, Any]:
        code = "import sys; from benchmarks import _faults; sys.argv = ['faults', *sys.argv[1:]]; _faults.main()"
        done = python(code, name, *numbers)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    return run


@pytest.fixture
def store(tmp_path: Path):
    """Twenty vectors with their records, open for writing."""
    with Collection.create(tmp_path / "c", SPEC) as collection:
        collection.add(vectors(20), records(20))
        yield collection


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of twelve tiny pictures."""
    from benchmarks._fault_model import picture

    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for i in range(12):
        (folder / ("sub" if i % 2 else ".") / f"{i}.png").write_bytes(picture(i))
    return folder


@pytest.fixture
def synced(tmp_path: Path, pictures: Path):
    """A collection that mirrors `pictures`, open for writing."""
    with Collection.create(tmp_path / "c", create("colour?bins=2&grid=1")) as collection:
        list(collection.sync(pictures))
        yield collection


@pytest.fixture(autouse=True)
def _no_fault_stays():
    yield
    disk.fault = None
