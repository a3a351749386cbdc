"""Ten thousand pictures are sent to a server while others search it: every answer is held against its generation."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._results import Results, Row
from benchmarks.server._client import HOST, Connection, post
from benchmarks.server._serving import serving
from nearsight.encode import create
from nearsight.search.collection import Collection

PICTURES, BATCH, SEARCHERS, K = 10_000, 20, 4, 20


def measure(results: Results, *, runs: Path, quick: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "growing.ns"
        with Collection.create(folder, create("colour")):
            pass
        with serving(folder) as (port, _):
            begun = time.monotonic()
            wrong, answers, sizes = asyncio.run(_run(port, 200 if quick else PICTURES))
            took = time.monotonic() - begun
        wrong += _held(folder, answers, sizes)
    if not quick and max(sizes.values()) != PICTURES:
        wrong.append(f"{max(sizes.values()):,} items at the end")
    told = "; ".join(wrong[:3]) or "each answer is what brute force finds among the items of its generation"
    note = (
        f"{max(sizes.values()):,} pictures in {len(sizes):,} requests, {len(answers):,} searches by {SEARCHERS} "
        f"clients meanwhile, {took:.0f} s; {told}"
    )
    what = "errors, and answers that mix generations, while 10,000 pictures are written"
    results.add(Row("write_while_search_errors", what, len(wrong), "errors", "=0", note=note))


async def _run(
    port: int, pictures: int
) -> tuple[list[str], list[tuple[list[float], dict[str, object]]], dict[int, int]]:
    """What went wrong, (query, answer) of every search, and generation -> how many items it had."""
    wrong, answers, sizes = list[str](), list[tuple[list[float], dict[str, object]]](), dict[int, int]()
    done = asyncio.Event()

    async def write() -> None:
        rng, connection, sent = np.random.default_rng(0), Connection(port), 0
        while sent < pictures:
            many = min(BATCH, pictures - sent)
            status, _, body = await connection.ask(_upload([_picture(rng) for _ in range(many)]))
            told = json.loads(body)
            sent += many
            if status != 201 or len(told["items"]) != many or told["skipped"]:
                wrong.append(f"an upload was answered {status}: {body[:200]!r}")
                continue
            sizes[told["generation"]] = sent
        done.set()

    async def search(number: int) -> None:
        rng, connection = np.random.default_rng(number + 1), Connection(port)
        while not sizes:
            await asyncio.sleep(0.05)
        dim = json.loads((await connection.ask(_get("/collections")))[2])["collections"][0]["dim"]
        while not done.is_set():
            query = np.abs(rng.standard_normal(dim)).round(6).tolist()
            status, headers, body = await connection.ask(post("/search", {"examples": [{"vector": query}], "k": K}))
            if status == 200:
                answers.append((query, json.loads(body)))
            elif status != 503 or "retry-after" not in headers:
                wrong.append(f"a search was answered {status}: {body[:200]!r}")

    await asyncio.gather(write(), *(search(number) for number in range(SEARCHERS)))
    return wrong, answers, sizes


def _held(folder: Path, answers: list[tuple[list[float], dict[str, object]]], sizes: dict[int, int]) -> list[str]:
    """Answers that are not the best of what their generation had: keys are given in order, and none was deleted."""
    wrong = []
    with Collection.open(folder, read_only=True) as kept:
        keys = kept.keys()
        vectors = kept.vectors(keys).astype(np.float64)
    for query, answer in answers:
        count = sizes.get(int(answer["generation"]))  # type: ignore[call-overload]
        if count is None:
            wrong.append(f"generation {answer['generation']} was never acknowledged")
            continue
        wide = np.asarray(query) / np.linalg.norm(query)
        scores = np.sort(vectors[:count] @ wide)[::-1][:K]
        hits = answer["hits"]
        found = [hit["score"] for hit in hits]  # type: ignore[union-attr]
        if len(found) != len(scores) or not np.allclose(found, scores, atol=1e-4):
            wrong.append(f"an answer of generation {answer['generation']} is not the best among its {count:,} items")
        if any(hit["key"] > keys[count - 1] for hit in hits):  # type: ignore[union-attr]
            wrong.append(f"an answer of generation {answer['generation']} holds a later item")
    return wrong


def _picture(rng: np.random.Generator) -> bytes:
    small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def _upload(pictures: list[bytes]) -> bytes:
    mark = uuid.uuid4().hex
    head = 'Content-Disposition: form-data; name="pictures"; filename="{}.png"\r\nContent-Type: image/png\r\n\r\n'
    body = b"".join(
        f"--{mark}\r\n{head.format(number)}".encode() + picture + b"\r\n" for number, picture in enumerate(pictures)
    )
    body += f"--{mark}--\r\n".encode()
    kind = f"Content-Type: multipart/form-data; boundary={mark}\r\nContent-Length: {len(body)}"
    return f"POST /items HTTP/1.1\r\nHost: {HOST}\r\n{kind}\r\n\r\n".encode() + body
