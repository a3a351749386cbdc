"""Pictures and captions both ways, held against loops and cases worked by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearsight.core.arrays import unit
from nearsight.core.errors import MeasureError
from nearsight.core.items import Item
from nearsight.data.captions import captioned
from nearsight.data.datasets import Dataset
from nearsight.measure.crossmodal import BothWays, both_ways
from nearsight.measure.intervals import bootstrap, bootstrap_groups
from nearsight.measure.ranking import Gallery

R = ("R@1", "R@5", "R@10")


def corners(rng: np.random.Generator, n: int, d: int = 4) -> np.ndarray:
    """Unit vectors whose products are exact and often equal: corners of a cube."""
    return (rng.choice([-0.5, 0.5], size=(n, d))).astype(np.float32)


def relation(rng: np.random.Generator, n: int, most: int) -> np.ndarray:
    return np.repeat(np.arange(n), rng.integers(1, most + 1, n))


def naive(images: np.ndarray, texts: np.ndarray, of: np.ndarray, k: int) -> tuple[float, float]:
    """R@k both ways by the definition; a tie is the mean over orders: 1 - the share of draws without a right one."""

    def hit(scores: list[float], right: list[bool]) -> float:
        left, missed = k, 1.0
        for value in sorted(set(scores), reverse=True):
            tied = [r for s, r in zip(scores, right, strict=True) if s == value]
            rest = len(tied) - sum(tied)
            for drawn in range(min(left, len(tied))):
                missed *= max(0, rest - drawn) / (len(tied) - drawn)
            left -= min(left, len(tied))
        return 1 - missed

    scores = images.astype(np.float64) @ texts.T.astype(np.float64)
    there = [hit(row.tolist(), (of == i).tolist()) for i, row in enumerate(scores)]
    back = [hit(row.tolist(), [i == of[t] for i in range(len(images))]) for t, row in enumerate(scores.T)]
    return float(np.mean(there)), float(np.mean(back))


def values(found: BothWays) -> list[float]:
    ways = (found.to_texts, found.to_images)
    return [found.rsum.value, *(row.interval.value for way in ways for row in way.rows)]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 9), most=st.integers(1, 8))
def test_agrees_with_the_loop_where_much_is_tied(seed: int, n: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    of = relation(rng, n, most)
    images, texts = corners(rng, n), corners(rng, len(of))
    found = both_ways(images, texts, of, samples=20)
    summed = 0.0
    for k, label in zip((1, 5, 10), R, strict=True):
        there, back = naive(images, texts, of, k)
        assert found.to_texts[label].interval.value == pytest.approx(there, abs=1e-12)
        assert found.to_images[label].interval.value == pytest.approx(back, abs=1e-12)
        summed += 100 * (there + back)
    assert found.rsum.value == pytest.approx(summed, abs=1e-9)
    assert (found.to_texts.queries, found.to_images.queries) == (n, len(of))


def test_agrees_with_the_loop_on_vectors_without_ties() -> None:
    rng = np.random.default_rng(0)
    of = relation(rng, 60, 7)
    centres = rng.normal(size=(60, 16))
    images, texts = unit(centres + rng.normal(size=(60, 16))), unit(centres[of] + rng.normal(size=(len(of), 16)))
    found = both_ways(images, texts, of, samples=20)
    for k, label in zip((1, 5, 10), R, strict=True):
        measured = (found.to_texts[label].interval.value, found.to_images[label].interval.value)
        assert measured == pytest.approx(naive(images, texts, of, k), abs=1e-12)
    assert 0.2 < found.to_images["R@1"].interval.value < 0.9


def by_hand() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three pictures on the axes, five captions each, told by how far they lean to each picture.

    Picture 0 finds a caption of picture 1 first (.95) and then its own (.9); picture 1's best is its own (.95 goes to
    picture 0, .85 to 1); picture 2 finds its own at places 6 and later only.
    """
    lean = {
        0: [(0.9, 0.1, 0.0), (0.8, 0.1, 0.2), (0.7, 0.0, 0.3), (0.1, 0.6, 0.5), (0.2, 0.3, 0.55)],
        1: [(0.95, 0.15, 0.0), (0.1, 0.85, 0.4), (0.0, 0.8, 0.45), (0.05, 0.75, 0.6), (0.1, 0.5, 0.52)],
        2: [(0.3, 0.2, 0.35), (0.4, 0.1, 0.3), (0.5, 0.1, 0.25), (0.6, 0.2, 0.2), (0.65, 0.2, 0.1)],
    }
    rows = np.array([row for own in lean.values() for row in own])
    rest = np.sqrt(1 - (rows**2).sum(axis=1, keepdims=True))  # a fourth axis takes what is missing to unit length
    return np.eye(3, 4, dtype=np.float32), unit(np.hstack([rows, rest])), np.repeat(np.arange(3), 5)


def test_five_captions_worked_by_hand() -> None:
    found = both_ways(*by_hand(), samples=50)
    # picture -> captions: first right places 2, 1, 7
    assert found.to_texts["R@1"].values.tolist() == [0, 1, 0]
    assert found.to_texts["R@5"].values.tolist() == [1, 1, 0]
    assert found.to_texts["R@10"].values.tolist() == [1, 1, 1]
    assert found.to_texts["median rank"].interval.value == 2
    # caption -> pictures: three right of picture 0, four of 1, one of 2
    assert found.to_images["R@1"].values.tolist() == [1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0, 0]
    assert found.to_images["R@5"].interval.value == 1
    assert found.rsum.value == pytest.approx(100 * (1 / 3 + 2 / 3 + 1 + 7 / 15 + 1 + 1))


def test_captions_of_one_picture_are_no_negatives_of_each_other() -> None:
    """One caption a picture is near it, at a place that changes; the four others lie elsewhere. Any of them counts."""
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(20), 5)
    images, texts = np.eye(20, 60, dtype=np.float32), unit(np.eye(60)[20 + rng.integers(0, 40, 100)])
    near = 5 * np.arange(20) + rng.integers(0, 5, 20)
    texts[near] = images
    found = both_ways(images, texts, of, samples=10)
    assert found.to_texts["R@1"].interval.value == 1
    assert found.to_texts["median rank"].interval.value == 1
    alone = [both_ways(images, texts[at::5], np.arange(20), samples=10).to_texts["R@1"].interval.value for at in (0, 1)]
    assert max(alone) < 0.6, "each caption by itself is mostly wrong: only together they are right"
    twins = np.repeat(images, 5, axis=0)  # every picture's five captions are one and the same
    assert both_ways(images, twins, of, samples=10).rsum.value == 600
    assert both_ways(images, twins, of, samples=10).to_texts["triplet accuracy"].interval.value == 1


@pytest.mark.parametrize("folds", [1, 3])
def test_shuffling_pictures_or_captions_changes_nothing_to_the_last_bit(folds: int) -> None:
    rng = np.random.default_rng(3)
    counts = rng.integers(1, 8, 40)
    items = [
        Item(int(key), Path(f"{key}.jpg"), None, None, tuple(f"{key} {i}" for i in range(count)))
        for key, count in zip(rng.permutation(500)[:40], counts, strict=True)
    ]
    centres = {item.key: rng.normal(size=32) for item in items}
    seen = {key: unit((centre + rng.normal(size=32))[None])[0] for key, centre in centres.items()}
    told = {text: unit((centres[item.key] + rng.normal(size=32))[None])[0] for item in items for text in item.captions}

    def measure(order: list[Item]) -> BothWays:
        made = captioned(Dataset("set", tuple(order)))
        images = np.stack([seen[item.key] for item in made.pictures])
        return both_ways(images, np.stack([told[text] for text in made.texts]), made.of, folds=folds, samples=100)

    one = measure(items)
    for seed in range(3):
        mix = np.random.default_rng(seed)
        shuffled = [replace(items[at], captions=tuple(mix.permutation(items[at].captions).tolist()))
                    for at in mix.permutation(40)]  # fmt: skip
        two = measure(shuffled)
        assert one.rsum == two.rsum
        for before, after in zip(
            (*one.to_texts.rows, *one.to_images.rows), (*two.to_texts.rows, *two.to_images.rows), strict=True
        ):
            assert before.interval == after.interval
            assert before.floor == after.floor
            assert np.array_equal(before.values, after.values)


def test_a_network_that_collapsed_scores_what_chance_does() -> None:
    of = np.repeat(np.arange(30), 5)
    same = np.tile(unit(np.ones((1, 8))), (150, 1))
    found = both_ways(same[:30], same, of, samples=10)
    assert found.rsum.value == pytest.approx(found.floor)
    for way, label in ((found.to_texts, "R@5"), (found.to_images, "R@5"), (found.to_texts, "triplet accuracy")):
        assert way[label].interval.value == pytest.approx(way[label].floor)
    assert found.to_images["R@5"].floor == pytest.approx(5 / 30)
    assert found.to_texts["R@1"].floor == pytest.approx(5 / 150)
    assert found.to_texts["triplet accuracy"].floor == pytest.approx(0.5)


def test_folds_are_the_mean_of_their_own_measurements() -> None:
    rng = np.random.default_rng(1)
    of = relation(rng, 50, 6)
    centres = rng.normal(size=(50, 8))
    images, texts = unit(centres + rng.normal(size=(50, 8))), unit(centres[of] + rng.normal(size=(len(of), 8)))
    found = both_ways(images, texts, of, folds=5, samples=50)
    parts = []
    for fold in range(5):
        mine = of // 10 == fold
        parts.append(
            values(both_ways(images[10 * fold : 10 * fold + 10], texts[mine], of[mine] - 10 * fold, samples=1))
        )
    assert values(found) == pytest.approx(np.mean(parts, axis=0))
    assert len(found.to_images["R@1"].values) == len(of)
    assert found.rsum.value > both_ways(images, texts, of, samples=10).rsum.value, "ten are easier than fifty"
    mixed = rng.permutation(len(of))
    again = both_ways(images, texts[mixed], of[mixed], folds=5, samples=10)
    assert np.array_equal(again.to_images["R@1"].values, found.to_images["R@1"].values[mixed])


def test_an_interval_over_pictures_is_wider_than_one_over_captions() -> None:
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(80), 5)
    right = np.repeat(rng.random(80) < 0.5, 5).astype(np.float64)  # a picture's captions go right or wrong together
    whole = bootstrap_groups([[(right, of)]], samples=2000)
    naive_ = bootstrap(right, samples=2000)
    assert whole.value == naive_.value == right.mean()
    assert (whole.high - whole.low) / (naive_.high - naive_.low) == pytest.approx(np.sqrt(5), rel=0.1)
    single = bootstrap_groups([[(right[::5], np.arange(80))]], samples=2000)
    assert whole.low == pytest.approx(single.low)
    assert whole.high == pytest.approx(single.high)


def test_both_ways_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    one = rng.random(60)
    alone, groups = np.arange(60), np.repeat(np.arange(60), 3)
    other = np.repeat(1 - one, 3)
    found = bootstrap_groups([[(one, alone), (other, groups)]])
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1)), "what one way gains the other one loses"
    apart = bootstrap_groups([[(one, alone)]])
    assert apart.high - apart.low > 0.1


@pytest.mark.parametrize("sizes", [[1] * 9, [2, 5, 1, 1, 3]])
def test_a_median_over_drawn_groups_is_that_of_the_drawn_values(sizes: list[int]) -> None:
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    ranks = rng.integers(1, 6, len(groups)).astype(np.float64)
    found = bootstrap_groups([[(ranks, groups)]], summary="median", samples=300, seed=5)
    draw = np.random.default_rng(5).integers(len(sizes), size=(300, len(sizes)))
    medians = [np.median(np.concatenate([ranks[groups == g] for g in row])) for row in draw]
    assert found.value == np.median(ranks)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(medians, [0.025, 0.975])))


def test_ranking_ten_places_is_enough_for_rsum() -> None:
    rng = np.random.default_rng(2)
    of = relation(rng, 40, 6)
    images, texts = corners(rng, 40, 4), corners(rng, len(of), 4)
    quick = both_ways(images, texts, of, beside=(), samples=20)
    assert quick.rsum == both_ways(images, texts, of, samples=20).rsum
    assert [row.metric.label for row in quick.to_texts.rows] == list(R)


def test_a_correction_sees_the_gallery_and_changes_the_order() -> None:
    rng = np.random.default_rng(2)
    of = np.repeat(np.arange(12), 2)
    centres = rng.normal(size=(12, 6))
    images, texts = unit(centres), unit(centres[of])
    seen: list[int] = []

    def upside_down(gallery: Gallery):  # type: ignore[no-untyped-def]
        seen.append(len(gallery.keys))
        return lambda scores: -scores

    found = both_ways(images, texts, of, correct=(upside_down, None), samples=10)
    assert seen == [24]
    assert found.to_texts["R@1"].interval.value == 0
    assert found.to_images["R@1"].interval.value == 1


def test_what_is_no_relation_is_refused() -> None:
    images, texts = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    for of in (np.array([0, 1]), np.array([0, 1, 1]), np.array([0, 1, 3]), np.array([-1, 0, 1])):
        with pytest.raises(MeasureError) as caught:
            both_ways(images, texts, of)
        assert caught.value.code == "measure/relation"
    for folds in (0, 4):
        with pytest.raises(MeasureError) as caught:
            both_ways(images, texts, np.arange(3), folds=folds)
        assert caught.value.code == "measure/folds"
    with pytest.raises(MeasureError):
        bootstrap_groups([[(np.ones(2), np.arange(2))]], samples=0)
