"""What a billion pictures take: rates and bytes measured here, and the plan that follows from them by plain formulas.

`plan` is the arithmetic, and `table` writes it for docs/bulk.md. Nothing in it is guessed, and nothing has a price:
whoever knows their machines, pictures and prices puts in their own (``python -m benchmarks.scale.billion --help``).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, fields
from pathlib import Path

from benchmarks._results import RESULTS, Results, Row
from benchmarks.foundation._data import data, mobilenet
from nearsight.core.events import Encoded, outcome
from nearsight.encode import Encoder
from nearsight.search.bulk import Options, encode
from nearsight.search.bulk.files import PLAN, SHARDS
from nearsight.search.collection import Collection

MARKS = "<!-- billion -->", "<!-- /billion -->"
_PICTURES, _ROWS = 3000, 250
_CORES = 2
_PQ, _LINKS = 64, 32
"""Bytes of a product-quantised vector; links of a vector in a graph."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the plan is computed from. Rates are of one machine, bytes of one picture."""

    n: float = 1e9
    """pictures"""
    encode: float = 0.0
    """r, pictures encoded a second"""
    take_in: float = 0.0
    """i, pictures imported a second"""
    file: float = 0.0
    """f, bytes of a picture's file"""
    planned: float = 0.0
    """p, bytes of a picture in the plan"""
    shard: float = 0.0
    """s, bytes of a picture in a shard, compressed, with its vector"""
    item: float = 0.0
    """c, bytes of a picture in a collection, without its vector"""
    dim: float = 1280
    """d, numbers of a vector"""
    width: float = 2
    """b, bytes of a number: 2 for float16"""
    machines: float = 100
    """m"""
    collections: float = 100
    """k, collections that the pictures are divided among, each with a writer of its own"""


def plan(g: Given) -> list[tuple[str, str, float, str]]:
    """(what, formula, value, unit)."""
    vector = g.dim * g.width
    return [
        ("encoding, one machine", "n / r", g.n / g.encode / 3600, "hours"),
        ("encoding, all machines", "n / (r m)", g.n / (g.encode * g.machines) / 3600, "hours"),
        ("cost of it", "n / r, times the price of a machine-hour", g.n / g.encode / 3600, "machine-hours"),
        ("read from where the pictures are", "n f", g.n * g.file / 1e12, "TB"),
        ("network of one machine meanwhile", "r f", g.encode * g.file / 1e6, "MB/s"),
        ("plan on disk", "n p", g.n * g.planned / 1e9, "GB"),
        ("shards on disk", "n s", g.n * g.shard / 1e12, "TB"),
        ("import, a collection after the other", "n / i", g.n / g.take_in / 3600, "hours"),
        ("import, k writers at once", "n / (i k)", g.n / (g.take_in * g.collections) / 3600, "hours"),
        ("collections on disk", "n (c + d b)", g.n * (g.item + vector) / 1e12, "TB"),
        ("exact index, mapped", "n d b", g.n * vector / 1e12, "TB"),
        (f"IVF with PQ of {_PQ} bytes, in memory", f"n ({_PQ} + 8)", g.n * (_PQ + 8) / 1e9, "GB"),
        (
            f"HNSW{_LINKS} over these vectors, in memory",
            f"n (d b + 2 x {_LINKS} x 4)",
            g.n * (vector + 256) / 1e12,
            "TB",
        ),
    ]


def table(g: Given) -> str:
    """The parameters and the plan, as Markdown."""
    lines = ["| given | | |", "|---|---|---|"]
    told = {
        "n": ("n", "pictures"), "encode": ("r", f"pictures/s of a machine: {_CORES} cores / `bulk_encode_cpu`"),
        "take_in": ("i", "pictures/s of a writer, `bulk_import_rate`"),
        "file": ("f", "bytes of a file, `bulk_file_bytes`"), "planned": ("p", "bytes, `bulk_plan_bytes`"),
        "shard": ("s", "bytes, `bulk_shard_bytes`"), "item": ("c", "bytes, `bulk_item_bytes`"),
        "dim": ("d", "numbers"), "width": ("b", "bytes of a number"), "machines": ("m", "machines"),
        "collections": ("k", "collections"),
    }  # fmt: skip
    lines += [f"| {sign} | {getattr(g, name):,.4g} | {what} |" for name, (sign, what) in told.items()]
    lines += ["", "| what | formula | value |", "|---|---|---|"]
    lines += [f"| {what} | {formula} | {value:,.4g} {unit} |" for what, formula, value, unit in plan(g)]
    return "\n".join(lines)


def measured() -> Given:
    """With the figures of docs/results/scale.json."""
    rows = {row["id"]: row["value"] for row in json.loads((RESULTS / "scale.json").read_text())["rows"]}
    return Given(
        encode=1000 * _CORES / rows["bulk_encode_cpu"], take_in=rows["bulk_import_rate"], file=rows["bulk_file_bytes"],
        planned=rows["bulk_plan_bytes"], shard=rows["bulk_shard_bytes"], item=rows["bulk_item_bytes"],
    )  # fmt: skip


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    root, weights = data("flickr8k"), data("weights", "mobilenet_v2_imagenet1001_fp16.pth")
    if root is None or weights is None:
        return
    files = sorted(root.rglob("*.jpg"))[: 600 if quick else _PICTURES]
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        (base / "pictures").mkdir()
        for path in files:
            shutil.copy(path, base / "pictures" / path.name)
        mobilenet(weights).save(base / "encoder")
        encoder = Encoder.load(base / "encoder", expect=len(files))  # chooses its runtime now, once
        rows = 100 if quick else _ROWS
        before = time.process_time()
        here = _rate(encoder, base / "pictures", base / "here", rows, "local")
        work = (time.process_time() - before) / len(files)
        there = _rate(encoder, base / "pictures", base / "there", rows, "ray")
        begun = time.perf_counter()
        with Collection.create(base / "c.ns", encoder, dtype="float16", engine="exact") as kept:
            taken = outcome(kept.take_in(base / "here"))["added"]
            rate = taken / (time.perf_counter() - begun)
        note = f"{taken:,} pictures of Flickr8k, MobileNetV2 at 224, float16; {_load()}"
        add, unit = results.add, "pictures/s"
        add(Row("bulk_encode_cpu", "processor time of a picture, read to shard", 1000 * work, "ms", note=note))
        add(Row("bulk_encode_rate", "nearsight encode, one machine, between its shards", here, unit, note=note))
        add(Row("bulk_ray_rate", "the same on Ray, one actor, after its start", there, unit, note=note))
        add(Row("bulk_import_rate", "nearsight import into a new collection", rate, unit, note=note))
        own = _size(base / "c.ns") - _size(base / "c.ns" / "encoder")
        for id_, what, size in (
            ("bulk_file_bytes", "a picture's file", _size(base / "pictures") / len(files)),
            ("bulk_plan_bytes", "a picture in the plan", _size(base / "here" / PLAN) / len(files)),
            ("bulk_shard_bytes", "a picture in a shard, with its vector", _size(base / "here" / SHARDS) / taken),
            ("bulk_item_bytes", "a picture in a collection, without its vector", own / taken - 2 * encoder.spec.dim),
        ):
            add(Row(id_, f"bytes of {what}", size, "bytes", note=note))


def _load() -> str:
    """What else the machine did, which makes rates lower than they are."""
    return f"{os.getloadavg()[0]:.0f} processes wanted its {os.cpu_count()} cores"


def _rate(encoder: Encoder, pictures: Path, out: Path, rows: int, on: str) -> float:
    """Pictures a second from the first shard to the last: without the start."""
    ends: list[tuple[float, int]] = []
    for event in encode(str(pictures), encoder, out, Options(rows=rows, dtype="float16"), on=on):
        if isinstance(event, Encoded):
            ends.append((time.perf_counter(), event.count))
    return sum(count for _, count in ends[1:]) / (ends[-1][0] - ends[0][0])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def rewritten(text: str) -> str:
    """A page with the table between its marks made anew."""
    before, _, rest = text.partition(MARKS[0])
    return f"{before}{MARKS[0]}\n{table(measured())}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}"


def main() -> None:
    """The plan for other figures; ``--write PAGE`` puts the measured one between the marks of a page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.billion", description=__doc__)
    parser.add_argument("--write", type=Path, help="a page to write the plan into, as measured")
    for one in fields(Given):
        parser.add_argument(f"--{one.name}", type=float, default=getattr(measured(), one.name))
    given = vars(parser.parse_args())
    page = given.pop("write")
    if page is not None:
        page.write_text(rewritten(page.read_text()))
    print(table(Given(**given)))


if __name__ == "__main__":
    main()
