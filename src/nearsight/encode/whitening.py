"""Whitening: a projection fitted on vectors, without gradients, after which no few directions rule all distances.

Fit it on pictures of the training split, or on a collection that is not searched: whitening that saw the pictures it
is measured on tells of them what it should not know. `pca` needs no labels; `learned` makes pictures of one label
alike, and is the one to use where there are labels: `pca` raises directions in which they differ, too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors, unit
from nearsight.core.errors import InputError
from nearsight.encode.heads import HEADS
from nearsight.encode.heads.whiten import LEAST
from nearsight.encode.network import TorchTower, compose

SHRINK = 0.1


class Whitening(NamedTuple):
    """Unit vectors v (n, d) -> (v - mean) projection^T (n, dim), largest variance first."""

    projection: NDArray[np.float64]
    """(dim, d)"""
    mean: NDArray[np.float64]
    """(d,)"""
    power: float = 1.0
    """Of every number, before unit length."""

    def __call__(self, vectors: NDArray[np.floating]) -> Vectors:
        """(n, d) of any length -> (n, dim) unit vectors. Raises InputError (code ``vectors``)."""
        return unit(self.centred(vectors) @ self.projection.T)

    def centred(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n, d) of any length -> (n, d): what is projected."""
        return unit(_raised(vectors, self.power)) - self.mean

    @property
    def address(self) -> str:
        """Of the head that does the same."""
        power = f"&power={self.power:g}" if self.power != 1 else ""
        return f"whiten?dim={len(self.projection)}{power}"

    def head(self) -> Any:
        """The head ``whiten`` that does the same inside a network. Raises MissingExtra without torch."""
        module = HEADS.build(self.address, width=len(self.mean), seed=0)
        module.put(self.projection, self.mean)
        return module

    def on(self, tower: TorchTower, *, keep_weights: bool = True) -> TorchTower:
        """A tower whose vectors are those of `tower`, whitened: the vectors that this was fitted on must be its own."""
        return compose(tower, self.head(), self.address, keep_weights=keep_weights)


def pca(
    vectors: NDArray[np.floating], dim: int, *, shrink: float = SHRINK, strength: float = 1.0, power: float = 1.0
) -> Whitening:
    """Decorrelate and scale to variance 1: (n, d) -> the `dim` directions of largest variance.

    `strength`, 0 to 1: variances are divided by this power of themselves; 0 leaves them as they are, so that small
    directions stay small. `power`: of every number of a vector, before unit length (`nearsight.encode.heads.whiten`).

    Jegou and Chum, "Negative Evidences and Co-occurences in Image Retrieval: The Benefit of PCA and Whitening" (ECCV
    2012). `shrink`, 0 to 1, moves the covariance towards that of a sphere before it is inverted (Ledoit and Wolf,
    2004): with few vectors the smallest variances are chance, and dividing by them makes noise the largest thing there
    is. Raises InputError: code ``whiten/few``, ``whiten/dim``, ``whiten/shrink``, ``vectors``.
    """
    rows, mean = _centred(_raised(vectors, power), dim, shrink)
    values, axes = _spectrum(_shrunk(rows.T @ rows / len(rows), shrink))
    _require_rank(values[:dim], len(rows), shrink)
    return Whitening((axes[:, :dim] / values[:dim] ** (strength / 2)).T, mean, power)


def learned(vectors: NDArray[np.floating], labels: NDArray[Any], dim: int, *, shrink: float = SHRINK) -> Whitening:
    """Make differences within a label small in every direction alike, then keep what varies most between pictures.

    Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation" (TPAMI 2019), after
    Mikolajczyk and Matas (ICCV 2007): the covariance of the differences of all matching pairs is whitened, and PCA of
    what comes out chooses `dim` directions. Labels (n,) of any kind. `shrink` and errors as `pca`, and code
    ``whiten/labels`` for one label only, or labels that do not fit.
    """
    rows, mean = _centred(vectors, dim, shrink)
    _, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(labels) != len(rows) or len(counts) < 2:
        raise InputError(
            f"{len(rows)} vectors with {len(labels)} labels, {len(counts)} of them different: learned whitening "
            "tells what differs within a label from what differs between labels",
            code="whiten/labels",
            hint="a label for each vector, two or more in all; without labels: pca",
        )
    pairs = int((counts * (counts - 1)).sum())
    if not pairs:
        raise InputError("no two vectors have one label", code="whiten/few", hint="pca needs no labels")
    sums = np.zeros((len(counts), rows.shape[1]))
    np.add.at(sums, which, rows)
    apart = rows - (sums / counts[:, None])[which]
    # over the ordered pairs of a label with n members, sum (a - b)(a - b)^T = 2 n sum (a - mean)(a - mean)^T
    within = _shrunk(2 * (apart * counts[which, None]).T @ apart / pairs, shrink)
    values, axes = _spectrum(within)
    _require_rank(values, pairs, shrink)
    whiten = (axes / np.sqrt(values)) @ axes.T
    _, chosen = _spectrum(whiten @ (rows.T @ rows / len(rows)) @ whiten)
    return Whitening(chosen[:, :dim].T @ whiten, mean)


def _raised(vectors: NDArray[np.floating], power: float) -> NDArray[np.floating]:
    return vectors if power == 1 else np.maximum(vectors, LEAST) ** power


def _centred(vectors: NDArray[np.floating], dim: int, shrink: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit rows without their mean, and the mean."""
    if not 0 <= shrink <= 1:
        raise InputError(f"shrink is 0 to 1, not {shrink}", code="whiten/shrink")
    rows = unit(vectors).astype(np.float64)
    if len(rows) < 2:
        raise InputError(f"{len(rows)} vectors have no variance to whiten", code="whiten/few", hint="give more vectors")
    if not 1 <= dim <= rows.shape[1]:
        raise InputError(f"vectors of {rows.shape[1]} dimensions cannot be whitened to {dim}", code="whiten/dim")
    mean = rows.mean(axis=0)
    return rows - mean, mean


def _shrunk(covariance: NDArray[np.float64], shrink: float) -> NDArray[np.float64]:
    sphere = np.trace(covariance) / len(covariance)
    return np.asarray((1 - shrink) * covariance + shrink * sphere * np.eye(len(covariance)))


def _spectrum(covariance: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues, largest first, and eigenvectors as columns, the largest entry of each positive: signs are free, and
    the same vectors must give the same projection everywhere."""
    values, axes = np.linalg.eigh(covariance)
    values, axes = values[::-1], axes[:, ::-1]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    return values, axes * np.where(largest < 0, -1.0, 1.0)


def _require_rank(values: NDArray[np.float64], count: int, shrink: float) -> None:
    if not values.min() > 1e-10 * max(float(values.max()), 1e-30):
        raise InputError(
            f"{count} vectors or pairs do not vary in {len(values)} directions",
            code="whiten/few",
            hint=f"give more, ask for fewer dimensions, or let shrink (now {shrink}) be above 0",
        )
