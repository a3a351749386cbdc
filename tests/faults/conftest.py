"""Small collections to harm, and the counted faults of the benchmark."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harm import SPEC, picture, python, records, vectors

from nearsight.encode.encoder import create
from nearsight.search.collection import Collection
from nearsight.search.store import disk


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
