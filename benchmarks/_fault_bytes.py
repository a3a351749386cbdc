"""Bytes that change on disk."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks._fault_model import (
    ENGINE,
    TOWER,
    in_child,
    picture,
)
from nearsight.core.arrays import unit
from nearsight.core.errors import NearsightError
from nearsight.encode.encoder import create
from nearsight.search.collection import Collection
from nearsight.search.query import Filter, Query
from nearsight.search.store.check import Finding, check
from nearsight.search.store.store import Record


def flips(n: int = 2000, *, seed: int = 0, workers: int = 2) -> dict[str, Any]:
    """One bit flipped anywhere in any file of a collection, n times."""
    return _damage(n, "flip", seed, workers)


def pages(n: int = 500, *, seed: int = 0, workers: int = 2) -> dict[str, Any]:
    """One 4 KB page zeroed in any file of a collection, n times."""
    return _damage(n, "page", seed, workers)


def junk(n: int = 200, *, seed: int = 0, workers: int = 2) -> dict[str, Any]:
    """A file truncated, emptied, removed, filled with junk, or exchanged with another one, n times."""
    return _damage(n, "junk", seed, workers)


def unsealed(n: int = 500, *, seed: int = 0, workers: int = 2) -> dict[str, Any]:
    """One bit flipped in a catalogue whose seal is of an earlier commit, as after a kill between the two, n times."""
    return _damage(n, "unsealed", seed, workers)


def damaged(content: bytes, kind: str, rng: random.Random) -> bytes | None:
    """`content` with the damage; None: the file is gone."""
    if kind == "junk":
        kind = rng.choice(["cut", "empty", "gone", "noise", "longer", "torn"])
    bad = bytearray(content)
    if kind in ("flip", "unsealed") and bad:
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
    elif kind == "page" and bad:
        full = [at for at in range(0, len(bad), 4096) if any(bad[at : at + 4096])] or [0]
        at = rng.choice(full)
        bad[at : at + 4096] = bytes(len(bad[at : at + 4096]))
    elif kind == "cut" and bad:
        del bad[rng.randrange(len(bad)) :]
    elif kind == "empty":
        bad.clear()
    elif kind == "gone":
        return None
    elif kind == "noise":
        bad[:] = rng.randbytes(len(bad) or 100)
    elif kind == "longer":
        bad += rng.randbytes(5000)
    elif kind == "torn" and bad:
        at = rng.randrange(0, len(bad), 512)
        bad[at : at + 512] = rng.randbytes(len(bad[at : at + 512]))
    return bytes(bad)


def base(folder: Path) -> None:
    """A small collection with everything in it: pictures, labels, captions, fields, updated and deleted items, a saved
    engine, and rows that are newer than it."""
    rng = np.random.default_rng(0)
    pictures = folder / "p"
    pictures.mkdir(parents=True)
    for i in range(48):
        (pictures / f"{i}.png").write_bytes(picture(i))
    with Collection.create(folder / "c", create(TOWER), engine=ENGINE) as collection:
        list(collection.sync(pictures))
        for key in range(1, 41):
            collection.annotate(key, label=f"l{key % 3}", captions=[f"caption {key}"], fields={"year": 2000 + key})
        collection.delete([3, 7, 11])
        list(collection.sync(pictures, drop="never"))
        keys = [5, 6]
        vectors = unit(rng.standard_normal((2, collection.dim)))
        known = [item.path.name.encode() for item in collection.items(keys)]
        collection.store.append([Record(b"new " + name) for name in known], vectors, replacing=keys)
        collection.delete([50])


def answers(folder: Path) -> Iterator[tuple[str, Any]]:
    """Everything that can be asked, one after the other."""
    queries = unit(np.random.default_rng(1).standard_normal((3, 32)))
    with Collection.open(folder / "c", read_only=True) as collection:
        yield "count", len(collection)
        yield "items", [(i.key, str(i.path.name), i.label, i.captions, dict(i.fields)) for i in collection.items()]
        yield "fields", collection.fields()
        yield "filtered", collection.keys(Filter.of({"label": "l1", "year": {"gte": 2010}})).tolist()
        for query in queries:
            yield "search", [(m.item.key, m.score, m.item.label) for m in collection.search(query, 10)]
        where = Filter.of({"label": "l2"})
        yield "search where", [(m.item.key, m.score) for m in collection.search(Query.like(queries[0], where=where), 9)]
        for key in (1, 5, 20):
            yield "search by key", [(m.item.key, m.score) for m in collection.search(key, 5)]
        snapshot = collection.store.verified()
        yield "vectors", snapshot.vectors(snapshot.rows_of(snapshot.living())).tobytes()
        yield "search by picture", [(m.item.key, m.score) for m in collection.search(picture(20), 5)]
    with Collection.open(folder / "c") as collection:
        (key,) = collection.add(queries[:1], [Record(b"one more")]).tolist()
        yield "added", key
        yield "found", [(m.item.key, m.score) for m in collection.search(queries[0], 3)]


def verdict(folder: Path, truth: list[tuple[str, Any]]) -> str:
    """``harmless``, ``found`` (an error of ours), ``silent``, ``unnamed`` (an error, but `check` finds nothing), or
    ``crashed``."""
    try:
        named = any(isinstance(f, Finding) and not f.harmless for f in check(folder / "c"))
        outcome = "harmless"
    except NearsightError:
        named, outcome = True, "found"
    given = answers(folder)
    for name, wanted in truth:
        try:
            answer = next(given, None)
        except NearsightError:
            outcome = "found"
            break
        if answer != (name, wanted):
            return f"silent: {name}"
    if outcome == "found" and not named:
        return "unnamed"
    return outcome


def _damage(n: int, kind: str, seed: int, workers: int) -> dict[str, Any]:
    counts = dict.fromkeys(("trials", "found", "harmless", "silent", "unnamed", "crashed"), 0)
    whys: list[str] = []
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        origin = Path(name) / "origin"
        in_child(lambda: base(origin))
        shutil.copytree(origin, Path(name) / "truth")
        truth = in_child(lambda: list(answers(Path(name) / "truth")))
        assert isinstance(truth, list), truth
        files = sorted(p.relative_to(origin) for p in (origin / "c").rglob("*") if p.is_file())
        todo = [range(w, n, workers) for w in range(workers)]
        running: dict[int, tuple[int, Path]] = {}
        done: dict[int, str] = {}

        def start(worker: int) -> None:
            rest = [t for t in todo[worker] if t not in done]
            log = Path(name) / f"log{worker}"
            log.write_bytes(b"")
            if rest:
                child = os.fork()
                if not child:
                    _bench(rest, Path(name), worker, origin, files, kind, seed, truth, log)
                running[child] = (worker, log)

        for worker in range(workers):
            start(worker)
        while running:
            child, _ = os.wait()
            worker, log = running.pop(child)
            lines = [json.loads(line) for line in log.read_bytes().splitlines()]
            done |= {trial: outcome for trial, outcome in lines if outcome}
            begun = [trial for trial, outcome in lines if not outcome and trial not in done]
            done |= dict.fromkeys(begun, "crashed: signal")
            start(worker)
    for trial, outcome in sorted(done.items()):
        counts["trials"] += 1
        counts[outcome.split(":")[0]] += 1
        if outcome not in ("found", "harmless"):
            whys.append(f"trial {trial}: {outcome}")
    return {**counts, "why": whys[:5]}


def _bench(
    trials: list[int], root: Path, worker: int, origin: Path, files: list[Path], kind: str, seed: int,
    truth: list[tuple[str, Any]], log: Path,
) -> None:  # fmt: skip
    handle = os.open(log, os.O_WRONLY | os.O_APPEND)
    work = root / f"w{worker}"
    faiss.omp_set_num_threads(1)
    try:
        for trial in trials:
            os.write(handle, json.dumps([trial, ""]).encode() + b"\n")
            rng = random.Random(f"{kind} {seed} {trial}")
            target = rng.choice([f for f in files if kind == "junk" or (origin / f).stat().st_size])
            shutil.rmtree(work, ignore_errors=True)
            (work / "c").mkdir(parents=True)
            shutil.copytree(origin / "c", work / "c", dirs_exist_ok=True)
            if kind == "unsealed":
                target = Path("c/catalogue.sqlite")
                (work / "c/catalogue.seal").unlink()
            bad = damaged((origin / target).read_bytes(), kind, rng)
            (work / target).unlink() if bad is None else (work / target).write_bytes(bad)
            try:
                outcome = verdict(work, truth)
            except Exception as error:  # noqa: BLE001
                outcome = f"crashed: {type(error).__name__}: {error}"
            os.write(
                handle, json.dumps([trial, outcome if ":" not in outcome else f"{outcome} ({target})"]).encode() + b"\n"
            )
    finally:
        os._exit(0)
