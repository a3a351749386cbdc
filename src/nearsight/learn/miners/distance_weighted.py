"""Distance-weighted: for each positive pair one negative at random, all distances alike likely.

Wu et al., "Sampling Matters in Deep Embedding Learning" (ICCV 2017). On the unit sphere in n dimensions the density
of distances is q(d) ~ d^(n-2) (1 - d^2/4)^((n-3)/2): nearly all are sqrt(2). A negative is drawn with probability ~
1/q(d), d not below ``cutoff`` (very near ones are noise); those at ``far`` and beyond only where there are no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearsight.core.errors import InputError
from nearsight.learn.matrix import Matrix, Similarity, distance, require, wide
from nearsight.learn.miners import Miner
from nearsight.learn.miners._triplets import positive_pairs, triplets

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class DistanceWeighted:
    """One triplet a positive pair."""

    dim: int
    cutoff: float = 0.5
    far: float = 1.4

    def probabilities(self, scores: Tensor, negative: Tensor) -> Tensor:
        """(n, m) cosines -> (n, m), each row with a negative adding up to 1."""
        d = distance(wide(scores.detach()), "cosine").clamp(min=self.cutoff)
        # 1 - d^2/4 is 0 for opposite vectors, whose density is 0 too; they are beyond `far` and never weighed
        logs = (2 - self.dim) * d.log() - (self.dim - 3) / 2 * (1 - d.square() / 4).clamp(min=1e-6).log()
        near = negative & (d < self.far)
        allowed = near.where(near.any(dim=1, keepdim=True), negative)
        weights = logs.where(near, 0.0).masked_fill(~allowed, -float("inf"))
        return weights.softmax(dim=1).nan_to_num(0.0)

    def __call__(self, matrix: Matrix, generator: Generator | None = None) -> Matrix:
        import torch

        rows, columns = positive_pairs(matrix)
        if not len(rows):
            return triplets(matrix.scores, rows, rows, rows)
        upto = self.probabilities(matrix.scores, matrix.negative).cumsum(dim=1)
        # One draw in [0, 1) a pair, from the generator's own device: the same choice on a processor and on a GPU.
        device = generator.device if generator is not None else torch.device("cpu")
        draw = torch.rand(len(rows), generator=generator, device=device, dtype=torch.float64).to(upto)
        within = upto[rows]
        chosen = torch.searchsorted(within, (draw * within[:, -1])[:, None], right=True)[:, 0]
        last = matrix.scores.shape[1] - 1 - matrix.negative.flip(1).int().argmax(dim=1)[rows]
        return triplets(matrix.scores, rows, columns, chosen.minimum(last))  # a draw may be rounded up to the sum


def build(*, similarity: Similarity, dim: int, cutoff: float = 0.5, far: float = 1.4) -> Miner:
    """The paper's values; ``far`` is about where a loss with margin gives nothing any more."""
    if similarity != "cosine":
        raise InputError(
            f"distance_weighted is about the unit sphere, and '{similarity}' scores are not of unit vectors",
            code="learn/similarity",
            hint="a loss with similarity=cosine, or the miner semi_hard",
        )
    require(0 < cutoff < far <= 2, f"distance_weighted: 0 < cutoff < far <= 2, got {cutoff}, {far}")
    require(dim >= 3, f"distance_weighted: 3 dimensions at least, got {dim}")
    return DistanceWeighted(dim, cutoff, far)
