"""Whether two pictures are one, seen from their signatures: laid over each other as well as they go, then compared.

A copy may be resized, recompressed, or cut a little on its sides. So the first signature is moved and stretched, each
axis on its own, until it lies over the second as well as it can: Gauss-Newton steps on the squared difference of grey
levels, gain and offset free (Lucas and Kanade, IJCAI 1981; gain and offset as in Baker and Matthews, IJCV 2004), from
8 x 8 to 32 x 32. Then what counts is not the light and shade that two beaches share but the detail: the correlation of
what is left when the blurred picture is taken away, where both overlap.

Pairs that are far from each other fall out at the coarse levels, so that most pairs cost little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearsight.search.duplicates.signatures import SIDE, Signatures

Floats = NDArray[np.float32]

SAME = 0.78
"""Correlation of detail from which two pictures are one. On photographs, 49 of 50 copies that are cut by a tenth have
more than 0.86; shots of one series have that too, and quarters of different skies up to 0.76."""
_LEVELS = ((8, 0, 0.3), (8, 6, 0.65), (16, 6, 0.8), (SIDE, 4, 0.85))
"""Side, steps, and the correlation of grey levels below which a pair falls out. Of photographs cut by a tenth at a
corner, 99 of 100 have 0.41, 0.80, 0.91 and 0.97 there."""
_MOST_STEP, _SCALES, _MOST_SHIFT = 0.15, (0.7, 1.4), 0.35
_OVERLAP = 0.6
"""Of either picture's area."""
_TINT = 16.0
"""Levels, root mean square: one shirt in two colours is two pictures."""
_NOISE = 0.15
"""Levels squared: what recompression does to a picture without detail is not a likeness."""
_DAMPING = 0.01
_FINE: tuple[float, ...] = (0.25, 0.5, 0.25)
_COARSE: tuple[float, ...] = (0.0625, 0.25, 0.375, 0.25, 0.0625)


@dataclass(frozen=True, slots=True)
class _Laid:
    """First pictures as they lie over the second ones: (p, n, n) levels, and True where there are any."""

    levels: Floats
    there: NDArray[np.bool_]


def likeness(first: Signatures, second: Signatures) -> Floats:
    """Of p pairs, (p,): the correlation of their detail; 0 where size, colour or a coarser look rule it out."""
    found = np.zeros(len(first), dtype=np.float32)
    left = np.arange(len(first))
    moves = np.tile(np.array([1, 0, 1, 0], dtype=np.float32), (len(first), 1))
    for side, steps, least in _LEVELS:
        one, other = (_shrunk(picture.luma[left], side) for picture in (first, second))
        moves, score = _align(one, other, moves, steps)
        far = score < least
        left, moves, one, other = left[~far], moves[~far], one[~far], other[~far]
    laid = _lay(one, moves, SIDE)
    share = laid.there.mean(axis=(1, 2))
    overlap = np.minimum(share, share * moves[:, 0] * moves[:, 2])
    tint = _tint(first.chroma[left].astype(np.float32), second.chroma[left].astype(np.float32), moves)
    detail = [levels - _smooth(levels, _COARSE) for levels in (laid.levels, other)]
    alike = _correlation(detail[0], detail[1], laid.there)
    found[left] = np.where((overlap >= _OVERLAP) & (tint <= _TINT), alike, 0.0)
    return found


def _align(first: Floats, second: Floats, moves: Floats, steps: int) -> tuple[Floats, Floats]:
    """The best moves (p, 4) that so many steps find, never worse than those given, and their correlations (p,)."""
    laid = _lay(first, moves, second.shape[1])
    best, score = moves, _correlation(laid.levels, second, laid.there)
    for _ in range(steps):
        moves = _step(laid, second, moves)
        laid = _lay(first, moves, second.shape[1])
        now = _correlation(laid.levels, second, laid.there)
        best, score = np.where((now > score)[:, None], moves, best), np.maximum(now, score)
    return best, score


def _step(laid: _Laid, second: Floats, moves: Floats) -> Floats:
    pairs, side = len(second), second.shape[1]
    grid = _grid(side)
    down, right = (np.gradient(laid.levels, axis=axis) * np.float32(side / 2) for axis in (1, 2))
    right, down = right / moves[:, 0, None, None], down / moves[:, 2, None, None]
    slopes = [right * grid, right, down * grid[:, None], down, laid.levels, np.ones_like(right)]
    steep = np.stack(slopes, axis=-1).reshape(pairs, side * side, 6) * laid.there.reshape(pairs, side * side, 1)
    normal = steep.transpose(0, 2, 1) @ steep + np.eye(6, dtype=np.float32) * (_DAMPING * side * side)
    missing = (second - laid.levels).reshape(pairs, side * side, 1)
    change = np.linalg.solve(normal, steep.transpose(0, 2, 1) @ missing)[..., 0]
    moved = moves + np.clip(change[:, :4], -_MOST_STEP, _MOST_STEP)
    moved[:, ::2] = np.clip(moved[:, ::2], *_SCALES)
    moved[:, 1::2] = np.clip(moved[:, 1::2], -_MOST_SHIFT, _MOST_SHIFT)
    return np.asarray(moved, dtype=np.float32)


def _lay(first: Floats, moves: Floats, side: int) -> _Laid:
    """First pictures (p, n, n), moved by (scale, shift) across and down, in halves of a picture from its middle."""
    grid = _grid(side)
    across, down = moves[:, 0:1] * grid + moves[:, 1:2], moves[:, 2:3] * grid + moves[:, 3:4]
    rows, columns = _between(down, first.shape[1]), _between(across, first.shape[2])
    levels = np.asarray(rows @ first @ columns.transpose(0, 2, 1), dtype=np.float32)
    return _Laid(levels, (np.abs(down) <= 1)[:, :, None] & (np.abs(across) <= 1)[:, None, :])


def _between(places: Floats, count: int) -> Floats:
    """Weights (p, m, count) that read `count` pixels between them at `places` (p, m)."""
    pixels = np.clip((places + 1) * np.float32(count / 2) - np.float32(0.5), 0, count - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(pixels[..., None] - np.arange(count, dtype=np.float32))), np.float32)


def _grid(side: int) -> Floats:
    """The middles of pixels, from -1 to 1."""
    return (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / side) - np.float32(1)


def _correlation(one: Floats, other: Floats, there: NDArray[np.bool_]) -> Floats:
    """Of p pairs of pictures, (p,), where both are; noise alone has none."""
    count = np.maximum(1, there.sum(axis=(1, 2)))
    parts = []
    for levels in (one, other):
        middle = np.where(there, levels, 0).sum(axis=(1, 2)) / count
        parts.append(np.where(there, levels - middle[:, None, None], 0))
    spread = [np.einsum("pij,pij->p", part, part) / count + _NOISE for part in parts]
    shared = np.einsum("pij,pij->p", parts[0], parts[1]) / count
    return np.asarray(shared / np.sqrt(spread[0] * spread[1]), dtype=np.float32)


def _tint(one: Floats, other: Floats, moves: Floats) -> Floats:
    """Difference of colour (p, n, n, 2) in levels, root mean square over the places that both have: (p,)."""
    squares = np.zeros(len(one), dtype=np.float32)
    for channel in range(2):
        laid = _lay(one[..., channel], moves, other.shape[1])
        gap = np.where(laid.there, laid.levels - other[..., channel], 0)
        squares += np.einsum("pij,pij->p", gap, gap) / np.maximum(1, laid.there.sum(axis=(1, 2)))
    return np.asarray(np.sqrt(squares), dtype=np.float32)


def _shrunk(luma: NDArray[np.uint8], side: int) -> Floats:
    """(p, n, n) -> (p, side, side), each the mean of a square; at full size a little blurred instead, as what is read
    between pixels is."""
    times = SIDE // side
    if times == 1:
        return _smooth(luma.astype(np.float32), _FINE)
    return np.asarray(luma.reshape(len(luma), side, times, side, times).mean(axis=(2, 4), dtype=np.float32))


def _smooth(levels: Floats, kernel: tuple[float, ...]) -> Floats:
    reach = len(kernel) // 2
    for axis in (1, 2):
        ends = [(reach, reach) if axis == at else (0, 0) for at in range(3)]
        padded, size = np.pad(levels, ends, mode="edge"), levels.shape[axis]
        shifted = (np.take(padded, range(at, at + size), axis=axis) for at in range(len(kernel)))
        levels = np.sum([np.float32(weight) * part for weight, part in zip(kernel, shifted, strict=True)], axis=0)
    return levels
