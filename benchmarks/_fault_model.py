"""What is thrown faults at: collections whose right content is known at every moment."""

from __future__ import annotations

import os
import pickle
import random
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nearsight.core.arrays import ranked, unit
from nearsight.encode.encoder import EncoderSpec
from nearsight.search.collection import Collection
from nearsight.search.query import Filter
from nearsight.search.store.check import Finding, check
from nearsight.search.store.store import Record

DIM = 16
SPEC = EncoderSpec("made-up", DIM, ("image",), "ab" * 32, {})
ENGINE = "faiss/IVF2,Flat?nprobe=2"  # keeps an index of its own, and is exact: a miss is a fault, not an approximation
TOWER = "colour?bins=2&grid=1"
Op = dict[str, Any]


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
            faiss.omp_set_num_threads(1)
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
        actual = contents(collection)
        snapshot = collection.store.verified()
        for key, (name, version, _) in actual.items():
            stored = snapshot.vectors(snapshot.rows_of(np.array([key])))[0]
            if stored.tobytes() != vector(name, version).tobytes():
                return {"wrong": 1, "why": f"vector of {key}"}
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


def contents(collection: Collection) -> dict[int, tuple[str, int, str]]:
    """What is there, as a model has it."""
    return {i.key: (str(i.path), int(i.fields["v"]), i.label or "") for i in collection.items()}


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


def tally(counts: dict[str, int], result: dict[str, Any], whys: list[str]) -> None:
    for name in ("lost", "phantom", "wrong"):
        counts[name] += result.get(name, 0)
    counts["crashed"] += "crashed" in result
    if "crashed" in result or "which" not in result:
        whys.append(str(result))


def picture(content: int) -> bytes:
    """A PNG of its own for each number."""
    pixels = np.random.default_rng(content).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
