"""Real photographs: what is absent is chance and what is there is not; judged answers make the ranking better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.arrays import Vectors
from nearsight.core.items import Item
from nearsight.data.datasets import load
from nearsight.data.images import decode, read
from nearsight.encode import Encoder, EncoderSpec, create
from nearsight.measure.intervals import proportion
from nearsight.search.calibration.scale import Calibration
from nearsight.search.collection import Collection
from nearsight.search.query import PROBE, Query
from nearsight.search.store.store import Record

pytest.importorskip("torch")
pytestmark = [pytest.mark.real, pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(600)]
EACH, ASKED = 90, 25
"""Pictures of a class that are in the collection, and that are asked for."""


@pytest.fixture(scope="module")
def encoder(data_root: Path) -> Encoder:
    weights = data_root / "weights" / "mobilenet_v2_imagenet1001_fp16.pth"
    if not weights.exists():
        pytest.skip(f"no {weights}")
    options = "padding=same&size=224&resize=224&fit=squash&interpolation=bicubic&mean=0.5&std=0.5"
    return create(f"torchvision/mobilenet_v2?weights={weights}&{options}")


def encoded(encoder: Encoder, pictures: Sequence[Item] | Sequence[Image.Image]) -> Vectors:
    open_ = [decode(read(one.path), side=224) if isinstance(one, Item) else one for one in pictures]
    return np.concatenate([encoder.encode_images(open_[at : at + 32]) for at in range(0, len(open_), 32)])


@pytest.fixture(scope="module")
def scenes(data_root: Path, encoder: Encoder) -> dict[str, tuple[Vectors, Vectors]]:
    """Class -> vectors of some of its training pictures, and of some test pictures."""
    items = load("mit_split", data_root).items
    draw = np.random.default_rng(0)

    def some(label: str, split: str, n: int) -> list[Item]:
        mine = [item for item in items if item.label == label and item.split == split]
        return [mine[at] for at in draw.permutation(len(mine))[:n]]

    labels = sorted({str(item.label) for item in items})
    return {
        label: (encoded(encoder, some(label, "train", EACH)), encoded(encoder, some(label, "test", ASKED)))
        for label in labels
    }


def collection(folder: Path, dim: int, kept: dict[str, Vectors]) -> Collection:
    made = Collection.create(folder, EncoderSpec("elsewhere", dim, (), "ab" * 32, {}), engine="exact")
    records = [Record(f"{label}/{at}".encode(), label=label) for label, rows in kept.items() for at in range(len(rows))]
    made.add(np.concatenate([*kept.values()]), records)
    return made


def calibrated(made: Collection, by: str = "auto") -> Calibration:
    list(made.calibrate(by=by))
    assert made.calibration is not None
    return made.calibration


def verdicts(made: Collection, queries: Vectors) -> list[str | None]:
    return [made.search(query, 1)[0].verdict for query in queries]


def test_a_class_that_is_not_there_is_chance_and_one_that_is_there_is_not(
    scenes: dict[str, tuple[Vectors, Vectors]], tmp_path: Path
) -> None:
    """Each of the eight left out in turn: 200 queries for what is absent, 1,400 for what is there."""
    absent, there, right = [], [], []
    for left_out, (_, queries) in scenes.items():
        kept = {label: rows for label, (rows, _) in scenes.items() if label != left_out}
        with collection(tmp_path / left_out, queries.shape[1], kept) as made:
            calibrated(made)
            absent += verdicts(made, queries)
            for label in kept:
                for query in scenes[label][1]:
                    best = made.search(query, 1)[0]
                    there.append(best.verdict)
                    right += [best.item.label == label] if best.verdict == "sure" else []
    n, m = len(absent), len(there)
    likely = proportion(n - absent.count("chance"), n)
    sure = proportion(absent.count("sure"), n)
    found = proportion(m - there.count("chance"), m)
    told = proportion(sum(right), len(right))
    measured = f"absent: likely {likely}, sure {sure}; there: likely {found}, of the sure right {told}"
    assert likely.value <= 0.2, measured
    assert sure.value <= 0.05, measured
    assert found.value > 3 * likely.value, measured
    assert told.low > 0.9, measured


def test_noise_and_drawings_among_photographs_are_chance(
    encoder: Encoder, scenes: dict[str, tuple[Vectors, Vectors]], tmp_path: Path
) -> None:
    draw = np.random.default_rng(1)
    noise = [Image.fromarray(draw.integers(0, 256, (side, side, 3), dtype=np.uint8)) for side in (8, 32, 224) * 8]
    strange = encoded(encoder, [one.resize((224, 224)) for one in noise])
    drawn = encoded(encoder, load("drawn?n=40", tmp_path / "drawn").items)
    with collection(tmp_path / "c", strange.shape[1], {label: rows for label, (rows, _) in scenes.items()}) as made:
        calibrated(made)
        for queries in (strange, drawn):
            found = verdicts(made, queries)
            assert found.count("chance") >= 0.9 * len(found)
            assert "sure" not in found


def test_colours_cannot_be_sure(scenes: dict[str, tuple[Vectors, Vectors]], data_root: Path, tmp_path: Path) -> None:
    """A histogram of colours does not know a coast from a street: that is said, and nothing is called sure."""
    colour = create("colour")
    items = [item for item in load("mit_split", data_root).items if item.split == "train"][::4]
    vectors = {label: encoded(colour, [i for i in items if i.label == label]) for label in scenes}
    with collection(tmp_path / "c", colour.spec.dim, vectors) as made:
        found = calibrated(made).pictures
        assert found is not None
        assert found.sure.at is None
        assert found.sure.why


def test_a_network_that_cannot_tell_on_flickr8k_says_so(encoder: Encoder, data_root: Path, tmp_path: Path) -> None:
    """Among 500 photographs of all kinds, by features as they come: captions say that right answers score no more than
    wrong ones, and the scores alone come to the same threshold."""
    items = load("karpathy/flickr8k", data_root).items[::16]
    vectors = encoded(encoder, items)
    spec = EncoderSpec("elsewhere", vectors.shape[1], (), "ab" * 32, {})
    with Collection.create(tmp_path / "c", spec, engine="exact") as made:
        made.add(vectors, [Record(item.path.name.encode(), captions=item.captions) for item in items])
        by_captions = calibrated(made).pictures
        alone = calibrated(made, by="statistics").pictures
    assert by_captions is not None
    assert alone is not None
    assert (by_captions.how, alone.how) == ("captions", "statistics")
    assert by_captions.likely.false.value == pytest.approx(0.1, abs=0.05)
    assert by_captions.likely.found.high < 0.2
    for found in (by_captions, alone):
        assert (found.likely.at, found.sure.at) == (None, None)
        assert "chance would in 10%" in found.likely.why
    told = [float(found.likely.why.partition("reaches ")[2].split()[0]) for found in (by_captions, alone)]
    assert told[0] == pytest.approx(told[1], abs=0.03)


@pytest.fixture(scope="module")
def judging(
    scenes: dict[str, tuple[Vectors, Vectors]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collection]:
    folder = tmp_path_factory.mktemp("judging") / "c"
    rows = {label: kept for label, (kept, _) in scenes.items()}
    with collection(folder, next(iter(rows.values())).shape[1], rows) as made:
        yield made


@pytest.mark.parametrize("each", [2, 5, 10, 20])
def test_judged_answers_raise_the_mean_average_precision(
    scenes: dict[str, tuple[Vectors, Vectors]], judging: Collection, each: int
) -> None:
    """Over the pictures that were not judged. Judged are the first right and the first wrong answers."""

    def precision(query: Query, label: str, seen: set[int]) -> float:
        found = [m.item.label == label for m in judging.search(query, len(judging)) if m.item.key not in seen]
        right = np.array(found)
        return float((np.cumsum(right) / np.arange(1, len(right) + 1))[right].mean())

    before, after = [], []
    for label, (_, queries) in scenes.items():
        for vector in queries[:10]:
            found = [match.item for match in judging.search(vector, len(judging))]
            up = tuple(item.key for item in found if item.label == label)[:each]
            down = tuple(item.key for item in found if item.label != label)[:each]
            query, seen = Query(((vector, 1.0),), up=up, down=down), {*up, *down}
            assert query.method == ("probe" if each >= PROBE else "rocchio")
            before.append(precision(Query.like(vector), label, seen))
            after.append(precision(query, label, seen))
    gain = np.array(after) - np.array(before)
    assert gain.mean() > {2: 0.07, 5: 0.14, 10: 0.16, 20: 0.18}[each], f"{np.mean(before):.3f} -> {np.mean(after):.3f}"
