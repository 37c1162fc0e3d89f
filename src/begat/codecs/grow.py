"""A column's schema widened, chunk by chunk, until it allows every row: levels, grid, tick, missing, ends."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np

from begat.codecs.cells import Cells, cells
from begat.codecs.dates import UNITS, grain, settled, to_ticks
from begat.codecs.facts import level_order
from begat.codecs.grid import EXACT, decimals_of, to_grid
from begat.codecs.typed import convert, is_text, unreadable, word_at
from begat.errors import DataError
from begat.schema import Column, Grid, Scalar

MOST_DECIMALS = 6
"""A grid found on a sample is refined to at most so many decimals; numbers with more are continuous."""
MOST_LEVELS = 1_000_000


class Growth(ABC):
    """A column as the rows so far need it.

    failed: what to say of the first cell that is not of the column's kind at all; the column is then read as words.
    """

    def __init__(self, column: Column):
        self.column, self.rows, self.absent = column, 0, 0
        self.failed: str | None = None

    def add(self, values: Any) -> None:
        """The column's cells in the next rows, in any container."""
        if self.failed is None:
            bad = None
            made = values
            if is_text(values):
                made, bad = convert(values, self.column)
            if bad is not None:
                self.failed = unreadable(self.column, self.rows + bad, word_at(values, bad))
                return
            found = cells(made, self.column.name)
            gone = found.missing()
            self.absent += 0 if gone is None else int(gone.sum())
            self.widen(found, gone)
        self.rows += len(values)

    @abstractmethod
    def widen(self, found: Cells, gone: np.ndarray | None) -> None:
        """Take in the cells of a chunk; `gone` (n,) marks the missing ones."""

    def done(self) -> Column:
        """The column that allows every row added."""
        missing = self.column.missing or self.absent > 0
        return replace(self.column, missing=missing, missing_share=self.absent / self.rows)

    def alien(self, found: Cells) -> None:
        self.failed = (
            f"column {self.column.name!r}, rows from {self.rows}: {found.family} where the rest is {self.column.kind}; "
            f"read the column as words with kinds={{{self.column.name!r}: 'category'}}"
        )


class Unscored(Growth):
    """Identifiers and free text: only missing cells are counted."""

    def widen(self, found: Cells, gone: np.ndarray | None) -> None:
        return None


class Levels(Growth):
    """Categories, booleans, ordinals: every level that occurs."""

    def __init__(self, column: Column):
        super().__init__(column)
        self.levels: dict[tuple[str, Scalar], Scalar] = {(type(v).__name__, v): v for v in column.levels or ()}

    def widen(self, found: Cells, gone: np.ndarray | None) -> None:
        if found.levels is not None:
            codes = found.values if gone is None else found.values[~gone]
            present = [found.levels[i] for i in np.flatnonzero(np.bincount(codes, minlength=len(found.levels)))]
        elif found.family == "dates":
            return self.alien(found)
        else:
            present = np.unique(found.values if gone is None else found.values[~gone]).tolist()
        for level in present:
            self.levels.setdefault(self._key(level), level)
        if len(self.levels) > MOST_LEVELS:
            raise DataError(
                f"column {self.column.name!r} has more than {MOST_LEVELS:,} levels; state its kind as identifier "
                f"or text, or leave it out with drop=[{self.column.name!r}]"
            )
        return None

    def _key(self, level: Scalar) -> tuple[str, Scalar]:
        """A whole float is the level that the integer is: chunks with missing cells hold integers as floats."""
        whole = int(level) if isinstance(level, float) and level.is_integer() else level
        return ("int", whole) if ("int", whole) in self.levels else (type(level).__name__, level)

    def done(self) -> Column:
        made, before = super().done(), self.column.levels or ()
        levels = tuple(self.levels.values())
        if len(levels) == len(before):
            return made
        why = f"{made.why}; {len(levels) - len(before)} more levels in all rows than in the sample"
        levels = level_order(levels) if before == level_order(before) else levels
        kind = "category" if made.kind == "boolean" and len(levels) > 2 else made.kind
        return replace(made, levels=levels, kind=kind, why=why)


class Numbers(Growth):
    """Counts, integers, decimals, continuous numbers: a finer grid, or none; smallest and largest."""

    def __init__(self, column: Column):
        super().__init__(column)
        self.grid = column.grid
        self.low, self.high = column.seen or (math.inf, -math.inf)
        self.floor = math.inf
        self.finer = False

    def widen(self, found: Cells, gone: np.ndarray | None) -> None:
        if found.family not in ("numbers", "booleans"):
            return self.alien(found)
        values = found.values if gone is None else found.values[~gone]
        if not len(values):
            return None
        values = values.astype(np.int8) if values.dtype.kind == "b" else values
        low, high = values.min().item(), values.max().item()
        if not (math.isfinite(low) and math.isfinite(high)):
            row = self.rows + int(np.argmax(np.isinf(found.values)))
            raise DataError(
                f"column {self.column.name!r}, row {row}: infinity; replace it by a number or a missing value"
            )
        self.low, self.high = min(self.low, low), max(self.high, high)
        if self.column.atoms:
            values = values[~np.isin(values, self.column.atoms)]
        if len(values):
            self.floor = min(self.floor, float(values.min()))
            if self.grid is not None:
                self._refine(values)
        return None

    def _refine(self, values: np.ndarray) -> None:
        assert self.grid is not None
        off = np.unique(values[~to_grid(values, self.grid)[1]])
        if len(off):
            self.grid, self.finer = finer(self.grid, off), True

    def done(self) -> Column:
        made = replace(super().done(), grid=self.grid, seen=(float(self.low), float(self.high)))
        kind, notes = made.kind, []
        if self.grid is None and kind != "continuous":
            kind = "continuous"
            notes.append(f"some rows have more than {MOST_DECIMALS} decimals")
        elif self.grid is not None and self.finer:
            kind = "decimal" if self.grid.decimals else kind
            notes.append(f"some rows lie between, in steps of {self.grid.multiple / 10**self.grid.decimals:g}")
        if kind == "count" and made.lower is not None and self.floor < made.lower:
            kind = "integer"
            notes.append(f"some rows are below {made.lower:g}")
        # Only counts have a bound that nobody stated.
        lower = made.lower if kind == made.kind or made.kind != "count" else None
        return replace(made, kind=kind, lower=lower, why="; ".join([made.why, *notes]))


class Dates(Growth):
    """Dates: a finer tick, first and last."""

    def __init__(self, column: Column):
        super().__init__(column)
        assert column.tick is not None and column.grid is not None
        self.tick = column.tick
        self.zone: str | None = None
        self.ends: list[np.datetime64] = []

    def widen(self, found: Cells, gone: np.ndarray | None) -> None:
        if found.family != "dates":
            return self.alien(found)
        values = found.values if gone is None else found.values[~gone]
        if len(values):
            self.zone = found.zone
            order = list(UNITS)
            self.tick = order[max(order.index(self.tick), order.index(grain(values, self.zone)))]
            self.ends = [min([values.min(), *self.ends]), max([values.max(), *self.ends])]
        return None

    def done(self) -> Column:
        made = super().done()
        if not self.ends:
            return made
        tick, offset = settled(self.tick, np.array(self.ends), self.zone)
        low, high = to_ticks(np.array(self.ends), tick, self.zone).tolist()
        made = replace(made, seen=(float(low), float(high)))
        if tick == made.tick and max(abs(made.encoded(end)) for end in (low, high)) < EXACT:
            return made
        return replace(made, tick=tick, grid=Grid(offset=offset), why=f"{made.why}; some rows to the {tick}")


def finer(grid: Grid, values: np.ndarray) -> Grid | None:
    """The coarsest grid that holds a grid and these distinct numbers; None if they need too many decimals."""
    needed = decimals_of(values) if values.dtype.kind == "f" else 0
    if needed is None or needed > max(MOST_DECIMALS, grid.decimals):
        return None
    decimals = max(needed, grid.decimals)
    scale = 10 ** (decimals - grid.decimals)
    multiple, offset = grid.multiple * scale, grid.offset * scale
    whole = [int(v) for v in np.rint(values.astype(np.float64) * 10.0**decimals)] if values.dtype.kind == "f" else [
        int(v) * 10**decimals for v in values
    ]  # fmt: skip
    step = math.gcd(multiple, *(w - offset for w in whole))
    return Grid(decimals, step, offset % step if abs(offset) < 2**53 else offset)


def growth(column: Column) -> Growth:
    """How a column of its kind grows."""
    if column.coded:
        return Levels(column)
    if column.numeric:
        return Numbers(column)
    return Dates(column) if column.kind == "datetime" else Unscored(column)
