"""How others bring pictures into an index, with a network of our choice in the place of theirs.

Each way does what the program does with its own defaults, as read in the release that is named: the same batches, the
same threads or processes, the same steps for each picture, the same things stored. It begins with files and ends with
vectors on the disk. The network is loaded before.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Way = Callable[[Sequence[Path], "Network", Path], None]


class Network(NamedTuple):
    """A torch module from (n, 3, size, size) float32 to features, the same as an ONNX file, and its normalization."""

    module: Any
    onnx: Path
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, encoder: Any, onnx: Path) -> Network:
        """Of an encoder in torch; writes the ONNX file, float32, as rclip's scripts/convert_model.py does."""
        import torch

        module, shown = encoder.tower.module, encoder.tower.preprocess
        given = torch.zeros(1, 3, shown.size, shown.size)
        names = {"input_names": ["input"], "output_names": ["output"], "opset_version": 18, "dynamo": False}
        free = {"input": {0: "n"}, "output": {0: "n"}}
        with warnings.catch_warnings(action="ignore"):  # of an exporter that is not the newest
            torch.onnx.export(module, (given,), str(onnx), dynamic_axes=free, **names)
        return cls(module, onnx, shown.size, shown.mean, shown.std)


def rclip(files: Sequence[Path], network: Network, place: Path) -> None:
    """rclip 3.3.0: `RClip._load_images`, `_index_images` and `_store_image_features` (rclip/main.py), `preprocess`
    (utils/preprocess.py), `compute_file_hash` (utils/helpers.py), `_load_onnx_session` (model_download.py), `DB`
    (db.py).

    As many threads as cores decode, hash and prepare three batches ahead, 8 pictures a batch, ONNX Runtime on all
    cores, one row of SQLite a picture, one commit.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(str(network.onnx), options, providers=["CPUExecutionProvider"])
    db = sqlite3.connect(place / "db.sqlite3")
    db.execute(
        "CREATE TABLE images (id INTEGER PRIMARY KEY, deleted BOOLEAN, filepath TEXT NOT NULL UNIQUE, modified_at "
        "DATETIME NOT NULL, size INTEGER NOT NULL, vector BLOB NOT NULL, indexing BOOLEAN, hash TEXT)"
    )
    db.execute("CREATE INDEX hash_index ON images(hash) WHERE deleted IS NULL")

    def new() -> Iterator[Path]:
        for path in files:
            if db.execute("SELECT * FROM images WHERE filepath=? LIMIT 1", (str(path),)).fetchone() is None:
                yield path

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in _batches(_ahead(new(), lambda path: _hashed_and_cropped(path, network), pool, 24), 8):
            pixels = np.stack([one for _, _, one in batch])
            (features,) = session.run(None, {"input": pixels})
            features /= np.linalg.norm(features, axis=-1, keepdims=True)
            for (path, digest, _), vector in zip(batch, features, strict=True):
                stat = path.stat()
                db.execute("SELECT * FROM images WHERE hash=? AND size=? LIMIT 1", (digest, stat.st_size)).fetchone()
                db.execute(
                    "INSERT INTO images(filepath, modified_at, size, vector, hash) VALUES (?, ?, ?, ?, ?)",
                    (str(path), stat.st_mtime, stat.st_size, vector.tobytes(), digest),
                )
    db.commit()
    db.close()


def _ahead(
    paths: Iterator[Path], work: Callable[[Path], Any], pool: ThreadPoolExecutor, most: int
) -> Iterator[tuple[Path, str, NDArray[np.float32]]]:
    flying: deque[Future[Any]] = deque()
    for path in paths:
        flying.append(pool.submit(work, path))
        if len(flying) == most:
            yield flying.popleft().result()
    while flying:
        yield flying.popleft().result()


def _batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _hashed_and_cropped(path: Path, network: Network) -> tuple[Path, str, NDArray[np.float32]]:
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read(2**20))
        if file.seek(0, os.SEEK_END) > 1024:
            file.seek(-1024, os.SEEK_END)
            digest.update(file.read(1024))
    size = network.size
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    shorter = min(image.size)
    image = image.resize(
        (int(image.width * size / shorter), int(image.height * size / shorter)), Image.Resampling.BICUBIC
    )
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    pixels = np.array(image.crop((left, top, left + size, top + size)), np.float32) / 255
    pixels = (pixels - np.array(network.mean, np.float32)) / np.array(network.std, np.float32)
    return path, digest.hexdigest(), pixels.transpose(2, 0, 1)


class _Pictures:
    """clip-retrieval's `ImageDataset`: a picture and its name."""

    def __init__(self, files: Sequence[Path], prepared: Callable[[Image.Image], Any]) -> None:
        self._files, self._prepared = files, prepared

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, at: int) -> dict[str, Any]:
        path = self._files[at]
        return {"image_filename": str(path), "image_tensor": self._prepared(Image.open(path).convert("RGB"))}


def clip_retrieval(files: Sequence[Path], network: Network, place: Path) -> None:
    """clip-retrieval 2.45.0: `main` (clip_inference/main.py: batches of 256, 4 workers), `dataset_to_dataloader`
    (reader.py), `ClipMapper` (mapper.py), `OutputSink` (writer.py), `Runner` (runner.py).

    Four processes prepare two batches ahead each by CLIP's transformation, torch in float32 on all cores, vectors as
    float16 in one NumPy file and names in one Parquet file at the end. Pinned memory does nothing without a GPU, and is
    left out.
    """
    import pyarrow
    import torch
    from pyarrow import parquet
    from torch.utils.data import DataLoader
    from torchvision import transforms

    prepared = transforms.Compose([
        transforms.Resize(network.size, interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(network.size),
        transforms.ToTensor(),
        transforms.Normalize(network.mean, network.std),
    ])  # fmt: skip
    kept, names = [], []
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # that four processes may be too many
        for batch in DataLoader(_Pictures(files, prepared), batch_size=256, num_workers=4, prefetch_factor=2):
            features = network.module(batch["image_tensor"])
            features /= features.norm(dim=-1, keepdim=True)
            kept.append(features.to(torch.float16).numpy())
            names.extend(batch["image_filename"])
    np.save(place / "img_emb_0.npy", np.concatenate(kept))
    parquet.write_table(pyarrow.table({"image_path": names}), place / "metadata_0.parquet")


def deep_image_search(files: Sequence[Path], network: Network, place: Path) -> None:
    """DeepImageSearch 3.0.3: `Indexer.index` (core/indexer.py: batches of 64), `TimmEmbedding` (core/embeddings.py),
    `FAISSStore` (vectorstores/faiss_store.py), `JsonMetadataStore` (metadatastore/json_store.py).

    One thread opens and decodes a batch, prepares it and hands it to torch in float32 on all cores, then adds to FAISS;
    index and records are written at the end.
    """
    import faiss
    import torch
    from torchvision import transforms

    prepared = transforms.Compose([
        transforms.Resize((network.size, network.size)),
        transforms.ToTensor(),
        transforms.Normalize(network.mean, network.std),
    ])  # fmt: skip
    index: Any = None
    records = []
    with torch.no_grad():
        for start in range(0, len(files), 64):
            images = [Image.open(path) for path in files[start : start + 64]]
            for image in images:
                image.load()
            features = network.module(torch.stack([prepared(image.convert("RGB")) for image in images])).flatten(1)
            vectors = (features / features.norm(dim=-1, keepdim=True)).numpy()
            index = index or faiss.IndexFlatIP(vectors.shape[1])
            index.add(vectors)
            for number, path in enumerate(files[start : start + 64], start):
                name = hashlib.md5(str(path).encode()).hexdigest()
                records.append({"image_id": name, "image_index": number, "image_path": str(path)})
    faiss.write_index(index, str(place / "index.faiss"))
    (place / "image_records.json").write_text(json.dumps(records, indent=2))


WAYS: dict[str, Way] = {
    "rclip": rclip,
    "clip_retrieval": clip_retrieval,
    "deep_image_search": deep_image_search,
}
