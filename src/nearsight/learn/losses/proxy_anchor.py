"""Proxy-Anchor: each class vector is an anchor, and pulls and pushes the whole batch.

Kim et al., "Proxy Anchor Loss for Deep Metric Learning" (CVPR 2020), over columns (proxies): 1/|P+| sum_{p in P+}
log(1 + sum_{x in X+} exp(-alpha (s - delta))) + 1/|P| sum_p log(1 + sum_{x in X-} exp(alpha (s + delta))), P+ the
columns with a positive, P the columns with any pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nearsight.learn.losses import Loss
from nearsight.learn.losses._pieces import log_one_plus_sum_exp, mean_where
from nearsight.learn.matrix import require

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ProxyAnchor(Loss):
    """The authors give proxies a learning rate 100 times the network's."""

    target: ClassVar[str] = "proxies"
    by_column: ClassVar[bool] = True
    alpha: float = 32.0
    delta: float = 0.1

    def judge(self, scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        pull = log_one_plus_sum_exp(-self.alpha * (scores - self.delta), positive, dim=0)
        push = log_one_plus_sum_exp(self.alpha * (scores + self.delta), negative, dim=0)
        return mean_where(pull, positive.any(dim=0)) + mean_where(push, (positive | negative).any(dim=0))


def build(*, alpha: float = 32.0, delta: float = 0.1) -> Loss:
    """The paper's values: ``alpha`` scales, ``delta`` is the margin on cosines."""
    require(alpha > 0, f"proxy_anchor: alpha must be above 0, got {alpha}")
    return ProxyAnchor(alpha=alpha, delta=delta)
