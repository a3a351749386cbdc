"""Pictures a second from JPEG files to committed vectors, against what the parts allow and against the plain way."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._results import Results, Row
from benchmarks.foundation._data import data, mobilenet
from nearsight.data.images import decode, picture_hash, read
from nearsight.encode import Encoder
from nearsight.search.collection import Collection

REPEATS = 5


def measure(results: Results, *, quick: bool) -> None:
    """Each repeat measures decoding alone, the network alone, an index run and the plain way, one after the other."""
    root, weights = data("mit_split", "train"), data("weights", "mobilenet_v2_imagenet1001_fp16.pth")
    if root is None or weights is None:
        return
    files = sorted(root.rglob("*.jpg"))[: 300 if quick else 1881]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        pictures = place / "pictures"
        for i, path in enumerate(files):
            (pictures / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, pictures / path.parent.name / f"{i}.jpg")
        mobilenet(weights).save(place / "encoder")
        plain = _plain(weights)
        rows: list[dict[str, float]] = []
        Encoder.load(place / "encoder", expect=len(files))  # chooses its runtime now, once
        for repeat in range(2 if quick else REPEATS):
            encoder = Encoder.load(place / "encoder", expect=len(files))
            decoding, forward = _decode_rate(files, encoder), _forward_rate(files, encoder)
            bound = 1 / (1 / decoding + 1 / forward)
            start = time.perf_counter()
            with Collection.create(place / f"c{repeat}", encoder) as collection:
                for _ in collection.sync(pictures):
                    pass
                made = len(collection)
            rate = made / (time.perf_counter() - start)
            slow = plain(files[: max(128, len(files) // 4)])
            rows.append(
                {"decode": decoding, "forward": forward, "index": rate, "bound": rate / bound, "plain": rate / slow}
            )
    for id_, what, key, target in (
        ("index_vs_bound", "index rate / bound 1 / (1/decode + 1/forward), MobileNetV2 at 224", "bound", ">=0.85"),
        ("index_vs_plain", "index rate / plain way (Pillow, torch fp32, batch 32, in turn)", "plain", ">=3"),
    ):
        values = [row[key] for row in rows]
        note = f"median of {len(rows)}; pictures a second: " + ", ".join(
            f"{part} {statistics.median(r[part] for r in rows):.0f}" for part in ("decode", "forward", "index")
        )
        results.add(Row(id_, what, statistics.median(values), "ratio", target, min(values), max(values), note))


def _decode_rate(files: list[Path], encoder: Encoder) -> float:
    """Read, hash, decode and prepare on all cores: pictures a second."""

    def one(path: Path) -> None:
        content = read(path)
        picture_hash(content)
        encoder.prepare(decode(content, side=encoder.tower.side))

    start = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, files))
    return len(files) / (time.perf_counter() - start)


def _forward_rate(files: list[Path], encoder: Encoder) -> float:
    """The network alone, at its own batch size, on all cores."""
    size = encoder.tower.batch
    batch = [encoder.prepare(decode(read(path))) for path in files[:size]]
    encoder.encode_prepared(batch)
    times = []
    for _ in range(max(4, len(files) // (2 * size))):
        start = time.perf_counter()
        encoder.encode_prepared(batch)
        times.append(time.perf_counter() - start)
    return size / statistics.mean(times)


def _plain(weights: Path) -> Callable[[list[Path]], float]:
    """What one would write first: open, resize, stack, forward in torch fp32, keep the features; pictures a second."""
    import torch

    network = mobilenet(weights).tower.module  # type: ignore[attr-defined]

    def rate(files: list[Path]) -> float:
        start = time.perf_counter()
        kept = []
        with torch.inference_mode():
            for i in range(0, len(files), 32):
                arrays = [
                    np.asarray(Image.open(f).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))
                    for f in files[i : i + 32]
                ]
                batch = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1
                kept.append(torch.nn.functional.normalize(network(batch)).numpy())
        return len(files) / (time.perf_counter() - start)

    return rate
