"""Rows by class, and partners drawn from them."""

from __future__ import annotations

import numpy as np

from nearsight.learn.samplers import Numbers


class Classes:
    """The rows of each class side by side, so that drawing from a class, or from all others, is one random number."""

    def __init__(self, labels: Numbers) -> None:
        self.names, self.of, self.sizes = np.unique(labels, return_inverse=True, return_counts=True)
        self.rows = np.argsort(self.of, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        self.place = np.empty_like(self.rows)
        self.place[self.rows] = np.arange(len(self.rows))

    def members(self, number: int) -> Numbers:
        """The rows of one class."""
        found: Numbers = self.rows[self.starts[number] :][: self.sizes[number]]
        return found

    def same(self, anchors: Numbers, draw: np.random.Generator) -> Numbers:
        """For each anchor another row of its class, uniformly; its class has two at least."""
        start, size = self.starts[self.of[anchors]], self.sizes[self.of[anchors]]
        places: Numbers = (self.place[anchors] - start + draw.integers(1, size)) % size
        found: Numbers = self.rows[start + places]
        return found

    def other(self, anchors: Numbers, draw: np.random.Generator) -> Numbers:
        """For each anchor a row of another class, uniformly over pictures."""
        start, size = self.starts[self.of[anchors]], self.sizes[self.of[anchors]]
        drawn = draw.integers(0, len(self.rows) - size)
        return self.rows[np.where(drawn < start, drawn, drawn + size)]
