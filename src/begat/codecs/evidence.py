"""What a person gives as evidence about one column, in the units of its encoding."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from begat.codecs.column import encode_column
from begat.codecs.dates import UNITS, to_ticks
from begat.codecs.grid import to_grid
from begat.core import Region
from begat.errors import DataError, EvidenceError, did_you_mean
from begat.schema import Column


def region(column: Column, evidence: Any) -> Region:
    """The region of a column that evidence means, in encoded units.

    evidence: a value; a list or set of values; a range (low, high) or slice with None for an open end, both ends
    included (of unordered levels a tuple is a set). Dates are dates or their text; "2024-03" is the whole month.
    None or NaN is the event that the value is missing. EvidenceError if no value of the column is meant: an
    undeclared level, an empty set or range, a number off the grid or outside the bounds.
    """
    if not column.scored:
        raise EvidenceError(f"column {column.name!r} is {column.kind}, which no model scores; leave it out")
    if isinstance(evidence, slice):
        if evidence.step is not None:
            raise EvidenceError(f"column {column.name!r}: a range has no step; give slice(low, high)")
        return _between(column, evidence.start, evidence.stop)
    if isinstance(evidence, tuple) and column.kind not in ("category", "boolean"):
        if len(evidence) != 2:
            raise EvidenceError(f"column {column.name!r}: a range is (low, high); give a list for a set of values")
        return _between(column, *evidence)
    one = not isinstance(evidence, Iterable) or isinstance(evidence, (str, bytes)) or getattr(evidence, "ndim", 1) == 0
    chosen = [evidence] if one else list(evidence)
    if not chosen:
        raise EvidenceError(f"column {column.name!r}: an empty set of values; give at least one")
    return _levels(column, chosen) if column.coded else _points(column, chosen)


def _absent(value: Any) -> bool:
    try:
        return value is None or bool(value != value) or str(value) in ("NaT", "<NA>")
    except (TypeError, ValueError):
        return str(value) == "<NA>"


def _codes(column: Column, codes: Iterable[int]) -> torch.Tensor:
    """The allowed codes as Region holds them."""
    allowed = torch.zeros(column.codes, dtype=torch.bool)
    allowed[list(codes)] = True
    return allowed


# levels -----------------------------------------------------------------------------------------------------------
def _levels(column: Column, chosen: list[Any]) -> Region:
    return Region(codes=_codes(column, [_level(column, v) for v in chosen]))


def _level(column: Column, value: Any) -> int:
    """The code of a level; text that spells a level that is no text is taken for it."""
    levels = column.levels or ()
    if _absent(value):
        if column.missing:
            return len(levels)
        raise EvidenceError(f"column {column.name!r} has no missing values; give one of its levels")
    try:
        made = encode_column(column, [value])
        if made.codes is not None and made.known_codes is None:
            return int(made.codes[0])
    except DataError:
        pass
    spelled = [i for i, level in enumerate(levels) if not isinstance(level, str) and str(level) == str(value)]
    if len(spelled) == 1:
        return spelled[0]
    raise EvidenceError(f"column {column.name!r} has no level {value!r}{did_you_mean(value, levels)}")


# numbers and dates ------------------------------------------------------------------------------------------------
def _points(column: Column, chosen: list[Any]) -> Region:
    """The smallest interval that holds exactly the chosen points, and their special codes."""
    codes: set[int] = set()
    spans: list[tuple[float, float]] = []
    for value in chosen:
        if _absent(value):
            if not column.missing:
                raise EvidenceError(f"column {column.name!r} has no missing values; give a number or a range")
            codes.add(column.codes - 1)
            continue
        low, high = _span(column, value)
        if low == high and low in column.atoms:
            codes.add(1 + column.atoms.index(low))
            continue
        spans.append(_encoded(column, low, high, value))
    spans.sort()
    step = 0 if column.grid is None else 1
    if any(start > end + step for (_, end), (start, _) in pairwise(spans)):
        raise EvidenceError(f"column {column.name!r}: {chosen} leave gaps; give neighbours, or a range (low, high)")
    if spans:
        codes.add(0)
    ends = (spans[0][0], max(end for _, end in spans)) if spans else (-math.inf, math.inf)
    return Region(*ends, _codes(column, codes) if column.special else None)


def _between(column: Column, low: Any, high: Any) -> Region:
    """A range: levels in their order, numbers, dates."""
    if column.coded:
        if column.kind != "ordinal":
            raise EvidenceError(f"column {column.name!r} is {column.kind}: its levels have no order; give a set")
        first = 0 if low is None else _level(column, low)
        last = len(column.levels or ()) - 1 if high is None else _level(column, high)
        if first > last:
            raise EvidenceError(f"column {column.name!r}: the range from {low!r} to {high!r} is empty")
        return Region(codes=_codes(column, range(first, last + 1)))
    if (low is not None and _absent(low)) or (high is not None and _absent(high)):
        raise EvidenceError(f"column {column.name!r}: an end of a range is a value or None (open), not a missing value")
    start = -math.inf if low is None else _span(column, low)[0]
    stop = math.inf if high is None else _span(column, high)[1]
    if start > stop:
        raise EvidenceError(f"column {column.name!r}: the range from {low!r} to {high!r} is empty")
    codes = [1 + i for i, atom in enumerate(column.atoms) if start <= atom <= stop]
    try:
        ends = _encoded(column, start, stop, (low, high))
    except EvidenceError:
        if not codes:
            raise
        return Region(codes=_codes(column, codes))
    return Region(*ends, _codes(column, [0, *codes]) if column.special else None)


def _span(column: Column, value: Any) -> tuple[float, float]:
    """The numbers (ticks of dates) that a value means: one, or all ticks of a day given for a column of hours."""
    if column.kind == "datetime":
        return _dates(column, value)
    try:
        if isinstance(value, (bytes, complex)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise EvidenceError(f"column {column.name!r} is {column.kind}: {value!r} is no number") from None
    return number, number


def _dates(column: Column, value: Any) -> tuple[float, float]:
    import pandas as pd

    if isinstance(value, (int, float, bool)):
        raise EvidenceError(f"column {column.name!r} holds dates: {value!r} is none; give one as '2024-03-31'")
    unit = UNITS[column.tick or "day"]
    try:
        if isinstance(value, str):
            coarse = np.datetime64(value.strip().replace(" ", "T"))
            first, last = coarse.astype(f"datetime64[{unit}]"), (coarse + 1).astype(f"datetime64[{unit}]")
            low, high = float(first.astype(np.int64)), float(last.astype(np.int64) - 1)
            # Text finer than the tick means a moment between two of its points, or one of them.
            return (low, high) if high >= low else (low, low) if first == coarse else (low + 0.5, low + 0.5)
        moment = pd.Timestamp(value)
    except (ValueError, TypeError, OverflowError):
        raise EvidenceError(f"column {column.name!r} holds dates: {value!r} is none; write '2024-03-31'") from None
    utc = moment.tz_convert("UTC").tz_localize(None) if moment.tzinfo else moment
    found = np.array([utc.to_datetime64()])
    zone = str(moment.tzinfo) if moment.tzinfo else None
    tick = float(to_ticks(found, column.tick or "day", zone)[0])
    return (tick, tick) if found.astype(f"datetime64[{unit}]")[0] == found[0] else (tick + 0.5, tick + 0.5)


def _encoded(column: Column, low: float, high: float, said: Any) -> tuple[float, float]:
    """An interval of numbers in encoded units, within the stated bounds."""
    least, most = column.limits
    bounds = f"({column.lower}, {column.upper})"
    outside = EvidenceError(f"column {column.name!r}: {said!r} lies outside its bounds {bounds}")
    if math.isnan(low) or math.isnan(high) or low == math.inf or high == -math.inf:
        raise outside
    if column.grid is not None:
        ends = []
        for end, rounded in ((low, math.ceil), (high, math.floor)):
            if math.isinf(end):
                ends.append(end)
                continue
            k, on = to_grid(np.array([end]), column.grid)
            exact = (end * 10.0**column.grid.decimals - column.grid.offset) / column.grid.multiple
            ends.append(float(k[0]) if on[0] else float(rounded(exact)))
        low, high = ends
        if low > high:
            raise EvidenceError(f"column {column.name!r}: no point of its grid {column.grid} is {said!r}")
    low, high = max(low, least), min(high, most)
    if low > high:
        raise outside
    return low, high
