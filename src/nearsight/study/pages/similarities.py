"""How well cosines tell classes apart: those of pairs of one class against those of pairs of two.

Every pair of pictures counts once, in blocks: there is never a matrix of all pictures against all. The overlap of the
two is one number, the area under the ROC curve: the chance that a pair of one class has the larger cosine than a pair
of two (Hanley and McNeil, Radiology 1982), 0.5 where cosines say nothing and 1 where one threshold divides them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from nearsight.core.arrays import Vectors, require_unit
from nearsight.core.errors import MeasureError
from nearsight.measure.judged import Floats
from nearsight.study.pages.sampling import evenly
from nearsight.study.pages.svg import HEIGHT, LEFT, Scale, axes, svg, ticks

BINS = 100
PICTURES = 6000
"""Beyond so many pictures a sample of them is taken: 18 million pairs."""

_FINE = 200  # finer bins inside each bar, for the area under the curve: its error is below a fine bin's share
_BLOCK = 1 << 22
_TOGETHER = 4  # pictures that a class gives at a time, so that data sets of many small classes keep their pairs


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Cosines of pairs of pictures.

    positive   (BINS,) shares of the pairs of one class, over bars of equal width from -1 to 1; 0 where there are none
    negative   (BINS,) the same for pairs of two classes
    auc        chance that a pair of one class has the larger cosine, ties count half; NaN where a kind is missing
    positives  pairs of one class that were counted; ``negatives``: of two classes
    pictures   whose pairs were counted, of ``of`` labelled ones: fewer where a sample was taken
    """

    positive: Floats
    negative: Floats
    auc: float
    positives: int
    negatives: int
    pictures: int
    of: int

    @property
    def edges(self) -> Floats:
        """(BINS + 1,) where the bars begin and end."""
        edges: Floats = np.linspace(-1, 1, len(self.positive) + 1)
        return edges

    @property
    def sampled(self) -> bool:
        """Whether some pictures were left out to keep it short."""
        return self.pictures < self.of


def similarities(
    vectors: Vectors, labels: Sequence[str | None], *, pictures: int = PICTURES, seed: int = 0
) -> Histogram:
    """Unit vectors (n, d) and a label each -> the histogram. Pictures without a label are left out.

    Of more than `pictures` a sample is taken, in which classes weigh alike as far as they reach. Raises MeasureError
    (code ``measure/shape``) where the numbers of vectors and labels differ, InputError for vectors that are not unit.
    """
    if len(vectors) != len(labels):
        raise MeasureError(f"{len(vectors)} vectors and {len(labels)} labels", code="measure/shape")
    rows = np.array([row for row, label in enumerate(labels) if label is not None], dtype=np.int64)
    named = [label for label in labels if label is not None]
    chosen = evenly(named, max(2, pictures), together=_TOGETHER, seed=seed)
    _, code = np.unique([named[at] for at in chosen], return_inverse=True)
    same, other = _counted(require_unit(vectors[rows[chosen]], vectors.shape[1]), code)
    return Histogram(
        _shares(same), _shares(other), _auc(same, other), int(same.sum()), int(other.sum()), len(chosen), len(rows)
    )


def similarity_svg(histogram: Histogram, title: str, *, beside: Sequence[Histogram] = ()) -> str:
    """The two distributions, one over the other, as an inline SVG in the colours of a report page.

    Histograms that stand `beside` it get the same cosines below, so that they can be held against each other.
    """
    shown = [histogram, *beside]
    filled = np.flatnonzero(np.sum([h.positive + h.negative for h in shown], axis=0))
    first, last = (int(filled[0]), int(filled[-1])) if filled.size else (0, len(histogram.positive) - 1)
    edges = histogram.edges[first : last + 2]
    top = float(np.max([histogram.positive, histogram.negative])) or 1.0
    x, y = Scale.across(float(edges[0]), float(edges[-1])), Scale.up(0, top * 1.05)
    parts = [axes(x, y, ticks(float(edges[0]), float(edges[-1]), 5), ticks(0, top, 3), below="cosine")]
    for kind, values in (("b", histogram.negative), ("a", histogram.positive)):
        bars = values[first : last + 1]
        path = f"M{x(edges[0]):.1f} {y(0):.1f}" + "".join(
            f"V{y(bar):.1f}H{x(end):.1f}" for bar, end in zip(bars, edges[1:], strict=True)
        )
        parts.append(f'<path class="area {kind}" d="{path}V{y(0):.1f}Z"/>')
    for number, (kind, name) in enumerate((("a", "same class"), ("b", "different classes"))):
        at = LEFT + 8 + 92 * number
        parts.append(f'<rect class="area {kind}" x="{at}" y="4" width="10" height="10"/>')
        parts.append(f'<text x="{at + 15}" y="13">{name}</text>')
    told = f"{title}: a pair of one class scores above a pair of two with a chance of {histogram.auc:.3f}"
    return svg(escape(told), "".join(parts), height=HEIGHT)


def _counted(vectors: Vectors, code: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of one class and of two, in fine bins: (BINS * _FINE,) each."""
    size = BINS * _FINE
    same, other = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    n, begin = len(vectors), 0
    while begin < n:
        end = min(n, begin + max(1, _BLOCK // (n - begin)))
        cosines = vectors[begin:end] @ vectors[begin:].T
        bins = np.clip((cosines + 1) * (size / 2), 0, size - 1).astype(np.int64)
        later = np.arange(n - begin) > np.arange(end - begin)[:, None]  # each pair once, no picture with itself
        alike = code[begin:end, None] == code[begin:]
        same += np.bincount(bins[later & alike], minlength=size)
        other += np.bincount(bins[later & ~alike], minlength=size)
        begin = end
    return same, other


def _shares(counts: NDArray[np.int64]) -> Floats:
    bars: Floats = counts.reshape(BINS, _FINE).sum(axis=1) / max(1, int(counts.sum()))
    return bars


def _auc(same: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    if not same.any() or not other.any():
        return float("nan")
    below = np.cumsum(other) - other
    return float((same * (below + other / 2)).sum() / (float(same.sum()) * float(other.sum())))
