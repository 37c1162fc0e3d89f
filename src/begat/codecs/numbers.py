"""What numbers say about their column: the grid on which they lie, the values that repeat, what they may be besides.

numbers: (n,) integers or floats without missing ones. some: what a sample of them shows. low, high: their ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from begat.codecs.atoms import FEW_POINTS, MOST_ATOMS, least, off_grid, on_grid, sentinels
from begat.codecs.grid import EXACT, SHOWN, above, common_step, decimals_of, from_grid, to_grid
from begat.schema import Grid

SAMPLE = 10_000
"""Rows that decide; what they suggest is then verified on all rows."""
COARSE = 4
"""Numbers of at most this many decimals are always a grid."""
FINE = 100_000
"""A finer grid with more points than this between its ends counts as one if a twentieth of the rows repeat."""


class Seen(NamedTuple):
    """Distinct numbers (m,) of at most 10,000 evenly spaced rows, ascending, and how often each occurs there."""

    values: np.ndarray
    counts: np.ndarray

    @property
    def whole(self) -> bool:
        """Whether their type is one of integers."""
        return self.values.dtype.kind in "iu"


def seen(numbers: np.ndarray) -> Seen:
    return Seen(*np.unique(numbers[:: -(-len(numbers) // SAMPLE)], return_counts=True))


# the grid ---------------------------------------------------------------------------------------------------------
def grid_of(numbers: np.ndarray, some: Seen, low: float, high: float) -> Grid | None:
    """The grid on which all numbers but special codes lie; None where they are continuous.

    Integers are exact through the grid's offset; None if they are more than 2**53 apart.
    """
    if some.whole:
        if int(high) - int(low) >= EXACT:
            return None
        far = max(abs(int(low)), abs(int(high))) >= EXACT
        return Grid(offset=int(low)) if far else _coarser(numbers, 0, some.values)
    light = some.values[some.counts < least(some.counts, 6)]
    if SHOWN <= len(light) < len(some.values):
        found = _grid_of(numbers, some, light)
        if found is not None and len(_strangers(some, found)) <= MOST_ATOMS:
            return found
    return _grid_of(numbers, some, some.values)


def _strangers(some: Seen, grid: Grid) -> np.ndarray:
    """Places of repeated values off a grid: special codes, if the grid is the right one."""
    return np.flatnonzero((some.counts >= least(some.counts, 6)) & ~to_grid(some.values, grid)[1])


def _grid_of(numbers: np.ndarray, some: Seen, core: np.ndarray) -> Grid | None:
    """The coarsest grid of the distinct numbers `core`, widened until it holds all rows."""
    for _ in range(4):
        decimals = decimals_of(core[:32])
        decimals = None if decimals is None else decimals_of(core)
        if decimals is None or not _coarse(some, decimals, core):
            return None
        off = _off(numbers, some, Grid(decimals=decimals), core)
        if off is None:
            return _coarser(numbers, decimals, core)
        # rows that the sample did not show need more decimals
        core = np.concatenate([core, off[:SAMPLE]])
    return None


def _coarse(some: Seen, decimals: int, core: np.ndarray) -> bool:
    """Evidence for a grid: points few enough to count, or rows that repeat as continuous ones never would."""
    if decimals <= COARSE:
        return True
    repeats = 1 - len(some.counts) / some.counts.sum()
    return repeats >= 0.05 or bool((core.max() - core.min()) * 10.0**decimals <= FINE)


def _off(numbers: np.ndarray, some: Seen, grid: Grid, core: np.ndarray) -> np.ndarray | None:
    """Numbers off a grid that are not special codes; None if there are none."""
    if len(numbers) <= SAMPLE and len(core) == len(some.values):
        return None
    if grid == Grid() and (numbers == np.rint(numbers)).all():
        return None  # the usual case, cheaply
    on = to_grid(numbers, grid)[1]
    if on.all():
        return None
    off = np.unique(numbers[~on])
    off = off[~np.isin(off, some.values[_strangers(some, grid)])]
    return off if len(off) else None


def _coarser(numbers: np.ndarray, decimals: int, core: np.ndarray) -> Grid:
    """The grid with a larger step, where all numbers keep it."""
    fine = Grid(decimals=decimals)
    # Only values that need the last decimal show which of its steps are taken.
    if decimals and int((~to_grid(core, Grid(decimals=decimals - 1))[1]).sum()) < SHOWN:
        return fine
    step, offset = common_step(to_grid(core, fine)[0], len(numbers))
    if step == 1:
        return fine
    coarse = Grid(decimals, step, offset)
    return coarse if to_grid(numbers, coarse)[1].all() else fine


def noisy(some: Seen, grid: Grid, atoms: tuple[float, ...]) -> bool:
    """Whether some number but the atoms is a few units in its last place from its point of the grid."""
    if some.whole:
        return False
    values = some.values[~np.isin(some.values, atoms)]
    return bool((from_grid(to_grid(values, grid)[0], grid, str(values.dtype)) != values).any())


# special codes ----------------------------------------------------------------------------------------------------
def atoms_of(some: Seen, grid: Grid | None, low: float, high: float) -> tuple[float, ...]:
    """Numbers that repeat far beyond what their surroundings explain, ascending."""
    values, counts = some
    if len(values) == 1 and low == high:
        return (float(low),) if abs(low) < EXACT else ()
    if some.whole and max(abs(int(low)), abs(int(high))) >= EXACT:
        return ()
    if grid is None:
        chosen = off_grid(values, counts)
    else:
        spacing = grid.multiple / 10.0**grid.decimals
        points = (float(high) - float(low)) / spacing
        chosen = on_grid(values, counts, spacing) if points > FEW_POINTS else np.zeros(0, dtype=np.int64)
    if len(chosen) > MOST_ATOMS and not (grid is None and len(chosen) == len(values)):
        strong = counts[chosen] >= 5 * np.median(counts[chosen])
        chosen = chosen[strong][np.argsort(-counts[chosen][strong], kind="stable")[:MOST_ATOMS]]
    if grid is not None and not some.whole:
        chosen = np.union1d(chosen, _strangers(some, grid))
    chosen = np.union1d(chosen, sentinels(values, counts)[0]).astype(np.int64)
    return tuple(sorted(float(v) for v in values[chosen]))


def apart(some: Seen, atom: float) -> tuple[float, float] | None:
    """Of a conventional sentinel, the ends of the numbers that it stands apart from."""
    places, ends = sentinels(*some)
    return ends if atom in some.values[places] else None


def floor_of(numbers: np.ndarray, low: float, atoms: tuple[float, ...]) -> float:
    """The smallest number that is not a negative special code."""
    negative = [a for a in atoms if a < 0]
    if low >= 0 or not negative:
        return low
    rest = numbers[~np.isin(numbers, negative)]
    return float(rest.min()) if len(rest) else low


# levels -----------------------------------------------------------------------------------------------------------
def levels_of(numbers: np.ndarray, low: float, high: float) -> tuple[int | float, ...]:
    """Every distinct number, ascending."""
    if numbers.dtype.kind in "iu" and int(high) - int(low) < 4 * len(numbers) + 1000:
        lowest = int(low) if not 0 <= low < 1000 else 0  # a small one is not worth a copy
        return tuple(lowest + step for step in np.flatnonzero(np.bincount(above(numbers, lowest))).tolist())
    return tuple(np.unique(numbers).tolist())
