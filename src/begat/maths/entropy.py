"""The entropy of numbers from their spacings."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def spacings(x: npt.NDArray[np.float64], step: float) -> float:
    """The differential entropy of n numbers in nats: mean_i log((n / 2m) (x_(i+m) - x_(i-m))), m = sqrt(n).

    step: the distance of the points of their grid, over which each number is spread first (0: none), so that a number
    which repeats is no infinite gain. Vasicek, "A test for normality based on sample entropy" (1976).
    """
    n = len(x)
    x = np.sort(x)
    if step:
        # equal numbers are spread evenly over their point, in the same way each time
        first = np.searchsorted(x, x, side="left")
        many = np.searchsorted(x, x, side="right") - first
        x = x + step * ((np.arange(n) - first + 0.5) / many - 0.5)
    m = max(math.isqrt(n), 1)
    wide = x[np.minimum(np.arange(n) + m, n - 1)] - x[np.maximum(np.arange(n) - m, 0)]
    return float(np.log(np.maximum(wide, 1e-300) * n / (2 * m)).mean())
