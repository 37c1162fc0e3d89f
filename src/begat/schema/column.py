"""One column: its kind, the values that it may take, and how the frame or the file held it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from sys import float_info
from typing import Any, Literal, get_args

from begat.errors import SchemaError, did_you_mean

Kind = Literal[
    "category", "boolean", "ordinal", "count", "integer", "decimal", "continuous", "datetime", "identifier", "text"
]
KINDS: tuple[str, ...] = get_args(Kind)
CODED = ("category", "boolean", "ordinal")
"""Kinds whose values are levels, encoded as codes."""
GRIDDED = ("count", "integer", "decimal", "datetime")
"""Kinds whose values are points of a grid, encoded as whole numbers; they have mass."""
UNSCORED = ("identifier", "text")
"""Kinds that no model scores: identifiers are made anew in their pattern, free text is set aside."""
Scalar = str | int | float | bool
HALF = "holds half of a surrogate pair, which is no character; write U+FFFD in its place"
"""What is wrong with text that no file can hold."""


def half_of_a_pair(words: Iterable[object]) -> str | None:
    """The first text among these with half of a surrogate pair, such as "\\ud800"; None if all can be written."""
    text = [w for w in words if isinstance(w, str)]
    whole = "".join(text)
    try:
        whole.isascii() or whole.encode()
    except UnicodeEncodeError:
        return next(w for w in text if any("\ud800" <= c <= "\udfff" for c in w))
    return None


@dataclass(frozen=True)
class Grid:
    """The points (offset + multiple * k) / 10**decimals for whole k: integers are Grid(), cents Grid(decimals=2).

    Dates count ticks: k * multiple + offset ticks since 1970-01-01 of their `tick`.
    """

    decimals: int = 0
    multiple: int = 1
    offset: int = 0


@dataclass(frozen=True)
class TextFormat:
    """How text spelled a column: marks and suffix of numbers, words of booleans and of missing values, dates.

    decimal and thousands are the marks ("." and "" where plain); prefix and suffix surround the number ("$", " %");
    width is the number of digits kept by leading zeros (0: none); decimals the number of digits always written after
    the mark (-1: as few as needed); missing the token that stood for a missing value; date the strftime format of
    dates; read whether the frame holds what the text was read as (numbers, dates, missing cells) in place of the text.
    """

    decimal: str = "."
    thousands: str = ""
    prefix: str = ""
    suffix: str = ""
    width: int = 0
    decimals: int = -1
    missing: str = ""
    date: str = ""
    read: bool = False


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    kind: see KINDS. dtype: how the frame held it ("float32", "Int64", "str", "category", "datetime64[ns, UTC]").
    levels: of coded kinds, as they looked and in their order. grid: of gridded kinds. lower, upper: stated bounds,
    inclusive, in the column's own numbers; None is infinity. atoms: special codes, numbers that repeat beyond what the
    rest would explain. missing: whether a missing value is an outcome. tick: unit of dates ("day", "second", ...).
    text: how text spelled it, where it was text. pattern: of identifiers. scored: False leaves it out of every
    likelihood. why, missing_share, example, seen (smallest and largest) describe; they do not change the measure.
    """

    name: str | int
    kind: Kind
    dtype: str = "float64"
    levels: tuple[Scalar, ...] | None = None
    grid: Grid | None = None
    lower: float | None = None
    upper: float | None = None
    atoms: tuple[float, ...] = ()
    missing: bool = False
    tick: str | None = None
    text: TextFormat | None = None
    pattern: str | None = None
    scored: bool = True
    why: str = ""
    missing_share: float = 0.0
    example: str = ""
    seen: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        where = f"column {self.name!r}"
        if half_of_a_pair([self.name]) is not None:
            raise SchemaError(f"the column name {self.name!r} {HALF}")
        if self.kind not in KINDS:
            raise SchemaError(f"{where}: kind {self.kind!r} does not exist{did_you_mean(self.kind, KINDS)}")
        if self.levels is not None:
            self._check_levels(self.levels)
        if self.grid is not None and (self.grid.multiple < 1 or not 0 <= self.grid.decimals <= 15):
            raise SchemaError(f"{where}: a grid has a multiple of at least 1 and 0 to 15 decimals, not {self.grid}")
        for end in ("lower", "upper"):
            bound = getattr(self, end)
            if bound is not None and not (abs(bound) <= float_info.max or abs(bound) == math.inf):
                raise SchemaError(f"{where}: the {end} bound is no number; leave it out where there is none")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise SchemaError(f"{where}: lower bound {self.lower} is above upper bound {self.upper}")
        if len(set(self.atoms)) < len(self.atoms):
            raise SchemaError(f"{where}: a special code is named twice")
        if any(not math.isfinite(a) for a in self.atoms):
            raise SchemaError(f"{where}: special codes are finite numbers")
        if self.kind in UNSCORED and self.scored:
            object.__setattr__(self, "scored", False)

    def _check_levels(self, levels: tuple[Scalar, ...]) -> None:
        where = f"column {self.name!r}"
        if len({(type(v).__name__, v) for v in levels}) != len(levels):
            raise SchemaError(f"{where}: a level is named twice")
        endless = next((v for v in levels if isinstance(v, float) and not math.isfinite(v)), None)
        if endless is not None:
            raise SchemaError(f"{where}: {endless} is no level; replace it by a number, a word, or a missing value")
        half = half_of_a_pair(levels)
        if half is not None:
            raise SchemaError(f"{where}: the level {half!r} {HALF}")

    @property
    def coded(self) -> bool:
        """Encoded as a code alone."""
        return self.kind in CODED

    @property
    def special(self) -> bool:
        """Encoded as special codes plus a remainder: code 0 is the remainder, then the atoms, then missing."""
        return not self.coded and (bool(self.atoms) or self.missing)

    @property
    def codes(self) -> int:
        """How many codes the column has: its levels, or 1 + its special codes; missing is the last. 0: none."""
        if self.coded:
            return len(self.levels or ()) + self.missing
        return 1 + len(self.atoms) + self.missing if self.special else 0

    @property
    def complete(self) -> bool:
        """Whether its kind has the levels or the grid it needs; what a person left out is inferred from the data."""
        return not (self.coded and self.levels is None) and not (self.kind in GRIDDED and self.grid is None)

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers with a mean."""
        return self.kind in ("count", "integer", "decimal", "continuous")

    @property
    def single(self) -> bool:
        """Whether its numbers are encoded as float32."""
        return self.kind == "continuous" and self.dtype.lower() in ("float32", "float32[nan]")

    @property
    def limits(self) -> tuple[float, float]:
        """The stated bounds in encoded numbers (whole numbers of the grid, inwards); infinite where there is none."""
        low = -math.inf if self.lower is None else float(self.lower)
        high = math.inf if self.upper is None else float(self.upper)
        if self.grid is None:
            return low, high
        return (
            float(math.ceil(self.encoded(low))) if math.isfinite(low) else low,
            float(math.floor(self.encoded(high))) if math.isfinite(high) else high,
        )

    def encoded(self, numbers: Any) -> Any:
        """Finite numbers of the column as the codec encodes them: steps of its grid, or themselves.

        A point of the grid is a whole number of steps, although 0.29 * 100 is 28.999999999999996.
        """
        if self.grid is None:
            return numbers
        import numpy as np  # which the command line's help does without

        scaled = numbers * 10.0**self.grid.decimals
        steps = (scaled - self.grid.offset) / self.grid.multiple
        whole = np.rint(steps)
        return np.where(np.abs(steps - whole) * self.grid.multiple <= 1e-9 + 1e-15 * np.abs(scaled), whole, steps)[()]

    def decoded(self, steps: Any) -> Any:
        """The numbers that encoded ones stand for; means of steps give means of numbers."""
        if self.grid is None:
            return steps
        return (self.grid.offset + self.grid.multiple * steps) / 10.0**self.grid.decimals

    @property
    def measure(self) -> str:
        """What its log-probability counts: "mass" or "density"."""
        return "density" if self.kind == "continuous" else "mass"
