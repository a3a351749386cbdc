"""Every data set in the catalogue keeps the contract of `nearsight.data.datasets`.

A new data set is found by itself; give it a sample below: a tiny root and the address that reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from nearsight.core.errors import DatasetError, UnknownName
from nearsight.core.items import Item
from nearsight.data.datasets import DATASETS, Dataset, load


def picture(path: Path, shade: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade % 256, 90, 30)).save(path)
    return path


def classes(root: Path, names: tuple[str, ...] = ("cat", "dog")) -> None:
    for s, split in enumerate(("train", "test")):
        for c, name in enumerate(names):
            for i in range(2):
                picture(root / split / name / f"{i}.png", 40 * s + 10 * c + i)


def sample_folder(root: Path) -> str:
    classes(root / "pets")
    return "folder/pets"


def sample_mit_split(root: Path) -> str:
    classes(root / "mit_split", ("coast", "street"))
    return "mit_split?verify=no"


def sample_table(root: Path) -> str:
    lines = ["path,label,split,caption,year"]
    for i in range(4):
        picture(root / f"{i}.png", i)
        lines.append(f'{i}.png,{"ab"[i % 2]},{("train", "test")[i // 2]},"number {i}, seen",{2000 + i}')
    (root / "list.csv").write_text("\n".join(lines))
    return "table/list.csv"


def sample_karpathy(root: Path) -> str:
    entries = []
    for i in range(3):
        picture(root / "tiny" / "images" / f"{i}.jpg", i)
        sentences = [{"raw": f"picture {i} "}, {"raw": "another"}]
        entries.append({"filename": f"{i}.jpg", "split": "test" if i else "train", "sentences": sentences})
    (root / "tiny" / "dataset_tiny.json").write_text(json.dumps({"images": entries}))
    return "karpathy/tiny"


def sample_digits(root: Path) -> str:
    pytest.importorskip("sklearn")
    return "digits?size=8"


def sample_drawn(root: Path) -> str:
    return "drawn?n=16&size=32"


SAMPLES: dict[str, Callable[[Path], str]] = {
    "folder": sample_folder,
    "mit_split": sample_mit_split,
    "table": sample_table,
    "karpathy": sample_karpathy,
    "digits": sample_digits,
    "drawn": sample_drawn,
}


@pytest.fixture(scope="module", params=DATASETS.names())
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Dataset]:
    name: str = request.param
    if name not in SAMPLES:
        pytest.fail(f"data set '{name}' has no sample: add sample_{name} to {__file__}")
    root = tmp_path_factory.mktemp(name)
    address = SAMPLES[name](root)
    return address, root, load(address, root)


def test_items_are_pictures_on_disk_with_keys_and_paths_of_their_own(found: tuple[str, Path, Dataset]) -> None:
    _, root, data = found
    assert data.items
    assert data.name
    assert len({item.key for item in data.items}) == len(data.items)
    assert len({item.path for item in data.items}) == len(data.items)
    for item in data.items:
        assert isinstance(item, Item)
        assert item.key >= 0
        assert root in item.path.parents
    for item in data.items[:20]:
        with Image.open(item.path) as image:
            image.load()


def test_the_same_files_give_the_same_items(found: tuple[str, Path, Dataset]) -> None:
    address, root, data = found
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in root.rglob("*") if p.is_file()}
    assert load(address, root) == data
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in root.rglob("*") if p.is_file()} == before


def test_labels_captions_and_fields_are_plain(found: tuple[str, Path, Dataset]) -> None:
    for item in found[2].items:
        assert item.label is None or (isinstance(item.label, str) and item.label)
        assert item.split is None or (isinstance(item.split, str) and item.split)
        assert all(isinstance(c, str) and c == c.strip() and c for c in item.captions)
        assert all(isinstance(v, (str, int, float, bool)) for v in item.fields.values())


def test_splits_part_the_items(found: tuple[str, Path, Dataset]) -> None:
    data = found[2]
    assert sum(len(data.split(name)) for name in data.splits) == sum(item.split is not None for item in data.items)
    with pytest.raises(DatasetError) as caught:
        data.split("no such split")
    assert caught.value.code == "dataset/split"


def test_benchmarks(found: tuple[str, Path, Dataset]) -> None:
    data = found[2]
    if not data.labels:
        with pytest.raises(DatasetError) as caught:
            data.benchmark("loo")
        assert caught.value.code == "dataset/unlabelled"
        return
    everyone = data.benchmark("loo")
    assert everyone.queries == everyone.gallery == data.items
    assert everyone.queries_in_gallery
    across = data.benchmark("test->train")
    assert (across.queries, across.gallery) == (data.split("test"), data.split("train"))
    assert not across.queries_in_gallery
    among = data.benchmark("test-loo")
    assert among.queries == among.gallery == data.split("test")
    assert among.queries_in_gallery
    assert (across.name, across.protocol) == (data.name, "test->train")


def test_a_wrong_option_or_protocol_is_named(found: tuple[str, Path, Dataset]) -> None:
    address, root, data = found
    with pytest.raises(UnknownName):
        load(address.partition("?")[0] + "?no_such_option=1", root)
    for protocol in ("", "->", "test->test", "train", "-loo", "test->"):
        with pytest.raises(DatasetError):
            data.benchmark(protocol)


@pytest.mark.parametrize("name", DATASETS.names())
def test_it_has_help_and_takes_a_root(name: str) -> None:
    import inspect

    assert DATASETS.help(name)
    parameters = inspect.signature(DATASETS.module(name).build).parameters
    assert parameters["root"].default is inspect.Parameter.empty
    assert all(p.default is not inspect.Parameter.empty for p in parameters.values() if p.name != "root")
