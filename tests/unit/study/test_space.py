from __future__ import annotations

import importlib.util
import io
import itertools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from nearsight.core.arrays import unit
from nearsight.core.errors import InputError, MissingExtra
from nearsight.core.items import Item
from nearsight.study.pages import space
from nearsight.study.pages.space import COLOURS, map_picture, picture_maps, project
from nearsight.study.pictures import Pictures

DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]


def blobs(n: int = 30, d: int = 16) -> np.ndarray:
    rng = np.random.default_rng(1)
    return unit(rng.normal(size=(3, d)).repeat(n // 3, axis=0) * 4 + rng.normal(size=(n, d)))


def test_pca_is_the_directions_of_largest_spread() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(200, 2)) * (5, 1)
    basis = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    points = project(flat @ basis[:2] + 7)
    np.testing.assert_allclose(np.abs(np.corrcoef(points.T, flat.T)[:2, 2:]), np.eye(2), atol=0.1)
    assert points.min(axis=0).tolist() == [0, 0]
    assert points.max(axis=0).tolist() == [1, 1]


def test_one_picture_has_one_place_on_every_run() -> None:
    vectors = blobs()
    np.testing.assert_array_equal(project(vectors), project(vectors))
    np.testing.assert_allclose(project(vectors), project(vectors.astype(np.float64)), atol=1e-5)
    for seed in range(6):  # nor is a map mirrored because its pictures come in another order
        turn = np.random.default_rng(seed).permutation(len(vectors))
        np.testing.assert_allclose(project(vectors[turn]), project(vectors)[turn], atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("method", ["pca", "tsne", "umap", "best"])
def test_few_vectors(n: int, method: Any) -> None:
    points = project(blobs()[:n], method)
    assert points.shape == (n, 2)
    assert np.isfinite(points).all()


def test_a_collapsed_network_is_one_point() -> None:
    assert (project(np.repeat(blobs()[:1], 9, axis=0)) == 0.5).all()
    assert project(np.arange(5, dtype=np.float64)[:, None])[:, 1].tolist() == [0.5] * 5  # of one dimension


@pytest.mark.parametrize("method", ["tsne", "best"])
def test_tsne_keeps_neighbours(method: Any) -> None:
    pytest.importorskip("sklearn")
    points = project(blobs(), method, seed=3)
    assert points.shape == (30, 2)
    assert points.min() >= 0
    assert points.max() <= 1
    apart = np.hypot(*(points[:, None] - points).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    assert ((apart.argmin(axis=1) // 10) == np.arange(30) // 10).all()
    assert project(np.repeat(blobs()[:1], 9, axis=0), method).shape == (9, 2)


def test_umap_is_asked_for_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class UMAP:
        def __init__(self, **given: Any) -> None:
            asked.update(given)

        def fit_transform(self, vectors: np.ndarray) -> np.ndarray:
            return vectors[:, :2].astype(np.float32)

    module = ModuleType("umap")
    module.UMAP = UMAP  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", module)
    assert project(blobs()[:8], "umap", seed=5).shape == (8, 2)
    assert (asked["n_neighbors"], asked["random_state"]) == (7, 5)


@pytest.mark.parametrize(("method", "package"), [("tsne", "sklearn"), ("umap", "umap")])
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, method: Any, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.manifold", None)
    with pytest.raises(MissingExtra) as caught:
        project(blobs(), method)
    assert "pip install" in caught.value.hint


def test_best_without_scikit_learn_is_pca(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    np.testing.assert_array_equal(project(blobs(), "best"), project(blobs(), "pca"))


def test_what_cannot_be_mapped_is_refused() -> None:
    with pytest.raises(InputError):
        project(np.full((9, 2), np.nan))
    with pytest.raises(InputError):
        project(blobs(), "isomap")  # type: ignore[arg-type]
    with pytest.raises(InputError):
        map_picture(np.zeros((2, 2)), [None], ["a", "b"])


def framed(picture: Image.Image, side: int) -> dict[tuple[int, int], tuple[int, ...]]:
    """Colour of the frame of each cell that is taken."""
    pixels, cells = np.asarray(picture), side // space._CELL
    margin = (side - cells * space._CELL) // 2
    found = {}
    for column, line in itertools.product(range(cells), repeat=2):
        colour = tuple(pixels[margin + line * space._CELL + 1, margin + column * space._CELL + 1].tolist())
        if colour != space._PAPER:
            found[column, line] = colour
    return found


def test_none_hides_another_and_each_stays_near_its_point() -> None:
    n, side = 40, 10 * space._CELL
    points = np.vstack([np.full((n, 2), 0.5), [[0.0, 0.0]], [[1.0, 1.0]]])
    found = framed(map_picture(points, [None] * (n + 2), ["a"] * n + ["b", "c"], side), side)
    assert len(found) == n + 2
    assert found[0, 0] == ImageColor.getrgb(COLOURS[1])
    assert found[9, 9] == ImageColor.getrgb(COLOURS[2])
    middle = [cell for cell, colour in found.items() if colour == ImageColor.getrgb(COLOURS[0])]
    assert len(middle) == n
    assert max(abs(x - 4.5) for cell in middle for x in cell) <= 3.5  # a heap as round as the grid allows


def test_more_pictures_than_cells_and_more_classes_than_colours() -> None:
    side, labels = 6 * space._CELL, [f"c{n:02}" for n in range(40)]
    points = np.random.default_rng(0).random((40, 2))
    picture = map_picture(points, [None] * 40, labels, side)
    assert len(framed(picture, side)) == 18  # half of the cells
    assert picture.width == side
    assert picture.height > side


def test_no_label_is_grey_and_pictures_are_cut_to_squares() -> None:
    side = 3 * space._CELL
    wide = Image.new("RGB", (300, 100), (0, 0, 255))
    wide.paste((255, 0, 0), (100, 0, 200, 100))
    picture = map_picture(np.array([[0.5, 0.5]]), [wide], [None], side)
    assert framed(picture, side) == {(1, 1): space._FAINT}
    inner = picture.crop([side // 2 - 8, side // 2 - 8, side // 2 + 8, side // 2 + 8])
    assert set(inner.get_flattened_data()) == {(255, 0, 0)}
    assert map_picture(np.empty((0, 2)), [], [], side).width == side


def lab(colours: tuple[str, ...], seen: Any) -> np.ndarray:
    """CIE L*a*b* of colours as they are seen through a matrix of linear RGB."""
    value = np.array([ImageColor.getrgb(colour) for colour in colours]) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(seen).T, 0, 1)
    xyz = linear @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    f = np.cbrt(np.maximum(xyz / [0.9505, 1, 1.089], 1e-9))
    f = np.where(f > 6 / 29, f, f**3 * 841 / 108 + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("seen", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["all", "no green", "no red"])
def test_colours_stay_apart(seen: Any) -> None:
    """Distances in L*a*b*, colour blindness after Machado et al. (2009)."""
    assert len(COLOURS) == 12
    found = lab(COLOURS, seen)
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(found, 2)) > 15


def test_the_same_pictures_on_both_maps(tmp_path: Path) -> None:
    items, read = [], []
    for n in range(12):
        Image.new("RGB", (40, 30), (20 * n, 0, 0)).save(tmp_path / f"{n}.png")
        items.append(Item(n, tmp_path / f"{n}.png", "ab"[n % 2]))
    (tmp_path / "3.png").unlink()

    def open_(path: Path) -> bytes:
        read.append(path)
        return path.read_bytes()

    def decode(data: bytes, side: int) -> Image.Image:
        return Image.open(io.BytesIO(data)).convert("RGB")

    vectors = blobs(12)
    one, two = picture_maps(
        items, vectors, vectors[:, :4], Pictures(open_, decode), method="pca", count=8, side=300, seed=1
    )
    assert len(read) == 8  # read once for both, and only those that are shown
    for picture in (one, two):
        colours = sorted(framed(picture, 300).values())
        assert colours == sorted(ImageColor.getrgb(COLOURS[n]) for n in (0, 1) for _ in range(4))
    assert one.tobytes() != two.tobytes()
