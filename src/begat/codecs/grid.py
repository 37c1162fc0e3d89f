"""Grids: the whole number k of a value (offset + multiple * k) / 10**decimals, back again, and grids found in data."""

from __future__ import annotations

import math

import numpy as np

from begat.errors import DataError
from begat.schema import Column, Grid

EXACT = 2**53
"""Whole numbers up to here are exact in float64."""
SHOWN = 16
"""Different values that must keep a step before it is believed."""
FINEST = 9
"""Decimals beyond this are taken as noise of a continuous number."""
LARGEST = 1e300
"""A bound above this is none: numbers of float64 need no clipping."""
SLACK = 1e-9
"""How far, in spacings, rounding may carry a value from its point, besides four units in its last place."""


def to_grid(values: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The nearest whole numbers k (n,) float64 of numbers without NaN, and whether each is a point of the grid."""
    if values.dtype.kind in "iu":
        if grid == Grid():
            return values.astype(np.float64), np.ones(len(values), dtype=bool)
        wide = values.astype(object) if _beyond(values, grid) else values.astype(np.int64)
        shifted = wide * 10**grid.decimals - grid.offset
        k = shifted if grid.multiple == 1 else (shifted + grid.multiple // 2) // grid.multiple
        on = np.ones(len(values), dtype=bool) if grid.multiple == 1 else k * grid.multiple == shifted
        return k.astype(np.float64), on.astype(bool)
    eps = np.finfo(values.dtype).eps
    values = values.astype(np.float64, copy=False)
    scale = 10.0**grid.decimals
    k = np.rint((values * scale - grid.offset) / grid.multiple)
    gap = np.abs(k * grid.multiple + grid.offset - values * scale)
    return k, gap <= 4 * eps * np.abs(values * scale) + (SLACK if eps < 1e-10 else 1e-4)


def from_grid(k: np.ndarray, grid: Grid, dtype: str = "float64", most: float = math.inf) -> np.ndarray:
    """The numbers of whole numbers k (n,); beyond what the dtype, or `most` in size, holds, the last points within.

    Integers where there are no decimals and the dtype is one of integers.
    """
    name = np.dtype(dtype)
    if name.kind in "iu" and not grid.decimals:
        ends = np.iinfo(name)
        low, high = (int(v) - grid.offset for v in (ends.min, ends.max))
        k = np.clip(k, max(-EXACT, -(-low // grid.multiple)), min(EXACT, high // grid.multiple))
        whole = k.astype(np.int64)
        if abs(grid.offset) < 2**62:
            return (whole * grid.multiple + grid.offset).astype(name)
        return (whole.astype(object) * grid.multiple + grid.offset).astype(name)
    scale = 10.0**grid.decimals
    if most < LARGEST:
        k = np.clip(
            k, np.ceil((-most * scale - grid.offset) / grid.multiple), (most * scale - grid.offset) // grid.multiple
        )
    return from_line((k * grid.multiple + grid.offset) / scale, dtype, most)


def from_line(values: np.ndarray, dtype: str, most: float = math.inf) -> np.ndarray:
    """Numbers (n,) in a dtype; beyond what it, or `most` in size, holds, the last ones within."""
    name = np.dtype(dtype)
    if name.kind in "iu":
        ends = np.iinfo(name)
        low, high = float(ends.min), np.nextafter(float(ends.max) + 1, 0)
        return np.clip(np.rint(values), low, high).astype(name)
    return (np.clip(values, -most, most) if most < LARGEST else values).astype(name, copy=False)


def _beyond(values: np.ndarray, grid: Grid) -> bool:
    """Whether the arithmetic of int64 could overflow."""
    if not len(values):
        return False
    largest = max(abs(int(values.min())), abs(int(values.max())))
    return largest * 10**grid.decimals + abs(grid.offset) >= 2**62


def decimals_of(values: np.ndarray) -> int | None:
    """The fewest decimals (at most 9) with which all of these distinct floats are written; None if more are needed.

    A value counts as written with d decimals if it is the nearest float to such a number. Where floats are so large
    that they would all pass, nothing is shown by passing: the chance of it must be below one in a million.
    """
    eps = float(np.finfo(values.dtype).eps)
    values = np.abs(values.astype(np.float64, copy=False))
    largest = float(values.max(initial=0.0))
    for d in range(FINEST + 1):
        scaled = values * 10.0**d
        if largest * 10.0**d >= EXACT:
            return None
        gap = np.abs(scaled - np.rint(scaled))
        # Sums are as wrong as the last place of their largest number. Few of them should be 0 and are not.
        noise = min(4 * eps * largest * 10.0**d, SLACK)
        zero = (gap > 4 * eps * scaled) & (scaled < 0.5)
        if (gap <= np.maximum(4 * eps * scaled, noise)).all() and zero.sum() <= max(1, len(values) // 100):
            chance = np.log(np.minimum(1.0, 8 * eps * scaled[scaled > 0])).sum()
            return d if chance < np.log(1e-6) or largest == 0 else None
    return None


def above(numbers: np.ndarray, lowest: int) -> np.ndarray:
    """How far whole numbers (n,) lie above the lowest of them, as int64: no type of integer overflows on the way."""
    if numbers.dtype.kind == "u":
        return (numbers - numbers.dtype.type(lowest)).astype(np.int64)
    return numbers.astype(np.int64, copy=False) - lowest if lowest else numbers.astype(np.int64, copy=False)


def common_step(whole: np.ndarray, rows: int) -> tuple[int, int]:
    """(multiple, offset) of distinct whole numbers seen in so many rows; (1, 0) without ample evidence for a step."""
    if len(whole) < SHOWN or rows < 100:
        return 1, 0
    whole = whole.astype(np.int64)
    step = int(np.gcd.reduce(whole - whole[0]))
    return (step, int(whole[0]) % step) if step > 1 else (1, 0)


def bounded(k: np.ndarray, column: Column) -> tuple[np.ndarray, np.ndarray | None]:
    """Encoded numbers moved into the column's stated bounds, and which of them were inside; None if all were."""
    low, high = column.limits
    if low == -np.inf and high == np.inf:
        return k, None
    if low > high:
        raise DataError(f"column {column.name!r}: no point of its grid lies between {column.lower} and {column.upper}")
    inside = (k >= low) & (k <= high) if high < np.inf else k >= low
    return (k, None) if inside.all() else (np.clip(k, low, high), inside)
