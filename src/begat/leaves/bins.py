"""The edges of a histogram's bins, from the numbers of one column and their weights."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64

Numbers = Float64[np.ndarray, " m"]
Edges = Float64[np.ndarray, " edges"]
FEWEST = 5.0
"""Rows of an outermost bin of equal weights that is not halved any more."""
CONSTANT_WIDTH = 1e-6
"""Width of the one bin of a constant continuous column, relative to the constant (1 for 0)."""


def edges(x: Numbers, mass: Numbers, lower: float, upper: float, most: int, *, grid: bool) -> Edges:
    """The edges of at most `most` bins of the numbers x (m,) with weights, between stated bounds, rising.

    The rule is the Histogram leaf's (its docstring).
    """
    if grid and upper - lower < most:
        return np.arange(lower, upper + 2) - 0.5
    if not len(x):
        x, mass = np.array([min(max(0.0, lower), upper)]), np.ones(1)
    points, where = np.unique(x, return_inverse=True)
    mass = np.bincount(where, mass).astype(np.float64)
    low, high = points[0], points[-1]
    if grid and high - low < most:
        return np.arange(low, high + 2) - 0.5
    if low == high:
        half = 0.5 * CONSTANT_WIDTH * (abs(low) or 1.0)
        return np.array([max(low - half, lower), min(high + half, upper)] if lower < upper else [low, low + half])
    # Each candidate cut lies after its point: half a step on a grid, half way to the next point otherwise.
    cuts = points[:-1] + (0.5 if grid else 0.5 * np.diff(points))
    reached = np.cumsum(mass)
    count = min(most, math.ceil(2 * reached[-1] ** (1 / 3)))
    heavy = mass > 2 * reached[-1] / count if grid else np.zeros(len(points), dtype=bool)
    count = max(count - 2 * int(heavy.sum()), 1)  # a heavy point takes two cuts
    quantile = np.searchsorted(reached, _shares(count, reached[-1], most - 2 * int(heavy.sum())) * reached[-1])
    inner = np.concatenate([cuts[np.minimum(quantile, len(cuts) - 1)], points[heavy] - 0.5, points[heavy] + 0.5])
    step = 0.5 if grid else 0.0
    outer = np.array([low - step, high + step])
    return np.unique(np.concatenate([outer, np.clip(inner, *outer)]))


def _shares(count: int, total: float, most: int) -> Edges:
    """The shares of the weight below each cut: `count` equal bins, the two outermost halved down to FEWEST rows."""
    halvings = max(int(math.log2(max(total / count / FEWEST, 1.0))), 0)
    halvings = min(halvings, max((most - count) // 2, 0)) if count > 1 else 0
    near = 0.5 ** np.arange(halvings, 0, -1) / count
    return np.concatenate([near, np.arange(1, count) / count, 1 - near[::-1]])
