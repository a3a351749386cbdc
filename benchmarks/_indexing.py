"""Pictures a second from JPEG files to committed vectors, against what the parts allow and against the plain way."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks._results import Results, Row
from nearsight.data.images import decode, picture_hash, read
from nearsight.encode import Encoder
from nearsight.search.collection import Collection


class Rates(NamedTuple):
    """Pictures a second in one repeat: each part alone with all cores, an index run, and the plain way."""

    decode: float
    forward: float
    index: float
    plain: float

    @property
    def bound(self) -> float:
        """What parts that share the cores allow: 1 / (1/decode + 1/forward)."""
        return 1 / (1 / self.decode + 1 / self.forward)


def copied(files: Iterable[Path], pictures: Path) -> None:
    """Pictures with other names, by class, in a folder of their own."""
    for i, path in enumerate(files):
        (pictures / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, pictures / path.parent.name / f"{i}.jpg")


def measured(files: list[Path], pictures: Path, saved: Path, plain: Encoder, place: Path, repeats: int) -> list[Rates]:
    """Each repeat measures decoding alone, the network alone, an index run and the plain way, one after the other.

    `pictures` holds `files`; `saved` is the encoder's folder, `plain` the same network in torch.
    """
    found = []
    Encoder.load(saved, expect=len(files))  # chooses its runtime now, once
    for repeat in range(repeats):
        encoder = Encoder.load(saved, expect=len(files))
        decoding, forward = _decode_rate(files, encoder), _forward_rate(files, encoder)
        found.append(Rates(decoding, forward, index_rate(place / f"c{repeat}", encoder, pictures),
                           _plain_rate(plain, files[: max(128, len(files) // 4)])))  # fmt: skip
    return found


def rows(results: Results, found: list[Rates], network: str, bound: tuple[str, str], plain: tuple[str, str]) -> None:
    """Two rows, each (id, target): the index rate over its bound, and over the plain way's."""
    for (id_, target), what, values in (
        (bound, "bound 1 / (1/decode + 1/forward)", [one.index / one.bound for one in found]),
        (plain, "plain way (Pillow, torch fp32, batch 32, in turn)", [one.index / one.plain for one in found]),
    ):
        note = f"median of {len(found)}; pictures a second: " + ", ".join(
            f"{part} {statistics.median(getattr(one, part) for one in found):.0f}" for part in Rates._fields
        )
        low, high = min(values), max(values)
        results.add(
            Row(id_, f"index rate / {what}, {network}", statistics.median(values), "ratio", target, low, high, note)
        )


def index_rate(folder: Path, encoder: Encoder, pictures: Path) -> float:
    """Files to committed vectors: pictures a second."""
    start = time.perf_counter()
    with Collection.create(folder, encoder) as collection:
        for _ in collection.sync(pictures):
            pass
        made = len(collection)
    return made / (time.perf_counter() - start)


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


def _plain_rate(plain: Encoder, files: list[Path]) -> float:
    """What one would write first: open, resize, stack, forward in torch fp32, keep the features."""
    import torch

    network, shown = plain.tower.module, plain.tower.preprocess  # type: ignore[attr-defined]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (shown.mean, shown.std))
    start = time.perf_counter()
    kept = []
    with torch.inference_mode():
        for i in range(0, len(files), 32):
            arrays = [
                np.asarray(Image.open(f).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))
                for f in files[i : i + 32]
            ]
            batch = (torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255 - mean) / std
            kept.append(torch.nn.functional.normalize(network(batch)).numpy())
    return len(files) / (time.perf_counter() - start)
