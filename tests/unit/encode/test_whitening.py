"""Whitening: what it says of covariances, by loops over pairs; few vectors; and as a head on a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.arrays import unit
from nearsight.core.errors import InputError
from nearsight.encode import Encoder
from nearsight.encode.whitening import learned, pca

WIDTH, CLASSES = 6, 4


def drawn(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of labels of unequal number: one direction varies much within a label and means nothing."""
    draw = np.random.default_rng(seed)
    labels = draw.choice(CLASSES, count, p=[0.5, 0.3, 0.15, 0.05])
    centres = np.random.default_rng(99).normal(size=(CLASSES, WIDTH)) * 0.5
    noise = draw.normal(size=(count, WIDTH)) * np.array([3.0, 1, 0.3, 0.3, 0.2, 0.1])
    return centres[labels] + noise + 0.5, labels


def covariance_of_pairs(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean of (a - b)(a - b)^T over pairs with one label, by a loop."""
    total, pairs = np.zeros((rows.shape[1],) * 2), 0
    for i in range(len(rows)):
        for j in range(i):
            if labels[i] == labels[j]:
                total += np.outer(rows[i] - rows[j], rows[i] - rows[j])
                pairs += 1
    return total / pairs


def test_pca_leaves_variance_one_in_every_direction() -> None:
    vectors, _ = drawn()
    found = pca(vectors, 4, shrink=0)
    projected = (unit(vectors) - found.mean) @ found.projection.T
    assert np.allclose(projected.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(projected.T @ projected / len(projected), np.eye(4), atol=1e-6)
    widest = np.linalg.svd(unit(vectors) - unit(vectors).mean(axis=0))[2][0]
    kept = found.projection[0] / np.linalg.norm(found.projection[0])
    assert abs(widest @ kept) == pytest.approx(1, abs=1e-5), "the largest variance comes first"


def test_of_less_strength_directions_keep_some_of_their_variance() -> None:
    vectors, _ = drawn()
    whole = np.diag(np.cov((unit(vectors) @ pca(vectors, 4, shrink=0, strength=0).projection.T).T, bias=True))
    for strength in (0.25, 1.0):
        found = pca(vectors, 4, shrink=0, strength=strength)
        spread = np.diag(np.cov((unit(vectors) @ found.projection.T).T, bias=True))
        assert np.allclose(spread, whole ** (1 - strength), rtol=1e-4)


def test_a_power_comes_before_unit_length() -> None:
    vectors = np.abs(drawn()[0]) * (drawn()[0] > -1)
    rooted = np.maximum(vectors, 1e-6) ** 0.5
    found, other = pca(vectors, 3, power=0.5), pca(rooted, 3)
    assert np.allclose(found(vectors), other(rooted), atol=1e-6)
    assert found.address == "whiten?dim=3&power=0.5"


@pytest.mark.parametrize("dim", [WIDTH, 3])
def test_learned_makes_the_differences_of_matching_pairs_alike(dim: int) -> None:
    vectors, labels = drawn()
    found = learned(vectors, labels, dim, shrink=0)
    projected = (unit(vectors) - found.mean) @ found.projection.T
    assert np.allclose(covariance_of_pairs(projected, labels), np.eye(dim), atol=1e-6)
    spread = projected.T @ projected / len(projected)
    assert np.allclose(spread, np.diag(np.diag(spread)), atol=1e-6)
    assert (np.diff(np.diag(spread)) <= 1e-9).all(), "what varies most between pictures comes first"


def test_shrinking_goes_towards_a_sphere() -> None:
    vectors, labels = drawn()
    true = covariance_of_pairs(unit(vectors).astype(float), labels)
    for shrink in (0.3, 1.0):
        found = learned(vectors, labels, WIDTH, shrink=shrink).projection
        mixed = (1 - shrink) * true + shrink * np.trace(true) / WIDTH * np.eye(WIDTH)
        assert np.allclose(found @ mixed @ found.T, np.eye(WIDTH), atol=1e-5)


def test_a_direction_without_meaning_no_longer_rules() -> None:
    """Fitted on some, measured on others: the share of the right label among the nearest 40."""
    fitted, others = drawn(300, 0), drawn(200, 1)
    right = {}
    for name, map_ in {"as they are": unit, "learned": learned(*fitted, CLASSES - 1)}.items():
        vectors = map_(others[0])
        scores = vectors @ vectors.T
        np.fill_diagonal(scores, -1)
        nearest = np.argsort(-scores, axis=1)[:, :40]
        right[name] = float((others[1][nearest] == others[1][:, None]).mean())
    assert right["learned"] > right["as they are"] + 0.1, right


def test_few_vectors_are_refused_unless_shrunk() -> None:
    vectors, labels = drawn(5)
    labels = np.array([0, 0, 1, 1, 1])
    for fit in (lambda shrink: pca(vectors, WIDTH, shrink=shrink),
                lambda shrink: learned(vectors, labels, 2, shrink=shrink)):  # fmt: skip
        with pytest.raises(InputError) as caught:
            fit(0.0)
        assert caught.value.code == "whiten/few"
        projection = fit(0.1).projection
        assert np.isfinite(projection).all()
        assert np.abs(projection).max() < 100


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"vectors": np.ones((1, WIDTH)), "labels": [0]}, "whiten/few"), ({"dim": 0}, "whiten/dim"),
        ({"dim": WIDTH + 1}, "whiten/dim"), ({"shrink": -0.1}, "whiten/shrink"), ({"shrink": 1.5}, "whiten/shrink"),
        ({"vectors": np.zeros((300, WIDTH))}, "vectors"), ({"vectors": np.full((300, WIDTH), np.nan)}, "vectors"),
        ({"labels": np.zeros(300)}, "whiten/labels"), ({"labels": np.arange(7)}, "whiten/labels"),
        ({"labels": np.arange(300)}, "whiten/few"), ({"vectors": np.ones((300, WIDTH)), "shrink": 0.5}, "whiten/few"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_whitened_is_refused(change: dict, code: str) -> None:
    vectors, labels = drawn()
    given = {"vectors": vectors, "labels": labels, "dim": 3, "shrink": 0.1} | change
    with pytest.raises(InputError) as caught:
        learned(given["vectors"], np.asarray(given["labels"]), given["dim"], shrink=given["shrink"])
    assert caught.value.code == code
    if "labels" not in change or len(given["vectors"]) < 2:
        with pytest.raises(InputError) as caught:
            pca(given["vectors"], given["dim"], shrink=given["shrink"])
        assert caught.value.code == code


def test_labels_may_be_words_and_order_means_nothing() -> None:
    vectors, labels = drawn()
    order = np.random.default_rng(1).permutation(len(labels))
    one = learned(vectors, labels, 3)
    two = learned(vectors[order], np.array(["a", "bb", "c", "d"])[labels[order]], 3)
    assert np.allclose(one.projection, two.projection, atol=1e-6)


@pytest.mark.torch
def test_as_a_head_it_is_the_same_whitening(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from nearsight.encode.trainable import trainable

    draw = np.random.default_rng(0)
    pictures = [Image.fromarray(draw.integers(0, 256, (9, 8, 3), dtype=np.uint8)).resize((40, 40)) for _ in range(20)]
    tower = trainable("small_cnn/modern?size=32&dim=12&pool=2", "linear?dim=6").finish()
    vectors = Encoder(tower).encode_images(pictures)
    found = learned(vectors, np.arange(20) % 3, 4)
    encoder = Encoder(found.on(tower))
    assert encoder.spec.dim == 4
    assert encoder.spec.identity["heads"] == ["linear?dim=6", "whiten?dim=4"]
    assert np.einsum("nd,nd->n", encoder.encode_images(pictures), found(vectors)).min() > 0.9999
    encoder.save(tmp_path / "e")
    loaded = Encoder.load(tmp_path / "e", expect=1)
    assert np.einsum("nd,nd->n", loaded.encode_images(pictures), found(vectors)).min() > 0.999
    again = trainable(str(tmp_path / "e"))
    assert torch.equal(again.module.head.mean, encoder.tower.module.head.mean)
    assert trainable(str(tmp_path / "e"), "linear?dim=6").dim == 6, "training goes on below it"
