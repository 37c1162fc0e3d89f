"""What a column's data says about its kind, found when it is asked: words, numbers, the grid, values that repeat."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from begat.codecs.atoms import FEW_POINTS, MOST_ATOMS, least, off_grid, on_grid, sentinels
from begat.codecs.cells import Cells
from begat.codecs.dates import date_format
from begat.codecs.grid import EXACT, SHOWN, common_step, decimals_of, from_grid, to_grid
from begat.codecs.identifier import pattern_of, running
from begat.codecs.spelling import boolean_levels, is_missing, number_format, parse
from begat.schema import Column, Grid, Scalar, TextFormat

SAMPLE = 10_000
"""Rows that decide; what they suggest is then verified on all rows."""
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
        return least(self.seen[1], rows)

    @cached_property
    def atoms(self) -> tuple[float, ...]:
        """Numbers that repeat far beyond what their surroundings explain, ascending."""
        values, counts = self.seen
        if len(values) == 1 and self.low == self.high:
            return (float(self.low),) if abs(self.low) < EXACT else ()
        if self.integral and max(abs(int(self.low)), abs(int(self.high))) >= EXACT:
            return ()
        if self.grid is None:
            chosen = off_grid(values, counts)
        else:
            spacing = self.grid.multiple / 10.0**self.grid.decimals
            points = (float(self.high) - float(self.low)) / spacing
            chosen = on_grid(values, counts, spacing) if points > FEW_POINTS else np.zeros(0, dtype=np.int64)
        if len(chosen) > MOST_ATOMS and not (self.grid is None and len(chosen) == len(values)):
            strong = counts[chosen] >= 5 * np.median(counts[chosen])
            chosen = chosen[strong][np.argsort(-counts[chosen][strong], kind="stable")[:MOST_ATOMS]]
        if self.grid is not None and not self.integral:
            chosen = np.union1d(chosen, self._strangers(self.grid))
        chosen = np.union1d(chosen, sentinels(values, counts)[0]).astype(np.int64)
        return tuple(sorted(float(v) for v in values[chosen]))

    def stands_apart(self, atom: float) -> tuple[float, float] | None:
        """Of a conventional sentinel, the ends of the numbers that it stands apart from."""
        places, ends = sentinels(*self.seen)
        return ends if atom in self.seen[0][places] else None

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
