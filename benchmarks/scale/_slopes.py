"""How a cost grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The exponent p of cost ~ size^p, least squares on logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])
