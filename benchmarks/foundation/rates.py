"""Pictures a second from JPEG files to committed vectors, against what the parts allow and against the plain way."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import _indexing
from benchmarks._results import Results
from benchmarks.foundation._data import data, mobilenet


def measure(results: Results, *, quick: bool) -> None:
    root, weights = data("mit_split", "train"), data("weights", "mobilenet_v2_imagenet1001_fp16.pth")
    if root is None or weights is None:
        return
    files = sorted(root.rglob("*.jpg"))[: 300 if quick else 1881]
    with tempfile.TemporaryDirectory() as name:
        place, plain = Path(name), mobilenet(weights)
        _indexing.copied(files, place / "pictures")
        plain.save(place / "encoder")
        found = _indexing.measured(files, place / "pictures", place / "encoder", plain, place, 2 if quick else 5)
    bound, plainly = ("index_vs_bound", ">=0.85"), ("index_vs_plain", ">=3")
    _indexing.rows(results, found, "MobileNetV2 at 224", bound, plainly)
