"""Those whom benchmarks put beside us do what is said of them, and are judged alike."""

from __future__ import annotations

import sqlite3
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from benchmarks import _plots
from benchmarks._peers import Absent, python, told
from benchmarks.scale._searchers import PEERS, K, measured
from benchmarks.scale.search_peers import _recall, _tenth
from PIL import Image

from nearsight.core.arrays import unit


def test_what_is_installed_here_runs_here(tmp_path: Path) -> None:
    assert python(tmp_path, "numpy", ("numpy", "pytest[extra]")) == sys.executable
    assert not any(tmp_path.iterdir())


def test_a_peer_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="nobody"):
        told(sys.executable, "benchmarks.scale._searchers", "nobody", str(tmp_path))


@pytest.mark.parametrize("name", ["numpy", "faiss_flat", "faiss_hnsw", "faiss_ivf", "ours_exact", "ours_hnsw"])
def test_peers_find_the_nearest_when_they_search_widely(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    vectors, queries = (unit(rng.standard_normal((n, 32), dtype=np.float32)) for n in (5_000, 30))
    vectors = vectors.astype(np.float16).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    np.save(tmp_path / "queries.npy", queries)
    seen = measured(PEERS[name], tmp_path)
    found = np.load(tmp_path / "found.npy")
    assert found.shape == (len(seen["points"]), 30, K)
    recalls = [_recall(keys, _tenth(vectors, queries), vectors, queries) for keys in found]
    assert recalls[-1] > 0.97
    if PEERS[name].width:
        assert recalls[0] < recalls[-1], "the width changes nothing"


def test_recall_counts_equals_once_each() -> None:
    vectors = unit(np.array([[1, 0]] * 11 + [[0, 1]] * 5, np.float32))
    query = np.array([[1, 0]], np.float32)

    def recall(keys: np.ndarray) -> float:
        return _recall(keys, _tenth(vectors, query), vectors, query)

    assert recall(np.arange(1, 11)[None]) == 1  # 11 are nearest, any 10 of them are right
    assert recall(np.zeros((1, 10), int)) == 0.1
    assert recall(np.full((1, 10), -1)) == 0
    assert recall(np.array([[0, 1, 2, 3, 4, 11, 12, 13, 14, 15]])) == 0.5


def test_a_plot_names_everyone_within_its_frame(tmp_path: Path) -> None:
    found = [_plots.Curve(f"peer <{i}>", [0.5, 0.9, 0.99 + i / 2000], [1, 2, 3], i == 3) for i in range(12)]
    found.append(_plots.Curve("one that finds little", [0.2], [1.0], False))
    _plots.curves(tmp_path / "a.svg", found, title="t & t", across="recall", up="ms", shares=(0.8, 0.95, 1.0))
    root = ET.parse(tmp_path / "a.svg").getroot()
    texts = list(root.iter("{http://www.w3.org/2000/svg}text"))
    names = {node.text: float(node.get("y", "nan")) for node in texts if (node.text or "").startswith("peer")}
    assert sorted(names) == sorted(one.name for one in found[:-1])
    levels = sorted(names.values())
    assert min(np.diff(levels)) > 10
    assert min(levels) > 0
    assert max(levels) < float(root.get("height", "0"))
    for line in root.iter("{http://www.w3.org/2000/svg}polyline"):
        assert len(line.get("points", "").split()) == 2, "what is below the first share is cut off"


@pytest.mark.torch
@pytest.mark.parametrize("name", ["rclip", "clip_retrieval", "deep_image_search"])
def test_ways_of_others_store_what_the_network_says(tmp_path: Path, name: str) -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.scale._ways import WAYS, Network

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 8, 8), torch.nn.Flatten()).eval()
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    shown = SimpleNamespace(size=32, mean=mean, std=std)
    network = Network.of(SimpleNamespace(tower=SimpleNamespace(module=module, preprocess=shown)), tmp_path / "n.onnx")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (70, 32, 32, 3), np.uint8)
    files = []
    for i, one in enumerate(pixels):
        files.append(tmp_path / f"{i:02d}.png")
        Image.fromarray(one).save(files[-1])
    place = tmp_path / "place"
    place.mkdir()
    WAYS[name](files, network, place)
    given = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(
        std
    ).view(3, 1, 1)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(module(given)).numpy()
    names, vectors = _stored(place)
    assert names == [str(path) for path in files]
    np.testing.assert_allclose(vectors, expected, atol=1e-3)


def _stored(place: Path) -> tuple[Sequence[str], np.ndarray]:
    import json

    import faiss
    from pyarrow import parquet

    if (place / "db.sqlite3").exists():
        rows = sqlite3.connect(place / "db.sqlite3").execute("SELECT filepath, vector FROM images").fetchall()
        return [path for path, _ in rows], np.stack([np.frombuffer(vector, np.float32) for _, vector in rows])
    if (place / "index.faiss").exists():
        index = faiss.read_index(str(place / "index.faiss"))
        records = json.loads((place / "image_records.json").read_text())
        return [record["image_path"] for record in records], index.reconstruct_n(0, index.ntotal)
    names = parquet.read_table(place / "metadata_0.parquet")["image_path"].to_pylist()
    return names, np.load(place / "img_emb_0.npy").astype(np.float32)
