"""What teaches the encoder in the box: no picture and no caption of a test or validation split, no kind that judges."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

pytest.importorskip("torch")

from training.bundled import pictures as module
from training.bundled.pictures import FLOWERS, Gathered
from training.bundled.words import spoken

from nearsight.data.datasets import Dataset, load

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def gathered(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Gathered:
    def fewer(address: str, root: Path) -> Dataset:
        return load(address.replace("n=2000", "n=40").replace("n=240", "n=80"), root)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load", fewer)
        return module.gathered(data_root, tmp_path_factory.mktemp("drawn"))


def hashes(paths: list[Path]) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_no_picture_of_a_test_or_validation_split_teaches_or_judges(gathered: Gathered) -> None:
    teaching = hashes([path for _, path in gathered.teaching])
    judging = hashes([item.path for items in gathered.judging.values() for item in items])
    assert len(gathered.teaching) > 15_000
    assert len(gathered.banned) == 2807
    assert not gathered.banned & (teaching | judging)
    assert not teaching & judging
    assert len({name for name, _ in gathered.teaching}) == len(gathered.teaching)


def test_kinds_that_judge_are_nowhere_among_what_teaches(gathered: Gathered) -> None:
    names = [name for name, _ in gathered.teaching]
    assert {"mit_train", "caltech101", "grocery_store", "tiny_imagenet", "intel_scenes", "drawn"} == set(
        gathered.judging
    )
    assert not any(name.startswith("intel_scenes") for name in names)
    for kind in ("caltech101", "grocery_store"):
        kept = {item.label for item in gathered.judging[kind]}
        taught = {name.split("__")[1] for name in names if name.startswith(kind)}
        assert len(kept) >= 15
        assert not kept & taught
    assert {item.label for item in gathered.judging["caltech101"]} >= FLOWERS
    kept = {item.label for item in gathered.judging["tiny_imagenet"]}
    assert not any(name.split("/")[1].split("_")[0] in kept for name in names if "imagenet" in name.split("/")[0])


def test_no_caption_of_a_photograph_of_flickr8k_s_other_splits_is_read(data_root: Path) -> None:
    told = spoken(data_root)
    flickr = load("karpathy/flickr8k", data_root)
    hidden = {text for split in ("val", "test") for item in flickr.split(split) for text in item.captions}
    known = {text for item in flickr.split("train") for text in item.captions}
    # a few sentences are so plain that other people wrote them too, of other photographs
    assert len(hidden & {*told.texts} - known) < 20
    assert len(told.texts) > 130_000
