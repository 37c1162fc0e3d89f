"""What a person gives as evidence about one column, in the units of its encoding."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from begat.codecs.cells import Cells
from begat.codecs.column import allowed, encode_column
from begat.codecs.date_text import read_dates, spell_dates
from begat.codecs.dates import from_ticks, to_ticks
from begat.codecs.grid import EXACT, to_grid
from begat.codecs.spelling import number_of
from begat.core import Region
from begat.errors import DataError, EvidenceError, did_you_mean
from begat.schema import Column, TextFormat

if TYPE_CHECKING:
    import pandas as pd

ISO = re.compile(r"\d{4}(?:-\d\d(?:-\d\d(?:[T ]\d\d(?::\d\d(?::\d\d(?:\.\d{1,9})?)?)?)?)?)?", re.ASCII)
"""A date, or the beginning of one, as ISO 8601 writes it."""


def region(column: Column, evidence: Any) -> Region:
    """The region of a column that evidence means, in encoded units.

    evidence: a value; a list or set of values; a range (low, high) or slice with None for an open end, both ends
    included (of unordered levels a tuple is a set). Text is read in the column's own spelling ("64,11", "50 %",
    "31.03.2024") or in the plain one; a date without a time is the whole day, and "2024-03" the whole month.
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
    if isinstance(evidence, Mapping):
        raise EvidenceError(f"column {column.name!r}: a mapping is no evidence; give a value, a list or a range")
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
        if _absent(value) or (column.text is not None and column.text.missing and value == column.text.missing):
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
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and column.grid is not None
        if whole and abs(int(value)) < 2**200:  # kept whole: a float would lose the digits of a large one
            return int(value), int(value)
        number = number_of(value, column.text or TextFormat()) if isinstance(value, str) else float(value)
        if math.isnan(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        like = f" such as {column.example!r}" if column.text is not None and column.example else ""
        said = str(value)[:40]
        raise EvidenceError(f"column {column.name!r} is {column.kind}: {said!r} is no number{like}") from None
    return number, number


def _dates(column: Column, value: Any) -> tuple[float, float]:
    if isinstance(value, (int, float, bool)):
        raise EvidenceError(f"column {column.name!r} holds dates: {value!r} is none; give one as '2024-03-31'")
    tick, zone = column.tick or "day", Cells(column.dtype, np.zeros(0, dtype="datetime64[us]")).zone
    try:
        meant = _meant(column, value)
        if isinstance(meant, np.datetime64):
            return _ticks_of(meant, meant + 1, tick, zone)
        moment = meant if meant.tzinfo is not None or zone is None else meant.tz_localize(zone)
    except (ValueError, TypeError, OverflowError):
        form = column.text.date if column.text is not None else ""
        own = (
            f" or {spell_dates(np.array(['2024-03-31'], 'M8[us]'), form)[0]!r}" if form not in ("", "%Y-%m-%d") else ""
        )
        raise EvidenceError(f"column {column.name!r} holds dates: {value!r} is none; write '2024-03-31'{own}") from None
    zone = zone or (None if moment.tzinfo is None else str(moment.tzinfo))
    utc = (moment if moment.tzinfo is None else moment.tz_convert("UTC").tz_localize(None)).to_datetime64()
    low = _ceiling(utc, tick, zone)
    exact = from_ticks(np.array([low]), tick, np.datetime_data(utc.dtype)[0], zone)[0] == utc
    return (low, low) if exact else (low - 0.5, low - 0.5)


def _meant(column: Column, value: Any) -> np.datetime64 | pd.Timestamp:
    """A date as its whole unit on the column's own clock (a day, a month, a minute), or as a moment."""
    import pandas as pd

    if isinstance(value, np.datetime64) and np.datetime_data(value.dtype)[0] in ("Y", "M", "W", "D"):
        return value
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return np.datetime64(value)
    if not isinstance(value, str):
        return pd.Timestamp(value)
    word = value.strip()
    if ISO.fullmatch(word):
        return np.datetime64(word.replace(" ", "T"))
    form = column.text.date if column.text is not None else ""
    clock = re.search(r"[T ]%-?[HI]:", form)
    for shape in (form, form[: clock.start()] if clock else ""):
        found = read_dates([word], shape)[0] if shape else np.datetime64("NaT")
        if not np.isnat(found):
            if "%z" in shape:
                return pd.Timestamp(found, tz="UTC")
            unit = "us" if "f" in shape else "s" if "%S" in shape else "m" if "%M" in shape else "D"
            return found.astype(f"datetime64[{unit}]") if unit != "us" else found
    if re.fullmatch(rf"{ISO.pattern} ?(Z|[+-]\d\d:?\d\d)", word):
        return pd.Timestamp(word)
    raise ValueError(word)


def _ticks_of(first: np.datetime64, after: np.datetime64, tick: str, zone: str | None) -> tuple[float, float]:
    """The ticks from one moment of the column's clock to before another; between two ticks where there are none."""
    import pandas as pd

    unit = "ns" if np.datetime_data(first.dtype)[0] == "ns" else "us"
    ends = [moment.astype(f"datetime64[{unit}]") for moment in (first, after)]
    if zone:
        here = pd.DatetimeIndex(ends).tz_localize(zone, ambiguous=np.ones(2, bool), nonexistent="shift_forward")
        ends = list(here.tz_convert("UTC").tz_localize(None).to_numpy())
    low, high = (_ceiling(moment, tick, zone) for moment in ends)
    return (low, high - 1) if low < high else (low - 0.5, low - 0.5)


def _ceiling(moment: np.datetime64, tick: str, zone: str | None) -> float:
    """The first tick that is not before a moment of UTC."""
    found = to_ticks(np.array([moment]), tick, zone)
    return float(found[0] + (from_ticks(found, tick, np.datetime_data(moment.dtype)[0], zone)[0] < moment))


def _encoded(column: Column, low: float, high: float, said: Any) -> tuple[float, float]:
    """An interval of numbers in encoded units, within the stated bounds."""
    least, most = column.limits
    what = (f"from {said[0]} to {said[1]}" if isinstance(said, tuple) else repr(said))[:80]
    wrong = EvidenceError(f"column {column.name!r} is {allowed(column)}, not {what}")
    if math.isnan(low) or math.isnan(high) or low == math.inf or high == -math.inf:
        raise wrong
    if column.grid is not None:
        ends = []
        for end, rounded in ((low, math.ceil), (high, math.floor)):
            if isinstance(end, int):
                steps, rest = divmod(end * 10**column.grid.decimals - column.grid.offset, column.grid.multiple)
                end = steps + (rest > 0 and rounded is math.ceil)
                if abs(end) >= EXACT:
                    raise wrong
                ends.append(float(end))
                continue
            if math.isinf(end):
                ends.append(end)
                continue
            k, on = to_grid(np.array([end]), column.grid)
            exact = (end * 10.0**column.grid.decimals - column.grid.offset) / column.grid.multiple
            if abs(exact) >= EXACT:
                raise wrong
            ends.append(float(k[0]) if on[0] else float(rounded(exact)))
        low, high = ends
    low, high = max(low, least), min(high, most)
    if low > high:
        raise wrong
    return low, high
