"""A part of a picture as a query: which pixels it is, and that it finds what is in it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.errors import PictureError, QueryError
from nearsight.data.datasets import load
from nearsight.encode import create
from nearsight.search.collection import Collection
from nearsight.search.examples import cut
from nearsight.search.query import Query, Region
from nearsight.search.sync import Annotation


@pytest.fixture
def collection(folder: Path, tmp_path: Path) -> Iterator[Collection]:
    """Twelve pictures of 48 x 40."""
    with Collection.create(tmp_path / "c", create("colour")) as made:
        list(made.sync(folder))
        yield made


def test_a_region_of_a_file_of_bytes_of_a_picture_and_of_an_item_is_one(collection: Collection, folder: Path) -> None:
    path, box = folder / "red" / "00.png", (5, 7, 40, 30)
    key = collection.search(path, 1)[0].item.key
    with Image.open(path) as whole:
        wanted = np.asarray(whole.convert("RGB").crop(box))
        for source in (path, str(path), path.read_bytes(), whole, key):
            assert np.array_equal(np.asarray(cut(collection, Region(source, box))), wanted)
            found = collection.search(Region(source, box), 3)
            assert found == collection.search(Image.fromarray(wanted), 3)
    assert collection.search(Region(key, (0, 0, 48, 40)), 1)[0].score == pytest.approx(1.0, abs=1e-6)
    both = collection.vector(Query(((Region(key, box), 2.0), (key, -1.0))))
    assert float(both @ both) == pytest.approx(1.0, abs=1e-5)


def test_a_box_is_in_the_picture_as_it_is_shown(collection: Collection) -> None:
    picture = Image.new("RGB", (60, 20), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 0, 10, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise: 20 x 60, red on top
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    for box, colour in (((0, 0, 20, 10), (255, 0, 0)), ((0, 10, 20, 60), (0, 0, 255))):
        part = cut(collection, Region(file.getvalue(), box))
        assert part.getcolors() == [(part.width * part.height, colour)]
    with pytest.raises(QueryError, match="20 x 60"):
        collection.search(Region(file.getvalue(), (0, 0, 60, 20)))


def test_a_small_region_of_a_large_jpeg_keeps_its_detail(collection: Collection) -> None:
    stripes = np.zeros((2400, 2400, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    file = io.BytesIO()
    Image.fromarray(stripes).save(file, "JPEG", quality=95)
    part = np.asarray(cut(collection, Region(file.getvalue(), (1000, 1000, 1064, 1064))))
    assert part.shape == (64, 64, 3)
    assert abs(int(part[30, 30, 0]) - int(part[30, 31, 0])) > 200, "shrunk before it was cut, all of it is grey"


@pytest.mark.parametrize("box", [(0, 0, 49, 40), (0, 0, 48, 41), (100, 100, 101, 101), (0, 0, 10**12, 1)])
def test_a_box_outside_is_refused(collection: Collection, folder: Path, box: tuple[int, int, int, int]) -> None:
    with pytest.raises(QueryError, match="which is 48 x 40") as error:
        collection.search(Region(folder / "red" / "00.png", box))
    assert error.value.code == "query/region"


def test_regions_of_what_is_not_there(collection: Collection, folder: Path) -> None:
    for key in (99, 10**30):
        with pytest.raises(QueryError) as error:
            collection.search(Region(key, (0, 0, 1, 1)))
        assert error.value.code == "query/key"
    key = collection.search(folder / "red" / "00.png", 1)[0].item.key
    (folder / "red" / "00.png").unlink()
    with pytest.raises(PictureError) as vanished:
        collection.search(Region(key, (0, 0, 1, 1)))
    assert vanished.value.code == "picture/vanished"


def test_on_four_scenes_in_one_a_region_finds_its_quarters_class(tmp_path: Path) -> None:
    items = load("drawn?n=64&size=96", tmp_path / "drawn").items
    share_of_regions, share_of_wholes, asked = compared(tmp_path, items, "colour", quarters=24)
    assert asked == 24
    assert share_of_regions > 1.2 * share_of_wholes


@pytest.mark.slow
def test_where_shapes_are_compared_the_gain_is_large(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    items = load("drawn?n=480&size=128", tmp_path / "drawn").items
    regions, wholes, asked = compared(tmp_path, items, "hog", quarters=144)
    assert asked == 144
    assert regions >= 2.5 * wholes, f"mAP {regions:.3f} of regions, {wholes:.3f} of whole pictures"


def compared(tmp_path: Path, items, address: str, *, quarters: int) -> tuple[float, float, int]:
    """mAP of quarters as queries, of the whole pictures, and how many quarters; four classes in each picture.

    A quarter's class is right. The gallery is the data set's training part, the pictures are put together of its test
    part.
    """
    train = {item.path: item.label for item in items if item.split == "train"}
    test = [item for item in items if item.split == "test"]
    with Collection.create(tmp_path / address, create(address)) as kept:
        root = items[0].path.parents[2]
        list(kept.sync(root, annotate=lambda path: Annotation(train[root / path]), only=lambda p: root / p in train))
        by_region, by_whole = [], []
        for start in range(0, min(quarters, len(test) - 3), 4):
            four = test[start : start + 4]
            assert len({item.label for item in four}) == 4
            with Image.open(four[0].path) as first:
                side = first.width
            whole = Image.new("RGB", (2 * side, 2 * side))
            boxes = [(x, y, x + side, y + side) for y in (0, side) for x in (0, side)]
            for item, box in zip(four, boxes, strict=True):
                with Image.open(item.path) as quarter:
                    whole.paste(quarter, box)
            file = io.BytesIO()
            whole.save(file, "JPEG", quality=92)
            answer = [match.item.label for match in kept.search(file.getvalue(), len(kept))]
            for item, box in zip(four, boxes, strict=True):
                found = [match.item.label for match in kept.search(Region(file.getvalue(), box), len(kept))]
                by_region.append(precision(found, item.label))
                by_whole.append(precision(answer, item.label))
    return float(np.mean(by_region)), float(np.mean(by_whole)), len(by_region)


def precision(labels: list[str | None], right: str | None) -> float:
    """Average precision of one answer."""
    hits = np.array([label == right for label in labels])
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())
