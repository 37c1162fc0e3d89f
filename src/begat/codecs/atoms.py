"""Special codes: numbers that occur so often, or stand so far apart, that the rest does not explain them."""

from __future__ import annotations

import numpy as np

FEW_POINTS = 600
"""A grid with at most this many points between its ends needs no special codes: each point has its own mass."""
MOST_ATOMS = 16
"""Special codes that repetition alone can make; more such values are the habit of rounding."""
FEW_VALUES = 100
"""Numbers off every grid that have at most so many values, each seen ten times on average, are all special codes."""
REPEATED = 0.005
"""The least share of the rows that makes a value a special code."""
REPEATED_AT_ENDS = 0.001
"""The same for the smallest and the largest value of a grid."""
BEYOND = 3
"""Off a grid, a special code occurs at least so many times as often as the most frequent other number."""
SENTINELS = np.array([-1.0, *(sign * (10.0**digits - 1) for digits in range(1, 16) for sign in (1, -1))])
"""Numbers by which people write that there is none: -1, 9, 99, -999 and so on."""


def least(counts: np.ndarray, rows: int, share: float = REPEATED) -> int:
    """The rows that a special code needs: a share of all, and at least so many."""
    return max(rows, int(share * counts.sum()))


def off_grid(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Places of distinct values (m,) that occur three times as often as any number that is none."""
    if len(values) <= FEW_VALUES and counts.sum() >= 10 * len(values):
        return np.arange(len(values))
    order = np.argsort(-counts, kind="stable")[: MOST_ATOMS + 1]
    gaps = np.flatnonzero(counts[order[:-1]] >= BEYOND * counts[order[1:]])
    chosen = order[: gaps[-1] + 1] if len(gaps) else order[:0]
    return np.sort(chosen[counts[chosen] >= least(counts, 6)])


def on_grid(values: np.ndarray, counts: np.ndarray, spacing: float) -> np.ndarray:
    """Places of distinct values (m,) that occur ten times as often as the five points on either side on average."""
    needed = np.full(len(values), least(counts, 10))
    if len(values) > 1:  # a cap or a sentinel, at an end, may be rarer
        needed[[0, -1]] = least(counts, 10, REPEATED_AT_ENDS)
    heavy = np.flatnonzero(counts >= needed)
    total = np.concatenate([[0], np.cumsum(counts)])
    first = np.searchsorted(values, values[heavy] - 5.5 * spacing)
    last = np.searchsorted(values, values[heavy] + 5.5 * spacing)
    around = (total[last] - total[first] - counts[heavy]) / 10
    return heavy[counts[heavy] >= 10 * around]


def sentinels(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Places of conventional sentinels that occur twice, further from the rest than the rest is wide; its two ends."""
    values = values.astype(np.float64)
    conventional = np.isin(values, SENTINELS) if (counts >= 2).any() else np.zeros(len(values), dtype=bool)
    rest = values[~conventional]
    if len(rest) < 2 or not conventional.any():
        return np.zeros(0, dtype=np.int64), (np.nan, np.nan)
    low, high = float(rest[0]), float(rest[-1])
    gaps = np.maximum(low - values, values - high)
    return np.flatnonzero(conventional & (counts >= 2) & (gaps > high - low)), (low, high)
