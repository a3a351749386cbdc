"""Writes that fail: before and after every call, and on a disk that is full."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks._fault_model import (
    ENGINE,
    SPEC,
    Model,
    Op,
    compare,
    contents,
    in_child,
    perform,
    tally,
    vector,
)
from nearsight.core.errors import WriteFailed
from nearsight.search.collection import Collection
from nearsight.search.store import disk


def failpoints(every: int = 1, *, seed: int = 0) -> dict[str, Any]:
    """Die, or fail with EIO or ENOSPC, before and after each call that writes, in each kind of change."""
    counts = dict.fromkeys(("trials", "lost", "phantom", "wrong", "crashed"), 0)
    whys: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        origin, work = Path(name) / "origin", Path(name) / "work"
        model = in_child(lambda: _seeded(origin))
        number = 0
        for kind in ("add", "replace", "delete", "amend", "compact", "engine"):
            op = model.choose(random.Random(f"{seed} {kind}"), kind)
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(origin, work)
            points = in_child(lambda: _points(work, model, op))  # noqa: B023
            for index, point in enumerate(points):
                for how in ("exit", "eio", "enospc"):
                    number += 1
                    if number % every:
                        continue
                    shutil.rmtree(work)
                    shutil.copytree(origin, work)
                    told = in_child(lambda: _strike(work, model, op, index, how))  # noqa: B023
                    counts["trials"] += 1
                    sure = told == "done"
                    models = [model.after(op)] if sure else [model, model.after(op)]
                    result = in_child(lambda: compare(work, models, read_only=number % 2 == 0))  # noqa: B023
                    if isinstance(told, dict) and told != {"crashed": "exit 9"}:
                        result = told
                    tally(counts, result, whys)
                    if "which" not in result:
                        whys[-1] += f" ({kind}, {how} at {index} {point})"
    return {**counts, "why": whys[:5]}


def _seeded(folder: Path) -> Model:
    model, rng = Model(), random.Random(0)
    with Collection.create(folder, SPEC, engine=ENGINE) as collection:
        for kind in ("add", "add", "add", "amend", "engine", "replace", "delete", "add"):
            op = model.choose(rng, kind)
            perform(collection, model, op)
            model = model.after(op)
    return model


def _points(folder: Path, model: Model, op: Op) -> list[str]:
    points: list[str] = []
    with Collection.open(folder) as collection:
        disk.fault = points.append
        perform(collection, model, op)
        disk.fault = None
    return points


def _strike(folder: Path, model: Model, op: Op, index: int, how: str) -> str:
    """``done`` or ``refused``; anything else is not an answer."""
    calls = iter(range(10**6))

    def fault(point: str) -> None:
        if next(calls) == index:
            if how == "exit":
                os._exit(9)
            raise OSError(getattr(errno, how.upper()), os.strerror(getattr(errno, how.upper())))

    with Collection.open(folder) as collection:
        disk.fault = fault
        try:
            perform(collection, model, op)
            return "done"
        except WriteFailed:
            len(collection)  # reading goes on
            collection.search_vectors(vector("query", 0)[None], 3)
            return "refused"


@contextmanager
def small_disk(size: int) -> Iterator[Path | None]:
    """A tmpfs of its own, or None where mounting is not permitted."""
    with tempfile.TemporaryDirectory() as name:
        options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", name]
        with suppress(OSError):
            if not subprocess.run(options, capture_output=True, check=False).returncode:
                try:
                    yield Path(name)
                finally:
                    subprocess.run(["umount", "-l", name], check=True)
                return
        yield None


def disk_full(points: int = 128, *, step: int = 4096, seed: int = 0) -> dict[str, Any]:
    """A disk with 0, 4, 8, ... KB left, and every kind of change until it is full and after; ``refused`` counts the
    points at which it was.

    On a tmpfs where one may be mounted, else under a limit on the size of files.
    """
    counts = dict.fromkeys(("trials", "refused", "lost", "phantom", "wrong", "crashed"), 0)
    whys: list[str] = []
    with tempfile.TemporaryDirectory() as name, small_disk(4 << 20) as mounted:
        origin = Path(name) / "origin"
        start = in_child(lambda: _seeded(origin))
        for point in range(points):
            home = mounted or Path(name)
            work, ballast = home / "work", home / "ballast"
            shutil.rmtree(work, ignore_errors=True)
            ballast.unlink(missing_ok=True)
            shutil.copytree(origin, work)
            if mounted:
                free = os.statvfs(home)
                ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - point * step)))
            limit = None if mounted else point * step
            told = in_child(lambda: _fill(work, start, random.Random(f"{seed} {point}"), limit))  # noqa: B023
            counts["trials"] += 1
            result = told
            if "models" in told:
                counts["refused"] += told["refused"] > 0
                result = in_child(lambda: compare(work, told["models"], read_only=True))  # noqa: B023
                if "which" in result:
                    ballast.unlink(missing_ok=True)
                    result = in_child(lambda: compare(work, told["models"], read_only=False))  # noqa: B023
            tally(counts, result, whys)
            if "which" not in result:
                whys[-1] += f" (at {point * step} bytes)"
    return {**counts, "on": "tmpfs" if mounted else "RLIMIT_FSIZE", "why": whys[:5]}


def _fill(folder: Path, model: Model, rng: random.Random, limit: int | None) -> dict[str, Any]:
    if limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    models, refused = [model], 0
    kinds = ["add", "replace", "amend", "delete", "engine", "add", "compact", "engine", "add", "delete"]
    for kind in [*kinds, *["fill"] * 60, *kinds]:
        if kind == "fill" and refused:
            continue
        try:
            with Collection.open(folder) as collection:
                actual = contents(collection)  # a refused change may stand: the disk can fail after the commit
                models = [m for m in models if m.items == actual]
                if not models:
                    return {"wrong": 1, "why": f"before {kind}"}
                op = models[0].choose(rng, "add" if kind == "fill" else kind)
                if kind == "fill":
                    op["names"] = [f"{op['version']} {i}" for i in range(100)]
                models = [models[0], models[0].after(op)]
                perform(collection, models[0], op)
            models = models[1:]
        except WriteFailed:
            refused += 1
    return {"models": models, "refused": refused}
