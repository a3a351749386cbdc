from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from nearsight.core.arrays import unit
from nearsight.core.errors import InputError, MeasureError
from nearsight.study.pages import similarities as module
from nearsight.study.pages.sampling import evenly
from nearsight.study.pages.similarities import BINS, Histogram, similarities, similarity_svg


def clouds(classes: int, each: int, *, apart: float = 2.0, seed: int = 0) -> tuple[np.ndarray, list[str | None]]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, 8)) * apart
    vectors = np.repeat(centres, each, axis=0) + rng.normal(size=(classes * each, 8))
    return unit(vectors), [f"c{n // each}" for n in range(classes * each)]


def slowly(vectors: np.ndarray, labels: list[str | None]) -> tuple[list[float], list[float]]:
    """Cosines of pairs of one class, and of two, pair by pair."""
    same, other = [], []
    for a, b in itertools.combinations(range(len(vectors)), 2):
        if labels[a] is not None and labels[b] is not None:
            (same if labels[a] == labels[b] else other).append(float(vectors[a] @ vectors[b]))
    return same, other


@pytest.mark.parametrize("block", [1, 97, 1 << 22])
def test_as_counted_pair_by_pair(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    vectors, labels = clouds(4, 9)
    labels[5] = None
    same, other = slowly(vectors, labels)
    found = similarities(vectors, labels)
    assert (found.positives, found.negatives) == (len(same), len(other))
    assert (found.pictures, found.of, found.sampled) == (35, 35, False)
    for shares, cosines in ((found.positive, same), (found.negative, other)):
        counts, _ = np.histogram(cosines, found.edges)
        np.testing.assert_allclose(shares, counts / len(cosines), atol=2 / len(cosines))
        assert shares.sum() == pytest.approx(1)
    pairs = [(p > n) + (p == n) / 2 for p in same for n in other]
    assert found.auc == pytest.approx(np.mean(pairs), abs=1e-3)


def test_what_the_overlap_says() -> None:
    vectors, labels = clouds(3, 10, apart=50)
    assert similarities(vectors, labels).auc == pytest.approx(1, abs=1e-6)
    rng = np.random.default_rng(3)
    mixed = [labels[at] for at in rng.permutation(len(labels))]
    assert similarities(vectors, mixed).auc == pytest.approx(0.5, abs=0.1)
    point = np.repeat(unit(np.ones((1, 4))), 6, axis=0)
    assert similarities(point, list("aabbcc")).auc == 0.5  # a collapsed network: all ties


def test_a_sample_is_said_and_keeps_pairs_of_small_classes() -> None:
    vectors, labels = clouds(60, 5)
    found = similarities(vectors, labels, pictures=80)
    assert (found.pictures, found.of, found.sampled) == (80, 300, True)
    assert found.positives >= 80 / 4 * 6  # four of a class together, not one of each
    assert found.auc == pytest.approx(similarities(vectors, labels).auc, abs=0.05)
    assert similarities(vectors, labels, pictures=80).auc == found.auc


def test_a_sample_is_even_over_classes() -> None:
    labels = ["many"] * 900 + ["few"] * 5 + ["some"] * 95
    rows = evenly(labels, 100)
    counts = {name: sum(labels[row] == name for row in rows) for name in set(labels)}
    assert counts["few"] == 5
    assert abs(counts["many"] - counts["some"]) <= 1
    assert len(set(rows.tolist())) == 100
    assert evenly(labels, 5000).tolist() == list(range(1000))
    assert sorted(row // 50 for row in evenly([None] * 50 + [""] * 50, 4)) == [0, 0, 1, 1]


def test_kinds_of_pairs_that_do_not_exist() -> None:
    vectors, labels = clouds(5, 1)
    alone = similarities(vectors, labels)
    assert alone.positives == 0
    assert math.isnan(alone.auc)
    assert not alone.positive.any()
    nothing = similarities(vectors, [None] * 5)
    assert (nothing.pictures, nothing.positives, nothing.negatives) == (0, 0, 0)
    for odd in (alone, nothing):
        ElementTree.fromstring(similarity_svg(odd, "odd"))


def test_what_cannot_be_counted_is_refused() -> None:
    vectors, labels = clouds(2, 3)
    with pytest.raises(MeasureError):
        similarities(vectors, labels[:-1])
    with pytest.raises(InputError):
        similarities(vectors * 2, labels)


def one_bar(at: int, auc: float = 0.75) -> Histogram:
    bars = np.zeros(BINS)
    bars[at] = 1.0
    return Histogram(bars, np.roll(bars, -1), auc, 5, 5, 5, 5)


def test_the_drawing_says_what_it_shows_on_shared_axes() -> None:
    low, high = one_bar(60), one_bar(90)
    drawing = ElementTree.fromstring(similarity_svg(low, "before <training>", beside=[high]))
    assert (drawing.findtext("title") or "").startswith("before <training>: ")
    assert "0.750" in (drawing.findtext("title") or "")
    areas = [path.get("d") or "" for path in drawing.iter("path")]
    assert len(areas) == 2
    assert all(area.count("V") == 90 - 59 + 2 for area in areas)  # as wide as both together
    alone = ElementTree.fromstring(similarity_svg(low, "alone"))
    assert all((path.get("d") or "").count("V") == 3 for path in alone.iter("path"))
