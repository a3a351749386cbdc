"""How near the student is to its teacher on kinds of pictures that it has not seen: first hits and whole rankings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nearsight.core.arrays import unit
from nearsight.core.artefact import replace_file
from nearsight.core.items import Item
from nearsight.encode.export import pixel_network
from nearsight.encode.network import TorchTower
from nearsight.encode.preprocess import Preprocess
from nearsight.learn.held_out import measured, vectors_of
from nearsight.learn.pictures import Loader, Pictures, proven

METRICS = ("precision@1", "average_precision")


class Judge:
    """The kinds that were kept out, decoded once, and what the teacher finds among each of them."""

    def __init__(self, kinds: Mapping[str, list[Item]], teacher: TorchTower, kept: Path) -> None:
        """`kept`: a JSON file where the teacher's figures are written once."""
        self.kinds: dict[str, Pictures] = {}
        for name, items in kinds.items():
            coming = proven(items, side=teacher.side, cache_mb=1024, workers=1)
            while True:
                try:
                    next(coming)
                except StopIteration as done:
                    self.kinds[name] = done.value
                    break
        digests = {name: pictures.digest for name, pictures in self.kinds.items()}
        told = json.loads(kept.read_text()) if kept.exists() else {}
        if told.get("digests") != digests:
            told = {"digests": digests, "figures": self.figures(teacher.module, teacher.preprocess)}
            replace_file(kept, json.dumps(told, indent=1).encode())
        self.teacher: dict[str, list[float]] = told["figures"]

    def figures(self, module: Any, preprocess: Preprocess) -> dict[str, list[float]]:
        """Kind -> P@1 and mAP, leave one out."""
        found = {}
        for name, pictures in self.kinds.items():
            with ThreadPoolExecutor(1) as pool:
                vectors = vectors_of(pixel_network(module, preprocess), Loader(pictures, preprocess, pool), "cpu")
            rows = measured(unit(vectors), pictures, METRICS).rows
            found[name] = [row.interval.value for row in rows]
        return found

    def shares(self, module: Any, preprocess: Preprocess) -> dict[str, list[float]]:
        """Kind -> the student's figures as shares of the teacher's."""
        found = self.figures(module, preprocess)
        return {name: [a / b for a, b in zip(found[name], self.teacher[name], strict=True)] for name in found}
