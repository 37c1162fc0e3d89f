"""What a column's data says about its kind, found when it is asked: words, numbers, the grid, values that repeat."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from begat.codecs.cells import Cells
from begat.codecs.dates import date_format
from begat.codecs.grid import EXACT, SHOWN, common_step, decimals_of, from_grid, to_grid
from begat.codecs.identifier import pattern_of, running
from begat.codecs.spelling import boolean_levels, is_missing, number_format, parse
from begat.schema import Column, Grid, Scalar, TextFormat

SAMPLE = 10_000
"""Rows that decide; what they suggest is then verified on all rows."""
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
COARSE = 4
"""Numbers of at most this many decimals are always a grid."""
FINE = 100_000
"""A finer grid with more points than this between its ends counts as one if a twentieth of the rows repeat."""


class Ends(NamedTuple):
    """The smallest and the largest value; NaN if any is missing."""

    low: float | int
    high: float | int


class Facts:
    """A column under examination.

    cells: its n cells. ends: of numbers, where they are known. zeros: leading zeros are no obstacle to being a number.
    """

    def __init__(self, name: str | int, cells: Cells, ends: Ends | None = None, zeros: bool = False):
        self.name, self.cells, self.ends, self.zeros = name, cells, ends, zeros

    # missing ------------------------------------------------------------------------------------------------------
    @cached_property
    def tokens(self) -> np.ndarray | None:
        """(levels,) True for words that stand for a missing value; None where there are none or levels are declared."""
        if not self.cells.textual:
            return None
        found = is_missing(self.cells.levels or ())
        return found if found.any() else None

    @cached_property
    def absent(self) -> np.ndarray | None:
        """(n,) True where a cell is missing or holds a word for it; None where none does."""
        if self.ends is not None and self.ends.low == self.ends.low and self.cells.mask is None:
            return None
        gone = self.cells.missing()
        if self.tokens is None:
            return gone
        spelled = np.append(self.tokens, False)[self.cells.values]
        return spelled if gone is None else spelled | gone

    @cached_property
    def rows(self) -> int:
        """How many cells have a value."""
        return len(self.cells) - (0 if self.absent is None else int(self.absent.sum()))

    @cached_property
    def token(self) -> str:
        """The most frequent word for a missing value, where only words stand for one."""
        if self.tokens is None or self.cells.missing() is not None:
            return ""
        return str(self.cells.levels[int(np.argmax(self.counts * self.tokens))])  # type: ignore[index]

    # words --------------------------------------------------------------------------------------------------------
    @cached_property
    def counts(self) -> np.ndarray:
        """How often each level occurs."""
        codes = self.cells.values
        size = len(self.cells.levels or ())
        return np.bincount(codes[codes >= 0] if self.cells.missing() is not None else codes, minlength=size)

    @cached_property
    def words(self) -> list[Scalar]:
        """The levels that are not words for missing; of text, those that occur."""
        kept = np.ones(len(self.cells.levels or ()), dtype=bool) if self.cells.categorical else self.counts > 0
        if self.tokens is not None:
            kept &= ~self.tokens
        return [w for w, keep in zip(self.cells.levels or (), kept.tolist(), strict=True) if keep]

    @cached_property
    def text(self) -> list[str]:
        """The words of a column of text, no words for others."""
        return [str(w) for w in self.words] if self.cells.textual else []

    @cached_property
    def pair(self) -> tuple[str, str] | None:
        return boolean_levels(self.text)

    @cached_property
    def date(self) -> tuple[str, str] | None:
        """The format of text that is dates, and a remark."""
        if not self.text:
            return None
        if number_format(self.text[:1], zeros=True) is None:
            return date_format(self.text)
        # Eight digits are dates if several different ones all are: few other numbers look like that.
        found = date_format(self.text) if len(self.text) >= 5 and len(self.text[0].strip()) == 8 else None
        return found if found is not None and found[0] == "%Y%m%d" else None

    @cached_property
    def spelling(self) -> TextFormat | None:
        """The format of text that is numbers."""
        return number_format(self.text, self.zeros) if self.text and self.date is None else None

    @cached_property
    def distinct(self) -> bool:
        """Whether text is nearly all different: nineteen in twenty of at least 20 rows; of codes in digits, all."""
        if self.spelling is not None or self.rows < 20 or len(self.text) < 0.95 * self.rows:
            return False
        return len(self.text) == self.rows or not self.codes

    @cached_property
    def codes(self) -> bool:
        """Whether text is digits, as many in every word: zip codes, numbers of articles."""
        return len({len(w) for w in self.text}) == 1 and all(w.isascii() and w.isdigit() for w in self.text)

    @cached_property
    def pattern(self) -> str | None:
        return pattern_of(self.text) if self.text else None

    @cached_property
    def sentences(self) -> bool:
        """Whether text is mostly different and longer than five words on average."""
        some = self.text[:: max(1, len(self.text) // 1000)]
        long = sum(len(w.split()) for w in some) > 5 * len(some)
        return long and self.spelling is None and len(self.text) > 0.5 * self.rows

    # numbers ------------------------------------------------------------------------------------------------------
    @cached_property
    def numbers(self) -> np.ndarray | None:
        """The numbers that are not missing, those of text read; None where the cells are no numbers."""
        values = self.cells.values
        if self.cells.family == "words":
            if self.spelling is None:
                return None
            values = parse(self.cells, Column(name=self.name, kind="continuous", text=self.spelling))
        elif self.cells.family != "numbers":
            return None
        return values if self.absent is None else values[~self.absent]

    @cached_property
    def low(self) -> float | int:
        return self._end(0)

    @cached_property
    def high(self) -> float | int:
        return self._end(1)

    def _end(self, which: int) -> float | int:
        if self.ends is not None and self.ends.low == self.ends.low:
            return self.ends[which]
        assert self.numbers is not None
        found: float | int = (self.numbers.max() if which else self.numbers.min()).item()
        return found

    @cached_property
    def seen(self) -> tuple[np.ndarray, np.ndarray]:
        """Distinct numbers of at most 10,000 evenly spaced rows, and how often each occurs there."""
        assert self.numbers is not None
        return np.unique(self.numbers[:: -(-len(self.numbers) // SAMPLE)], return_counts=True)

    @cached_property
    def integral(self) -> bool:
        """Whether the frame holds them as integers."""
        return self.numbers is not None and self.numbers.dtype.kind in "iu"

    @cached_property
    def grid(self) -> Grid | None:
        """The grid on which all numbers but special codes lie; None where they are continuous.

        Integers are exact through the grid's offset; None if they are more than 2**53 apart.
        """
        if self.integral:
            if int(self.high) - int(self.low) >= EXACT:
                return None
            far = max(abs(int(self.low)), abs(int(self.high))) >= EXACT
            return Grid(offset=int(self.low)) if far else self._coarser(0, self.seen[0])
        values, counts = self.seen
        light = values[counts < self._least(6)]
        if SHOWN <= len(light) < len(values):
            found = self._grid_of(light)
            if found is not None and len(self._strangers(found)) <= MOST_ATOMS:
                return found
        return self._grid_of(values)

    def _strangers(self, grid: Grid) -> np.ndarray:
        """Places in `seen` of repeated values off a grid: special codes, if the grid is the right one."""
        values, counts = self.seen
        return np.flatnonzero((counts >= self._least(6)) & ~to_grid(values, grid)[1])

    def _grid_of(self, core: np.ndarray) -> Grid | None:
        for _ in range(4):
            decimals = decimals_of(core[:32])
            decimals = None if decimals is None else decimals_of(core)
            if decimals is None or not self._coarse(decimals, core):
                return None
            off = self._off(Grid(decimals=decimals), core)
            if off is None:
                return self._coarser(decimals, core)
            # rows that the sample did not show need more decimals
            core = np.concatenate([core, off[:SAMPLE]])
        return None

    def _coarse(self, decimals: int, core: np.ndarray) -> bool:
        """Evidence for a grid: points few enough to count, or rows that repeat as continuous ones never would."""
        if decimals <= COARSE:
            return True
        counts = self.seen[1]
        repeats = 1 - len(counts) / counts.sum()
        return repeats >= 0.05 or bool((core.max() - core.min()) * 10.0**decimals <= FINE)

    def _off(self, grid: Grid, core: np.ndarray) -> np.ndarray | None:
        """Numbers off a grid that are not special codes; None if there are none."""
        assert self.numbers is not None
        if len(self.numbers) <= SAMPLE and len(core) == len(self.seen[0]):
            return None
        if grid == Grid() and (self.numbers == np.rint(self.numbers)).all():
            return None  # the usual case, cheaply
        on = to_grid(self.numbers, grid)[1]
        if on.all():
            return None
        off = np.unique(self.numbers[~on])
        off = off[~np.isin(off, self.seen[0][self._strangers(grid)])]
        return off if len(off) else None

    def _coarser(self, decimals: int, core: np.ndarray) -> Grid:
        """The grid with a larger step, where all numbers keep it."""
        assert self.numbers is not None
        fine = Grid(decimals=decimals)
        # Only values that need the last decimal show which of its steps are taken.
        if decimals and int((~to_grid(core, Grid(decimals=decimals - 1))[1]).sum()) < SHOWN:
            return fine
        step, offset = common_step(to_grid(core, fine)[0], len(self.numbers))
        if step == 1:
            return fine
        coarse = Grid(decimals, step, offset)
        return coarse if to_grid(self.numbers, coarse)[1].all() else fine

    def _least(self, rows: int) -> int:
        return max(rows, int(REPEATED * self.seen[1].sum()))

    @cached_property
    def atoms(self) -> tuple[float, ...]:
        """Numbers that repeat far beyond what their surroundings explain, ascending."""
        values, counts = self.seen
        if len(values) == 1 and self.low == self.high:
            return (float(self.low),) if abs(self.low) < EXACT else ()
        if self.integral and max(abs(int(self.low)), abs(int(self.high))) >= EXACT:
            return ()
        chosen = self._off_grid_atoms(values, counts) if self.grid is None else self._grid_atoms(values, counts)
        if len(chosen) > MOST_ATOMS and not (self.grid is None and len(chosen) == len(values)):
            strong = counts[chosen] >= 5 * np.median(counts[chosen])
            chosen = chosen[strong][np.argsort(-counts[chosen][strong], kind="stable")[:MOST_ATOMS]]
        if self.grid is not None and not self.integral:
            chosen = np.union1d(chosen, self._strangers(self.grid))
        chosen = np.union1d(chosen, self._sentinels).astype(np.int64)
        return tuple(sorted(float(v) for v in values[chosen]))

    @cached_property
    def _sentinels(self) -> np.ndarray:
        """Places in `seen` of conventional sentinels that occur twice, further from the rest than the rest is wide."""
        values, counts = self.seen[0].astype(np.float64), self.seen[1]
        conventional = np.isin(values, SENTINELS)
        rest = values[~conventional]
        if len(rest) < 2:
            return np.zeros(0, dtype=np.int64)
        gaps = np.maximum(rest[0] - values, values - rest[-1])
        return np.flatnonzero(conventional & (counts >= 2) & (gaps > rest[-1] - rest[0]))

    def stands_apart(self, atom: float) -> str | None:
        """Of a conventional sentinel, the ends of the numbers that it stands apart from."""
        values = self.seen[0]
        if atom not in values[self._sentinels]:
            return None
        rest = values[~np.isin(values.astype(np.float64), SENTINELS)]
        return f"{rest[0]:g} to {rest[-1]:g}"

    def _off_grid_atoms(self, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Those that occur three times as often as any number that is none."""
        if len(values) <= FEW_VALUES and counts.sum() >= 10 * len(values):
            return np.arange(len(values))
        order = np.argsort(-counts, kind="stable")[: MOST_ATOMS + 1]
        gaps = np.flatnonzero(counts[order[:-1]] >= BEYOND * counts[order[1:]])
        chosen = order[: gaps[-1] + 1] if len(gaps) else order[:0]
        return np.sort(chosen[counts[chosen] >= self._least(6)])

    def _grid_atoms(self, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Those that occur ten times as often as the five points on either side do on average."""
        assert self.grid is not None
        spacing = self.grid.multiple / 10.0**self.grid.decimals
        if (float(self.high) - float(self.low)) / spacing <= FEW_POINTS:
            return np.zeros(0, dtype=np.int64)
        least = np.full(len(values), self._least(10))
        if len(values) > 1:  # a cap or a sentinel, at an end, may be rarer
            least[[0, -1]] = max(10, int(REPEATED_AT_ENDS * counts.sum()))
        heavy = np.flatnonzero(counts >= least)
        total = np.concatenate([[0], np.cumsum(counts)])
        first = np.searchsorted(values, values[heavy] - 5.5 * spacing)
        last = np.searchsorted(values, values[heavy] + 5.5 * spacing)
        around = (total[last] - total[first] - counts[heavy]) / 10
        return heavy[counts[heavy] >= 10 * around]

    def noisy(self, grid: Grid) -> bool:
        """Whether some number of the sample is a few units in its last place from its point of the grid."""
        values = self.seen[0][~np.isin(self.seen[0], self.atoms)]
        return values.dtype.kind == "f" and bool(
            (from_grid(to_grid(values, grid)[0], grid, str(values.dtype)) != values).any()
        )

    def repeats(self, atom: float) -> int:
        """In how many rows a number occurs."""
        assert self.numbers is not None
        return int((self.numbers == atom).sum())

    @cached_property
    def floor(self) -> float | int:
        """The smallest number that is not a negative special code."""
        negative = [a for a in self.atoms if a < 0]
        if self.low >= 0 or not negative:
            return self.low
        assert self.numbers is not None
        rest = self.numbers[~np.isin(self.numbers, negative)]
        return float(rest.min()) if len(rest) else self.low

    @cached_property
    def runs(self) -> str | None:
        """Why whole numbers identify rows, None if they do not."""
        if self.numbers is None or not self.whole or abs(self.low) > EXACT or abs(self.high) > EXACT:
            return None
        return running(self.numbers, int(self.low), int(self.high), self.name)

    @cached_property
    def whole(self) -> bool:
        return self.integral or (self.grid is not None and self.grid.decimals == 0)

    @cached_property
    def binary(self) -> bool:
        """Whether the numbers are 0 and 1, both."""
        if self.numbers is None or (self.low, self.high) != (0, 1):
            return False
        return self.integral or bool(((self.numbers == 0) | (self.numbers == 1)).all())

    def levels(self) -> tuple[Scalar, ...]:
        """Every distinct value in order: of numbers ascending, of text by alphabet, declared ones as declared."""
        if self.cells.family == "booleans":
            return (False, True)
        if self.cells.family == "words":
            return tuple(self.words) if self.cells.categorical else level_order(self.words)
        assert self.numbers is not None
        if self.integral and int(self.high) - int(self.low) < 4 * len(self.numbers) + 1000:
            offset = int(self.low) if not 0 <= self.low < 1000 else 0  # a small one is not worth a copy
            there = np.bincount(self.numbers - self.numbers.dtype.type(offset) if offset else self.numbers) > 0
            return tuple((np.flatnonzero(there) + offset).tolist())
        return tuple(np.unique(self.numbers).tolist())


def level_order(words: Sequence[Scalar]) -> tuple[Scalar, ...]:
    """By kind (False and True, numbers, text), then by value."""
    return tuple(sorted(words, key=lambda w: (isinstance(w, str), not isinstance(w, bool), w)))
