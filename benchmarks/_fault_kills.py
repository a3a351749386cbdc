"""SIGKILL, at random moments."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks._fault_model import (
    ENGINE,
    SPEC,
    TOWER,
    Model,
    compare,
    in_child,
    perform,
    picture,
    tally,
)
from nearsight.core.events import Done, Encoded
from nearsight.encode.encoder import create
from nearsight.search.collection import Collection
from nearsight.search.store.check import Finding, check


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
            # so far in its work, whatever the machine's speed, and then at any moment of what follows
            goal, deadline = 1 + rng.randrange(world.lines), time.monotonic() + 10
            while ledger.read_bytes().count(b"\n") < goal and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, rng.choice([0.003, 0.03, 0.1])))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            lines = [json.loads(line) for line in ledger.read_bytes().splitlines()]
            result = world.judge(lines, read_only=rng.random() < 0.5)
            counts["trials"] += 1
            counts["acknowledged"] += sum("ack" in line for line in lines)
            tally(counts, result, whys)
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
    lines = 14

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def reset(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.model = Model()
        in_child(lambda: Collection.create(self.folder / "c", SPEC, engine=ENGINE).close())

    def work(self, log: Callable[[dict[str, Any]], None], rng: random.Random) -> None:
        model = self.model
        if early := rng.random() < 0.2:  # before it is open
            log({})
        with Collection.open(self.folder / "c") as collection:
            if not early:
                log({})
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


class _KillSync:
    lines = 28

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
        with Collection.open(self.folder / "c") as collection:
            log({})
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
                with Image.open(BytesIO(picture(content))) as shown:
                    if stored.tobytes() != encoder.encode_images([shown.convert("RGB")]).tobytes():
                        return {"wrong": 1, "why": f"vector of {path!r}"}
        odd = {name: content for name, content in actual.items() if content not in self.allowed[name]}
        fresh = sum(c is not None and len(self.allowed[name]) > 1 for name, c in actual.items())
        if odd or fresh < encoded:
            lost = sum(content is None for content in odd.values()) + max(0, encoded - fresh)
            return {"lost": lost, "wrong": len(odd), "why": str(odd)}
        found = [f for f in check(self.folder / "c") if isinstance(f, Finding) and not f.harmless]
        return {"wrong": 1, "why": str(found[0])} if found else {"which": 0}
