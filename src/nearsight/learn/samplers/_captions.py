"""Rows by picture: the first row of a label is the picture, the others are its captions."""

from __future__ import annotations

import numpy as np

from nearsight.core.errors import InputError
from nearsight.learn.samplers import Numbers


class Captions:
    """pictures (p,) rows of pictures that have captions; bare (b,) rows of those that have none."""

    def __init__(self, labels: Numbers, who: str) -> None:
        """Raises InputError (code ``sampler/captions``) where no picture has one."""
        _, of, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        self._rows = np.argsort(of, kind="stable")
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.pictures: Numbers = self._rows[starts[sizes > 1]]
        self.bare: Numbers = self._rows[starts[sizes == 1]]
        self._starts, self._sizes = starts[sizes > 1] + 1, sizes[sizes > 1] - 1
        if not len(self.pictures):
            raise InputError(
                f"{who}: no picture has a caption to learn from",
                code="sampler/captions",
                hint="data with captions: karpathy/NAME, or a table with a column caption",
            )

    def of(self, pictures: Numbers, k: int, draw: np.random.Generator) -> Numbers:
        """(n,) places in `pictures` -> (n, k) rows of their captions, different ones as far as there are so many."""
        sizes = self._sizes[pictures]
        ranks = np.argsort(
            np.where(np.arange(sizes.max())[None, :] < sizes[:, None], draw.random((len(sizes), sizes.max())), 2.0),
            axis=1,
        )
        chosen = np.take_along_axis(ranks, np.arange(k)[None, :] % np.minimum(sizes, ranks.shape[1])[:, None], axis=1)
        found: Numbers = self._rows[self._starts[pictures][:, None] + chosen]
        return found
