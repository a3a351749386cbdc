"""Faults thrown at collections, counted: kills, flipped bits, zeroed pages, failing writes, a full disk.

Each function returns counts; what must be zero is ``lost`` (acknowledged and gone), ``phantom`` (there and never added),
``wrong`` (not as it was added), ``silent`` (an answer that differs from the truth without an error), ``crashed`` (a
signal or an error that is not ours). Everything happens in forked children, so that a crash is a count, too.

    python -m benchmarks._faults kills 300
"""

from __future__ import annotations

import errno
import json
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.arrays import NO_KEY, ranked, unit
from nearsight.core.errors import NearsightError, WriteFailed
from nearsight.core.events import Done, Encoded
from nearsight.encode.encoder import EncoderSpec, create
from nearsight.search.collection import Collection
from nearsight.search.query import Filter, Query
from nearsight.search.store import disk
from nearsight.search.store.check import Finding, check
from nearsight.search.store.store import Record

DIM = 16
SPEC = EncoderSpec("made-up", DIM, ("image",), "ab" * 32, {})
ENGINE = "faiss/HNSW8"
TOWER = "colour?bins=2&grid=1"
Op = dict[str, Any]

# children


def in_child(work: Callable[[], Any], seconds: float = 60) -> Any:
    """What `work` returns in a forked child; {"crashed": why} where it dies. The parent never computes anything, so
    that no library's threads are lost in the fork."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        status = 1
        try:
            signal.alarm(int(seconds))
            result = work()
            with os.fdopen(writer, "wb") as out:
                pickle.dump(result, out)
            status = 0
        except BaseException as error:  # noqa: BLE001 (a test's child reports whatever it was)
            with suppress(OSError, ValueError), os.fdopen(os.dup(writer), "wb") as out:
                pickle.dump({"crashed": f"{type(error).__name__}: {error}"}, out)
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as source:
        content = source.read()
    _, status = os.waitpid(child, 0)
    if content:
        return pickle.loads(content)  # noqa: S301 (our own child wrote it)
    return {"crashed": f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {status >> 8}"}


# a collection of vectors, and what must be in it


def vector(name: str, version: int) -> NDArray[np.float32]:
    """The vector (DIM,) that an item of this name and version has."""
    seed = int.from_bytes(sha256(f"{name} {version}".encode()).digest()[:8], "big")
    return unit(np.random.default_rng(seed).standard_normal((1, DIM)))[0, :]


@dataclass
class Model:
    """What the collection must hold: key -> name, version of its vector, label."""

    items: dict[int, tuple[str, int, str]] = field(default_factory=dict)
    last: int = 0

    def after(self, op: Op) -> Model:
        """The model after an operation."""
        new = deepcopy(self)
        if op["op"] == "add":
            for name in op["names"]:
                new.last += 1
                new.items[new.last] = (name, op["version"], "")
        for key in op.get("keys", ()):
            name, version, label = new.items[key]
            if op["op"] == "delete":
                del new.items[key]
            elif op["op"] == "replace":
                new.items[key] = (name, op["version"], label)
            elif op["op"] == "amend":
                new.items[key] = (name, version, op["label"])
        return new

    def choose(self, rng: random.Random, kind: str = "") -> Op:
        """A random operation that fits."""
        kind = kind or rng.choice(["add", "add", "add", "replace", "delete", "amend", "compact", "engine"])
        some = rng.sample(sorted(self.items), min(len(self.items), rng.randint(1, 12)))
        version = rng.randrange(10**9)
        if kind == "add" or (not some and kind in ("replace", "delete", "amend")):
            return {"op": "add", "version": version, "names": [f"{version}-{i}" for i in range(rng.randint(1, 24))]}
        facts: Op = {"replace": {"version": version}, "amend": {"label": f"l{version % 5}"}}.get(kind, {})
        return {"op": kind, **facts, **({"keys": some} if kind in ("replace", "delete", "amend") else {})}


def perform(collection: Collection, model: Model, op: Op) -> None:
    """Do it."""
    if op["op"] == "add":
        rows = [(name, "", None) for name in op["names"]]
    elif op["op"] == "replace":
        rows = [(model.items[key][0], model.items[key][2], key) for key in op["keys"]]
    if op["op"] in ("add", "replace"):
        version = op["version"]
        records = [Record(name.encode(), label=label or None, fields={"v": version}) for name, label, _ in rows]
        vectors = np.stack([vector(name, version) for name, _, _ in rows])
        collection.store.append(records, vectors, replacing=[key for _, _, key in rows])
    elif op["op"] == "delete":
        collection.delete(op["keys"])
    elif op["op"] == "amend":
        collection.store.amend({key: {"label": op["label"]} for key in op["keys"]})
    elif op["op"] == "compact":
        collection.compact()
    elif op["op"] == "engine":
        collection.build_engine()


def compare(folder: Path, models: Sequence[Model], *, read_only: bool) -> dict[str, Any]:
    """Open, and compare with what may be there (one of the models); search; check."""
    with Collection.open(folder, read_only=read_only) as collection:
        actual = {}
        snapshot = collection.store.verified()
        for item in collection.items():
            name, version, label = str(item.path), int(item.fields["v"]), item.label or ""
            actual[item.key] = (name, version, label)
            stored = snapshot.vectors(snapshot.rows_of(np.array([item.key])))[0]
            if stored.tobytes() != vector(name, version).tobytes():
                return {"wrong": 1, "why": f"vector of {item.key}"}
        matching = next((m for m in models if m.items == actual), None)
        if matching is None:
            sure = set.intersection(*(set(m.items) for m in models))
            maybe = set.union(*(set(m.items) for m in models))
            lost, phantom = sure - set(actual), set(actual) - maybe
            return {"lost": len(lost), "phantom": len(phantom), "wrong": int(not lost and not phantom)}
        if why := unlike_brute_force(collection, actual):
            return {"wrong": 1, "why": why}
        last = collection.store.catalogue.last_key
    found = [f for f in check(folder) if isinstance(f, Finding) and not f.harmless]
    if found:
        return {"wrong": 1, "why": str(found[0])}
    return {"which": models.index(matching), "last": last}


def unlike_brute_force(collection: Collection, items: dict[int, tuple[str, int, str]]) -> str:
    """How an answer differs from a brute force over what must be there; empty where none does."""
    keys = np.array(sorted(items), dtype=np.int64)
    queries = np.stack([vector("query", i) for i in range(3)])
    rows = np.stack([vector(*items[k][:2]) for k in keys.tolist()]) if len(keys) else np.empty((0, DIM), np.float32)
    scores = queries.astype(np.float64) @ rows.T.astype(np.float64)
    for where, chosen in ((None, keys), ("l1", np.array([k for k in keys.tolist() if items[k][2] == "l1"], np.int64))):
        mine = np.isin(keys, chosen)
        truth = ranked(np.tile(keys[mine], (3, 1)), scores[:, mine], 5)
        hits = collection.search_vectors(queries, 5, where=Filter.of({"label": where}) if where else None)
        if (hits.keys != truth.keys).any() or not np.allclose(hits.scores, truth.scores, atol=1e-6):
            return f"search where label={where}: {hits.keys.tolist()}, not {truth.keys.tolist()}"
    return ""


def _tally(counts: dict[str, int], result: dict[str, Any], whys: list[str]) -> None:
    for name in ("lost", "phantom", "wrong"):
        counts[name] += result.get(name, 0)
    counts["crashed"] += "crashed" in result
    if "crashed" in result or "which" not in result:
        whys.append(str(result))


# SIGKILL


def kills(n: int = 300, *, seed: int = 0, folder: Path | None = None) -> dict[str, Any]:
    """SIGKILL at random moments, by turns in changes to vectors (add, replace, delete, amend, compact, engine) and in
    syncs of a folder; the collection lives on from kill to kill."""
    counts = dict.fromkeys(("trials", "lost", "phantom", "wrong", "crashed", "acknowledged"), 0)
    whys: list[str] = []
    with tempfile.TemporaryDirectory(dir=folder) as name:
        vectors, pictures = _KillVectors(Path(name) / "v"), _KillSync(Path(name) / "s")
        for trial in range(n):
            world = (vectors, pictures)[trial % 2]
            rng = random.Random(f"{seed} {trial}")
            if trial % 60 < 2:
                world.reset()
            ledger = world.folder / "ledger"
            ledger.write_bytes(b"")
            child = os.fork()
            if not child:
                _scribble(world, ledger, rng)
            while not ledger.stat().st_size:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, world.span))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            lines = [json.loads(line) for line in ledger.read_bytes().splitlines()]
            result = world.judge(lines, read_only=rng.random() < 0.5)
            counts["trials"] += 1
            counts["acknowledged"] += sum("ack" in line for line in lines)
            _tally(counts, result, whys)
            if "which" not in result:
                world.reset()
    return {**counts, "why": whys[:5]}


def _scribble(world: Any, ledger: Path, rng: random.Random) -> None:
    handle = os.open(ledger, os.O_WRONLY | os.O_APPEND)

    def log(line: dict[str, Any]) -> None:
        os.write(handle, json.dumps(line).encode() + b"\n")

    try:
        world.work(log, rng)
    except BaseException as error:  # noqa: BLE001
        log({"error": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(0)


class _KillVectors:
    span = 0.15

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def reset(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.model = Model()
        in_child(lambda: Collection.create(self.folder / "c", SPEC, engine=ENGINE).close())

    def work(self, log: Callable[[dict[str, Any]], None], rng: random.Random) -> None:
        model = self.model
        log({})
        with Collection.open(self.folder / "c") as collection:
            while True:
                op = model.choose(rng)
                log({"intent": op})
                perform(collection, model, op)
                log({"ack": op["op"]})
                model = model.after(op)

    def judge(self, lines: list[dict[str, Any]], *, read_only: bool) -> dict[str, Any]:
        models = [self.model]
        for line in lines:
            if "error" in line:
                return {"crashed": line["error"]}
            if "intent" in line:
                models = [models[-1], models[-1].after(line["intent"])]
            if "ack" in line:
                models = models[-1:]
        result: dict[str, Any] = in_child(lambda: compare(self.folder / "c", models, read_only=read_only))
        if "which" in result:
            self.model = models[result["which"]]
            if result["last"] < self.model.last:
                return {"wrong": 1, "why": "a key will be given twice"}
        return result


def picture(content: int) -> bytes:
    """A PNG of its own for each number."""
    from io import BytesIO

    pixels = np.random.default_rng(content).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


class _KillSync:
    span = 0.4

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.next = 0

    def reset(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "p").mkdir(parents=True)
        self.allowed: dict[str, set[int | None]] = {}
        self.there: dict[str, int] = {}
        in_child(lambda: Collection.create(self.folder / "c", create(TOWER), engine=ENGINE).close())

    def work(self, log: Callable[[dict[str, Any]], None], rng: random.Random) -> None:
        there, number = dict(self.there), self.next
        log({})
        with Collection.open(self.folder / "c") as collection:
            while True:
                for _ in range(rng.randint(1, 12)):
                    number = self._change(there, number, rng, log)
                for event in collection.sync(self.folder / "p", drop="always"):
                    if isinstance(event, Encoded):
                        log({"ack": event.count})
                    elif isinstance(event, Done):
                        log({"ack": 0, "done": there})
                if rng.random() < 0.3:
                    collection.compact()

    def _change(self, there: dict[str, int], number: int, rng: random.Random, log: Any) -> int:
        kind, path = rng.choice(["new", "new", "new", "edit", "move", "remove"]), f"{rng.randrange(10**9)}.png"
        old = rng.choice(sorted(there)) if there else None
        if old is None or kind == "new":
            change: dict[str, int | None] = {path: number}
        elif kind == "edit":
            change = {old: number}
        else:
            change = {old: None, **({path: there[old]} if kind == "move" else {})}
        log({"change": change})
        for name, content in change.items():
            if content is None:
                (self.folder / "p" / name).unlink(missing_ok=True)
                there.pop(name, None)
            else:
                temporary = self.folder / "half"
                temporary.write_bytes(picture(content))
                os.replace(temporary, self.folder / "p" / name)
                there[name] = content
        return number + 1

    def judge(self, lines: list[dict[str, Any]], *, read_only: bool) -> dict[str, Any]:
        encoded = 0
        for line in lines:
            if "error" in line:
                return {"crashed": line["error"]}
            for name, content in line.get("change", {}).items():
                self.allowed.setdefault(name, {None}).add(content)
                self.next = max(self.next, (content or 0) + 1)
            encoded += line.get("ack", 0)
            if "done" in line:
                self.allowed, encoded = {name: {content} for name, content in line["done"].items()}, 0
        self.there = {}
        known = {sha256(picture(i)).digest(): i for i in range(self.next)}
        for path in (self.folder / "p").iterdir():
            self.there[path.name] = known[sha256(path.read_bytes()).digest()]
        result: dict[str, Any] = in_child(lambda: self._inspect(known, encoded, read_only))
        return result

    def _inspect(self, known: dict[bytes, int], encoded: int, read_only: bool) -> dict[str, Any]:
        encoder = create(TOWER)
        with Collection.open(self.folder / "c", read_only=read_only) as collection:
            actual: dict[str, int | None] = dict.fromkeys(self.allowed)
            snapshot = collection.store.verified()
            with collection.store.reading() as catalogue:
                rows = catalogue.all("SELECT key, path, sha256 FROM item")
            for key, path, digest in rows:
                if digest not in known or os.fsdecode(path) not in actual:
                    return {"phantom": 1, "why": f"{path!r}"}
                content = known[digest]
                actual[os.fsdecode(path)] = content
                stored = snapshot.vectors(snapshot.rows_of(np.array([key])))
                with Image.open(_file(picture(content))) as shown:
                    if stored.tobytes() != encoder.encode_images([shown.convert("RGB")]).tobytes():
                        return {"wrong": 1, "why": f"vector of {path!r}"}
        odd = {name: content for name, content in actual.items() if content not in self.allowed[name]}
        fresh = sum(c is not None and len(self.allowed[name]) > 1 for name, c in actual.items())
        if odd or fresh < encoded:
            lost = sum(content is None for content in odd.values()) + max(0, encoded - fresh)
            return {"lost": lost, "wrong": len(odd), "why": str(odd)}
        found = [f for f in check(self.folder / "c") if isinstance(f, Finding) and not f.harmless]
        return {"wrong": 1, "why": str(found[0])} if found else {"which": 0}


def _file(content: bytes) -> Any:
    from io import BytesIO

    return BytesIO(content)


# bytes that change


def flips(n: int = 2000, *, seed: int = 0, workers: int = 2) -> dict[str, Any]:
    """One bit flipped anywhere in any file of a collection, n times."""
    return _damage(n, "flip", seed, workers)


def pages(n: int = 500, *, seed: int = 0, workers: int = 2) -> dict[str, Any]:
    """One 4 KB page zeroed in any file of a collection, n times."""
    return _damage(n, "page", seed, workers)


def junk(n: int = 200, *, seed: int = 0, workers: int = 2) -> dict[str, Any]:
    """A file truncated, emptied, removed, filled with junk, or exchanged with another one, n times."""
    return _damage(n, "junk", seed, workers)


def damaged(content: bytes, kind: str, rng: random.Random) -> bytes | None:
    """`content` with the damage; None: the file is gone."""
    if kind == "junk":
        kind = rng.choice(["cut", "empty", "gone", "noise", "longer", "torn"])
    bad = bytearray(content)
    if kind == "flip" and bad:
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
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:  # noqa: S108
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
    try:
        for trial in trials:
            os.write(handle, json.dumps([trial, ""]).encode() + b"\n")
            rng = random.Random(f"{kind} {seed} {trial}")
            target = rng.choice([f for f in files if kind == "junk" or (origin / f).stat().st_size])
            shutil.rmtree(work, ignore_errors=True)
            (work / "c").mkdir(parents=True)
            shutil.copytree(origin / "c", work / "c", dirs_exist_ok=True)
            bad = damaged((origin / target).read_bytes(), kind, rng)
            (work / target).unlink() if bad is None else (work / target).write_bytes(bad)
            try:
                outcome = verdict(work, truth)
            except Exception as error:  # noqa: BLE001
                outcome = f"crashed: {type(error).__name__}: {error}"
            os.write(handle, json.dumps([trial, outcome if ":" not in outcome else f"{outcome} ({target})"]).encode() + b"\n")
    finally:
        os._exit(0)


# writes that fail


def failpoints(*, every: int = 1, seed: int = 0) -> dict[str, Any]:
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
                    _tally(counts, result, whys)
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
    """A disk with 0, 4, 8, ... KB left, and every kind of change until it is full.

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
                counts["refused"] += told["refused"]
                result = in_child(lambda: compare(work, told["models"], read_only=True))  # noqa: B023
                if "which" in result:
                    ballast.unlink(missing_ok=True)
                    result = in_child(lambda: compare(work, told["models"], read_only=False))  # noqa: B023
            _tally(counts, result, whys)
            if "which" not in result:
                whys[-1] += f" (at {point * step} bytes)"
    return {**counts, "on": "tmpfs" if mounted else "RLIMIT_FSIZE", "why": whys[:5]}


def _fill(folder: Path, model: Model, rng: random.Random, limit: int | None) -> dict[str, Any]:
    if limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    models, refused = [model], 0
    for kind in ("add", "replace", "amend", "delete", "engine", "add", "compact", "engine", "add", "delete"):
        op = models[-1].choose(rng, kind)
        try:
            with Collection.open(folder) as collection:
                # After a refusal the change may stand or not (the disk can fail after the commit): look
                actual = {item.key for item in collection.items()}
                models = [m for m in models if set(m.items) == actual][-1:] or models
                op = models[-1].choose(rng, kind)
                perform(collection, models[-1], op)
            models = [models[-1].after(op)]
        except WriteFailed:
            refused += 1
            models = [models[-1], models[-1].after(op)] if op["op"] != "amend" else models[-1:]
            if kind == "amend":
                models = [models[-1], models[-1].after(op)]
                break
    return {"models": models, "refused": refused}


def main() -> None:
    """One of the functions, by name, with its number; prints JSON."""
    name, *given = sys.argv[1:]
    chosen = {f.__name__: f for f in (kills, flips, pages, junk, failpoints, disk_full)}[name]
    started = time.monotonic()
    if name == "failpoints":
        result = failpoints(every=int(given[0]) if given else 1)
    else:
        result = chosen(*map(int, given))
    print(json.dumps({**result, "seconds": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()
