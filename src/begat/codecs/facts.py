"""What a column's data says about its kind, found when it is asked: words, numbers, the grid, values that repeat."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from begat.codecs.cells import Cells
from begat.codecs.date_text import date_format
from begat.codecs.grid import EXACT
from begat.codecs.identifier import pattern_of, running
from begat.codecs.numbers import Seen, atoms_of, floor_of, grid_of, levels_of, seen
from begat.codecs.spelling import boolean_levels, is_missing, is_number, number_format, parse
from begat.schema import Column, Grid, Scalar, TextFormat


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
        if not is_number(self.text[0]):
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
        """Whether text is mostly different and longer than two words on average."""
        some = self.text[:: max(1, len(self.text) // 1000)]
        long = sum(len(w.split()) for w in some) > 2 * len(some)
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

    @property
    def _numbers(self) -> np.ndarray:
        assert self.numbers is not None
        return self.numbers

    @cached_property
    def low(self) -> float | int:
        return self._end(0)

    @cached_property
    def high(self) -> float | int:
        return self._end(1)

    def _end(self, which: int) -> float | int:
        if self.ends is not None and self.ends.low == self.ends.low:
            return self.ends[which]
        found: float | int = (self._numbers.max() if which else self._numbers.min()).item()
        return found

    @cached_property
    def seen(self) -> Seen:
        """What some of the numbers show."""
        return seen(self._numbers)

    @cached_property
    def integral(self) -> bool:
        """Whether the frame holds them as integers."""
        return self.numbers is not None and self.numbers.dtype.kind in "iu"

    @cached_property
    def grid(self) -> Grid | None:
        """The grid on which all numbers but special codes lie; None where they are continuous."""
        return grid_of(self._numbers, self.seen, self.low, self.high)

    @cached_property
    def atoms(self) -> tuple[float, ...]:
        """Numbers that repeat far beyond what their surroundings explain, ascending."""
        return atoms_of(self.seen, self.grid, self.low, self.high)

    @cached_property
    def floor(self) -> float | int:
        """The smallest number that is not a negative special code."""
        return floor_of(self._numbers, self.low, self.atoms)

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
        return levels_of(self._numbers, self.low, self.high)


def level_order(words: Sequence[Scalar]) -> tuple[Scalar, ...]:
    """By kind (False and True, numbers, text), then by value."""
    return tuple(sorted(words, key=lambda w: (isinstance(w, str), not isinstance(w, bool), w)))
