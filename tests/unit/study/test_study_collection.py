"""Measuring a collection is measuring its pictures; what learns sees the training split only."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import DatasetError, InputError
from nearsight.core.items import Benchmark, Item
from nearsight.data.datasets import Dataset
from nearsight.encode import Encoder, create
from nearsight.search.collection import Collection
from nearsight.search.sync import folder_label
from nearsight.study.collection import bytes_a_vector, run_collection
from nearsight.study.fitting import fit_on
from nearsight.study.run import finish, run

KINDS = ("coast", "forest", "street")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three kinds of noise, five pictures each, hard to tell apart."""
    draw = np.random.default_rng(3)
    for at, kind in enumerate(KINDS):
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for number in range(5):
            pixels = draw.integers(0, 120 + 4 * at, (24, 24, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / kind / f"{number}.png")
    return tmp_path / "pictures"


@pytest.fixture
def collection(folder: Path, tmp_path: Path) -> Iterable[Collection]:
    with Collection.create(tmp_path / "kept", create("colour"), engine="faiss/Flat") as kept:
        list(kept.sync(folder, annotate=folder_label))
        yield kept


def test_a_collection_measures_as_its_pictures_do(collection: Collection) -> None:
    items = tuple(collection.items())
    by_pictures = finish(run(Benchmark("kept", "loo", items, items, True), create("colour"), samples=50))
    by_vectors = finish(run_collection(collection, samples=50))
    assert by_vectors.card == by_pictures.card, "the same pictures, labels, encoder and rule"
    assert by_vectors.values == by_pictures.values
    assert 0 < by_vectors.measures[0].value < 1, "neither trivial nor hopeless"


def test_items_without_a_label_are_neither_queries_nor_gallery(collection: Collection) -> None:
    keys = collection.keys().tolist()
    collection.annotate(keys[0], label=None)
    report = finish(run_collection(collection, samples=10))
    assert report.query_keys == tuple(keys[1:])
    assert report.gallery == len(keys) - 1
    for key in keys:
        collection.annotate(key, label=None)
    with pytest.raises(DatasetError, match="no item") as caught:
        finish(run_collection(collection, samples=10))
    assert caught.value.code == "dataset/unlabelled"


def test_bytes_a_vector(collection: Collection) -> None:
    assert bytes_a_vector(collection, "exact") == bytes_a_vector(collection, "faiss/Flat") == collection.dim * 4
    assert collection.dim < bytes_a_vector(collection, "faiss/SQ8") < 2 * collection.dim + 2000


class Learner:
    """A tower that remembers what it was shown."""

    def __init__(self) -> None:
        self.address, self.dim, self.side, self.batch, self.fitted = "learner", 3, 0, 4, False
        self.seen: list[int] = []

    def fit(self, pictures: Iterable[Image.Image]) -> None:
        self.seen = [picture.getpixel((0, 0))[0] for picture in pictures]
        self.fitted = True


@pytest.mark.parametrize(
    ("splits", "seen", "told"), [(("train", "test"), {0, 2, 4}, 0), ((None, None), {0, 1, 2, 3, 4}, 1)]
)
def test_what_learns_sees_the_training_split_only(
    tmp_path: Path, splits: tuple[str | None, str | None], seen: set[int], told: int
) -> None:
    for number in range(5):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "5.png").write_bytes(b"no picture")
    items = tuple(Item(n, tmp_path / f"{n}.png", "x", splits[n % 2]) for n in range(6))
    learner = Learner()
    notes = fit_on(Encoder(learner), Dataset("tiny", items))  # type: ignore[arg-type]
    assert set(learner.seen) == seen
    assert len(notes) == told, "learning from queries stands on the card"
    assert fit_on(Encoder(learner), Dataset("tiny", items)) == (), "fitted already"  # type: ignore[arg-type]


def test_what_a_collection_says_of_its_items(collection: Collection, folder: Path) -> None:
    keys = collection.keys()
    paths = [item.path for item in collection.items(keys.tolist())]
    vectors = collection.vectors(keys[::-1])
    assert np.allclose(vectors[-1], create("colour").encode_images([Image.open(paths[0])])[0], atol=1e-6)
    with pytest.raises(InputError, match="no item 99"):
        collection.vectors(np.array([1, 99], dtype=np.int64))
    content = paths[3].read_bytes()
    assert collection.twins(content) == [int(keys[3])]
    assert collection.twins(b"other") == []
    assert all(len(digest) == 64 for digest in collection.hashes(keys))
    assert collection.labels() == dict.fromkeys(KINDS, 5)
    assert collection.recall("colour of the door") is None
    collection.remember("colour of the door", "blue")
    with Collection.open(collection.folder, read_only=True) as other:
        assert other.recall("colour of the door") == "blue"
