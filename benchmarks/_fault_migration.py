"""Faults while a collection gets another encoder: at each call that writes, and SIGKILL at random moments."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks._fault_model import ENGINE, TOWER, in_child, picture, tally
from nearsight.core.errors import StoreError, WriteFailed
from nearsight.encode.encoder import create
from nearsight.search.collection import Collection
from nearsight.search.migration import Migration, forget
from nearsight.search.store import disk, generations
from nearsight.search.store.check import Finding, check
from nearsight.search.sync import Annotation

OTHER = "colour?bins=4&grid=1"
_PICTURES = 20
_WRITES = 60
"""Calls that write, at least, on the way there."""
_WAYS = ("there", "back", "forget")
Known = list[tuple[Any, ...]]


def migrating(every: int = 1) -> dict[str, Any]:
    """Die, or fail with EIO or ENOSPC, before and after each call that writes: on the way to another encoder (with what
    came meanwhile), on the way back, and when the one before is forgotten.

    After each the collection answers whole, with one of both encoders, and the same work goes on to its end.
    """
    counts = dict.fromkeys(("trials", "lost", "phantom", "wrong", "crashed"), 0)
    whys: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        origin, work, number = Path(name) / "origin", Path(name) / "work", 0
        known = in_child(lambda: _seeded(origin, Path(name) / "pictures"))
        for way in _WAYS:
            points = in_child(lambda: _points(origin, work, way))  # noqa: B023
            for index, point in enumerate(points):
                for how in ("exit", "eio", "enospc"):
                    number += 1
                    if number % every:
                        continue
                    _copied(origin, work)
                    told = in_child(lambda: _strike(work, way, index, how))  # noqa: B023
                    counts["trials"] += 1
                    result = in_child(lambda: _judged(work, known, way))  # noqa: B023
                    if isinstance(told, dict) and told != {"crashed": "exit 9"}:
                        result = told
                    tally(counts, result, whys)
                    if "which" not in result:
                        whys[-1] += f" ({way}, {how} at {index} {point})"
            in_child(lambda: _walked(origin, way))  # noqa: B023 (the next way begins where this one ends)
    return {**counts, "why": whys[:5]}


def migration_kills(n: int = 30, *, seed: int = 0) -> dict[str, Any]:
    """SIGKILL at random moments of the ways there and back, one after the other in one collection, while what is known
    of its items changes in between; after each the collection is whole and goes on."""
    counts = dict.fromkeys(("trials", "lost", "phantom", "wrong", "crashed", "switched"), 0)
    whys: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder, known = Path(name) / "c", []
        for trial in range(n):
            rng = random.Random(f"{seed} {trial}")
            if trial % 10 == 0:
                shutil.rmtree(folder, ignore_errors=True)
                known = in_child(lambda: _seeded(folder, Path(name) / "pictures"))
            before = in_child(lambda: _encoder(folder))
            ledger = Path(name) / "ledger"
            ledger.write_bytes(b"")
            child = os.fork()
            if not child:
                _alone(folder, ledger)
            # so far in its work, whatever the machine's speed, and then at any moment of what follows
            goal, deadline = rng.randrange(_WRITES), time.monotonic() + 10
            while ledger.stat().st_size < goal and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, rng.choice([0.001, 0.01])))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            counts["trials"] += 1
            counts["switched"] += in_child(lambda: _encoder(folder)) != before
            told = ledger.read_bytes().lstrip(b".").decode()
            result = {"crashed": told} if told else in_child(lambda: _whole(folder, known))  # noqa: B023
            tally(counts, result, whys)
            known = in_child(lambda: _relabelled(folder, f"label {trial}"))  # noqa: B023
        tally(counts, in_child(lambda: _judged(folder, known, "there")), whys)
    return {**counts, "why": whys[:5]}


def _alone(folder: Path, ledger: Path) -> None:
    """In a child: the way to whichever encoder does not answer, until it is killed; each call that writes leaves a
    byte, the end many, and an error its text."""
    handle = os.open(ledger, os.O_WRONLY | os.O_APPEND)
    disk.fault = lambda point: os.write(handle, b".") and None
    try:
        _walk(folder, OTHER if _encoder(folder) != OTHER else TOWER)
        os.write(handle, b"." * _WRITES)
    except BaseException as error:  # noqa: BLE001 (a child reports whatever it was)
        os.write(handle, f"{type(error).__name__}: {error}".encode())
    finally:
        time.sleep(60)
        os._exit(0)


def _seeded(folder: Path, pictures: Path) -> Known:
    """A collection with labels, captions, notes and a copy among its pictures."""
    pictures.mkdir(exist_ok=True)
    for number in range(_PICTURES):
        (pictures / f"{number}.png").write_bytes(picture(number % (_PICTURES - 2)))
    with Collection.create(folder, create(TOWER), engine=ENGINE) as collection:
        list(collection.sync(pictures, annotate=lambda path: Annotation(f"l{int(path.stem) % 3}", (path.stem,))))
        collection.delete([3])
        collection.remember("a note", "of it")
    return _known(folder)


def _known(folder: Path) -> Known:
    with Collection.open(folder, read_only=True) as collection:
        return [(i.key, i.path, i.label, i.captions, i.fields) for i in collection.items()]


def _encoder(folder: Path) -> str:
    with Collection.open(folder, read_only=True) as collection:
        return str(collection.store.manifest["encoder"])


def _relabelled(folder: Path, label: str) -> Known:
    with Collection.open(folder) as collection:
        collection.annotate(int(collection.keys()[0]), label=label)
    return _known(folder)


def _copied(origin: Path, work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(origin, work)


def _walk(folder: Path, encoder: str) -> None:
    """Give the collection this encoder, from wherever it is."""
    if _encoder(folder) == encoder:
        return
    with Migration(folder, create(encoder), workers=1) as migration:
        list(migration.encode())
        list(migration.switch())


def _walked(folder: Path, way: str) -> None:
    if way == "forget":
        try:
            forget(folder)
        except StoreError as error:
            if error.code != "migrate/none":
                raise
    else:
        _walk(folder, OTHER if way == "there" else TOWER)


def _points(origin: Path, work: Path, way: str) -> list[str]:
    points: list[str] = []
    _copied(origin, work)
    disk.fault = points.append
    _walked(work, way)
    disk.fault = None
    return points


def _strike(folder: Path, way: str, index: int, how: str) -> str:
    """``done`` or ``refused``; anything else is not an answer."""
    calls = iter(range(10**6))

    def fault(point: str) -> None:
        if next(calls) == index:
            if how == "exit":
                os._exit(9)
            raise OSError(getattr(errno, how.upper()), os.strerror(getattr(errno, how.upper())))

    disk.fault = fault
    try:
        _walked(folder, way)
        return "done"
    except WriteFailed:
        return "refused"
    finally:
        disk.fault = None


def _judged(folder: Path, known: Known, way: str) -> dict[str, Any]:
    """It is whole at once, and the same work, begun again, ends where it would have ended."""
    result = _whole(folder, known)
    if "which" in result:
        _walked(folder, way)
        result = _whole(folder, known)
        wanted = {"there": OTHER, "back": TOWER}.get(way, _encoder(folder))
        if "which" in result and _encoder(folder) != wanted:
            return {"wrong": 1, "why": f"it ended with {_encoder(folder)}"}
        if way == "forget" and generations.beside(folder) is not None:
            return {"wrong": 1, "why": "it was not forgotten"}
    return result


def _whole(folder: Path, known: Known) -> dict[str, Any]:
    """Every item is as it is known, with the vector that the encoder which answers gives for its picture."""
    found = _known(folder)
    if found != known:
        lost = len({row[0] for row in known} - {row[0] for row in found})
        return {"lost": lost, "phantom": len(found) - len(known) + lost, "wrong": 1, "why": "other items"}
    with Collection.open(folder, read_only=True) as collection:
        if collection.recall("a note") != "of it":
            return {"wrong": 1, "why": "a note is gone"}
        keys = collection.keys()
        for item, vector in zip(collection.items(keys.tolist()), collection.vectors(keys), strict=True):
            with Image.open(BytesIO(item.path.read_bytes())) as shown:
                if vector.tobytes() != collection.encoder.encode_images([shown.convert("RGB")])[0].tobytes():
                    return {"wrong": 1, "why": f"vector of {item.path}"}
        if collection.search(int(keys[0]), 1)[0].score < 0.999:
            return {"wrong": 1, "why": "a search does not find its own item"}
    flaws = [f for f in check(folder) if isinstance(f, Finding) and not f.harmless]
    return {"wrong": 1, "why": str(flaws[0])} if flaws else {"which": 0}
