"""A map of an embedding: vectors laid out on a plane, and the pictures themselves put there, framed by class.

A plane keeps little of a space of hundreds of dimensions. PCA keeps the two directions of largest spread (Pearson,
1901); t-SNE (van der Maaten and Hinton, JMLR 2008) and UMAP (McInnes et al., 2018) keep neighbours and give up
distances: there, how far apart two groups lie means nothing. None of them is a measure; the report's measures are.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nearsight.core.arrays import Vectors
from nearsight.core.errors import InputError, MissingExtra
from nearsight.core.items import Item
from nearsight.measure.judged import Floats
from nearsight.study.pages.sampling import evenly
from nearsight.study.pages.sheet import fit, thumbnail
from nearsight.study.pictures import Pictures

Method: TypeAlias = Literal["pca", "tsne", "umap", "best"]

COUNT = 600
"""Pictures on a map: more would hide each other."""
SIDE = 1120
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#1C1E22",
    "#1A1AE8", "#C0E890", "#603000", "#000060",
)  # fmt: skip
"""Frames of classes in the order of their names: Okabe and Ito's eight, and four that stay apart from them also for
people who do not tell red from green. More classes begin again."""

_CELL, _FRAME, _GAP, _NAMED = 30, 3, 18, 24
_PAPER, _INK, _FAINT = (250, 250, 248), (28, 30, 34), (112, 116, 124)
_NEIGHBOURS = 30  # t-SNE's perplexity
_DIMENSIONS = 50  # kept by PCA before t-SNE and UMAP, as van der Maaten does


def project(vectors: NDArray[np.floating], method: Method = "pca", *, seed: int = 0) -> Floats:
    """(n, d) -> (n, 2) in [0, 1], each axis stretched to fill it; all in the middle of an axis along which none differ.

    ``best`` is t-SNE where scikit-learn is installed, otherwise PCA. With fewer than 5 vectors every method is PCA:
    they have no neighbourhoods. Raises MissingExtra where the package for ``tsne`` or ``umap`` is not installed,
    InputError (codes ``vectors``, ``map``) for vectors that are not finite or a method that does not exist.
    """
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise InputError(f"a map needs finite vectors (n, d), not {vectors.shape}", code="vectors")
    if method not in ("pca", "tsne", "umap", "best"):
        raise InputError(f"there is no map '{method}'", code="map", hint="pca, tsne, umap or best")
    if method == "best":
        method = "tsne" if importlib.util.find_spec("sklearn") else "pca"
    wide = vectors.astype(np.float64)
    if method == "pca" or len(wide) < 5:
        return _stretched(_principal(wide, 2))
    return _stretched(_neighbours(_principal(wide, min(_DIMENSIONS, wide.shape[1])), method, seed))


def map_picture(
    points: Floats, thumbnails: Sequence[Image.Image | None], labels: Sequence[str | None], side: int = SIDE
) -> Image.Image:
    """Thumbnails (n) at their points (n, 2), framed in the colours of their classes, over a legend -> RGB, `side` wide.

    Each takes the free cell of a grid that is nearest to its point, so that none hides another; what is shown is where
    things lie, to about the width of a thumbnail. Where there are more pictures than cells an even sample is drawn.
    """
    if not len(points) == len(thumbnails) == len(labels):
        raise InputError(f"{len(points)} points, {len(thumbnails)} pictures and {len(labels)} labels", code="map")
    cells = max(1, side // _CELL)
    # crowding by more than half would push pictures far from their points
    rows = evenly(labels, max(1, cells * cells // 2))
    names = sorted({label for label in labels if label is not None})
    colour = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    legend = _legend(names, colour, side, unlabelled=None in labels)
    sheet = Image.new("RGB", (side, side + legend.height), _PAPER)
    draw, margin = ImageDraw.Draw(sheet), (side - cells * _CELL) // 2
    for row, (column, line) in zip(rows.tolist(), _snapped(points[rows], cells), strict=True):
        x, y = margin + column * _CELL, margin + line * _CELL
        label = labels[row]
        draw.rectangle((x, y, x + _CELL - 2, y + _CELL - 2), fill=_FAINT if label is None else colour[label])
        sheet.paste(_square(thumbnails[row], _CELL - 1 - 2 * _FRAME), (x + _FRAME, y + _FRAME))
    sheet.paste(legend, (0, side))
    return sheet


def picture_maps(
    items: Sequence[Item],
    before: Vectors,
    after: Vectors,
    pictures: Pictures,
    *,
    method: Method = "best",
    count: int = COUNT,
    side: int = SIDE,
    seed: int = 0,
) -> tuple[Image.Image, Image.Image]:
    """The same pictures on two maps: by what an encoder said of them before, (n, d), and after training, (n, d').

    At most `count` of them, classes alike; only these are read. One that cannot be read any more is an empty square.
    """
    labels = [item.label for item in items]
    rows = evenly(labels, count, seed=seed)
    small = _CELL - 1 - 2 * _FRAME
    shown = [None if (one := pictures.show(items[row].path, small)) is None else _square(one, small) for row in rows]
    named = [labels[row] for row in rows]
    one, two = (map_picture(project(v[rows], method, seed=seed), shown, named, side) for v in (before, after))
    return one, two


def _principal(vectors: Floats, dimensions: int) -> Floats:
    """(n, d) -> (n, dimensions): coordinates along the directions of largest spread, signs fixed."""
    out = np.zeros((len(vectors), dimensions))
    if len(vectors) > 1 and vectors.shape[1]:
        centred = vectors - vectors.mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        kept = axes[:dimensions]
        kept *= np.sign(kept[np.arange(len(kept)), np.abs(kept).argmax(axis=1)])[:, None]
        out[:, : len(kept)] = centred @ kept.T
    return out


def _neighbours(vectors: Floats, method: Method, seed: int) -> Floats:
    n = len(vectors)
    if method == "tsne":
        try:
            from sklearn.manifold import TSNE
        except ImportError as error:
            raise MissingExtra.of("scikit-learn", "all", "a t-SNE map") from error
        perplexity = min(_NEIGHBOURS, (n - 1) / 3)
        # vectors that are all one point have no principal components to begin from
        begin = "pca" if np.ptp(vectors, axis=0).any() else "random"
        found = TSNE(perplexity=perplexity, init=begin, learning_rate="auto", random_state=seed).fit_transform(vectors)
    else:
        try:
            from umap import UMAP
        except ImportError as error:
            raise MissingExtra(
                "a UMAP map needs the package 'umap-learn', which is not installed", hint="pip install umap-learn"
            ) from error
        found = UMAP(n_neighbors=min(15, n - 1), random_state=seed, n_jobs=1).fit_transform(vectors)
    out: Floats = np.asarray(found, dtype=np.float64)
    return out


def _stretched(points: Floats) -> Floats:
    low, spread = points.min(axis=0, initial=np.inf), np.ptp(points, axis=0) if len(points) else np.zeros(2)
    scale = np.abs(points).max(initial=0.0)
    flat = spread <= 1e-12 * max(scale, 1e-30)  # rounding is no spread
    out: Floats = np.where(flat, 0.5, (points - low) / np.where(flat, 1, spread))
    return out


def _snapped(points: Floats, cells: int) -> list[tuple[int, int]]:
    """(n, 2) in [0, 1] -> a cell (column, line) of the grid each, none twice. Needs n <= cells * cells.

    The point nearest to the middle of its cell is served first: who fits best stays.
    """
    at = np.clip(points, 0, 1) * (cells - 1)
    free = np.ones((cells, cells), dtype=np.bool_)
    grid = np.arange(cells)
    out = [(0, 0)] * len(points)
    for row in np.argsort(np.hypot(*(at - np.round(at)).T), kind="stable").tolist():
        far = (grid[:, None] - at[row, 0]) ** 2 + (grid[None] - at[row, 1]) ** 2
        column, line = np.unravel_index(np.where(free, far, np.inf).argmin(), far.shape)
        free[column, line] = False
        out[row] = (int(column), int(line))
    return out


def _square(picture: Image.Image | None, side: int) -> Image.Image:
    """The middle of a picture: at this size, filling the square tells more than showing the edges."""
    if picture is None:
        return Image.new("RGB", (side, side), (232, 232, 230))
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    return thumbnail(picture.crop((left, top, left + edge, top + edge)), side)


def _legend(names: Sequence[str], colour: dict[str, str], side: int, *, unlabelled: bool) -> Image.Image:
    """The names of the classes beside their colours, in columns."""
    size = max(11, side // 46)
    font = ImageFont.load_default(size)
    entries: list[tuple[str, tuple[int, int, int] | str]] = [(name, colour[name]) for name in names[:_NAMED]]
    if unlabelled:
        entries.append(("no label", _FAINT))
    more = f"and {len(names) - _NAMED} more classes, in the same colours again" if len(names) > _NAMED else ""
    columns = max(1, min(4, side // 250))
    width, line = (side - 2 * _GAP) // columns, round(size * 1.7)
    lines = -(-len(entries) // columns)
    height = 2 * _GAP + (lines + bool(more)) * line if entries else _GAP
    legend = Image.new("RGB", (side, height), _PAPER)
    draw = ImageDraw.Draw(legend)
    draw.text((_GAP, _GAP + lines * line), fit(more, font, side - 2 * _GAP), fill=_FAINT, font=font)
    for number, (name, fill) in enumerate(entries):
        x, y = _GAP + number % columns * width, _GAP + number // columns * line
        draw.rectangle((x, y + 2, x + size, y + size + 2), fill=fill)
        draw.text((x + size + 8, y), fit(name, font, width - size - 20), fill=_INK, font=font)
    return legend
